//! What a release says: the pin that a client keeps; and whether evidence is what a client wants.
//!
//! | module | holds |
//! | --- | --- |
//! | [`pin`] | `pin.json`: what is in an image, and every register that a machine running it must show |
//! | [`evidence`] | the evidence document that a machine hands out, parsed |
//! | [`policy`] | what a client accepts besides genuine evidence |
//! | [`verdict`] | pin × evidence × policy → a list of checks, worst first |
//! | [`key`] | Ed25519 keys with names, public and private, as text |
//! | [`note`] | signed notes, and witnesses' cosignatures on them |
//! | [`dsse`] | signed envelopes |
//! | [`statement`] | what publishers and rebuilders sign, as types |
//! | [`folder`] | a release as a folder of files: made, and judged |
//! | [`tlog`] | transparency logs: proofs, checkpoints, tiles |
//! | [`canonical`] | the one byte form that JSON documents are hashed and signed in |
//! | [`hex`] | digests and other fixed-length bytes, written in lower-case hex |
//! | [`time`] | moments, written as `2026-07-11T10:16:37Z` |
//!
//! The crate is a pure function of its arguments: no files, clock, environment or network.

mod base64;
pub mod canonical;
pub mod dsse;
pub mod evidence;
pub mod folder;
pub mod hex;
pub mod key;
pub mod note;
pub mod pin;
pub mod policy;
pub mod statement;
pub mod time;
pub mod tlog;
pub mod verdict;
