//! Inputs of a build: where they come from, how they are checked, where they are kept. The only network user: what vendors' services are asked for goes through its
//! client, too ([`Documents`]).
//!
//! | module | holds |
//! | --- | --- |
//! | [`Store`] | content-addressed files; nothing is trusted that was not hashed |
//! | [`Mirrors`] | where files may come from and in which order they are asked; no mirror is trusted |
//! | [`fetch_all`] | brings files into the store, several at once |
//! | [`fetch_crates`] | registry crates, through cargo's own configuration |
//! | [`Mirrors::index`], [`unpack`] | signed indexes of an archive, and their decompression with a bound |
//! | [`Documents`] | small documents that a vendor's service hands out; not hashed, because nobody knows their digest |
//! | [`Event`], [`Progress`] | what fetching tells whoever watches |
//! | [`InputsError`] | what can go wrong and what it implies |

mod cargo;
pub mod debian;
mod decode;
mod documents;
mod error;
mod fetch;
mod http;
mod index;
mod mirrors;
mod progress;
mod retry;
mod store;

pub use cargo::{Cargo, fetch_crates};
pub use decode::unpack;
pub use documents::{Document, Documents, Refused};
pub use error::{Holder, InputsError, Result, WrongBytes};
pub use fetch::{Failure, FetchReport, Want, fetch_all};
pub use http::{Network, Patience};
pub use mirrors::{AptFile, ArchiveRef, Mirrors, SNAPSHOT_ARCHIVE, Settings};
pub use progress::{Event, Progress, Silent};
pub use store::{Condition, Expect, Hashing, Scratch, Store, StoreGuard, remove_tree};
