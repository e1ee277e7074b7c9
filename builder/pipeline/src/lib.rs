//! From a spec and a lock to an image: what is built, in which order, from what; and booting the result.
//!
//! | module | holds |
//! | --- | --- |
//! | [`project`] | a spec, its lock and the files that the spec names |
//! | [`locking`] | resolving a spec into its lock |
//! | [`roots`] | locked packages, fetched and unpacked into trees |
//! | [`recipes`] | the actions of a build: recipe, inputs, outputs |
//! | [`action`] | one action and the key that names everything that goes into it |
//! | [`runner`] | running actions in the sandbox, remembering what came out |
//! | [`build`] | the whole way, and the assembly of what the actions made |
//! | [`bill`] | bill of materials, provenance, source archive |
//! | [`seed`] | the program that the flake's derivations run, as an action |
//! | [`source`] | the files of the source tree that a build reads |
//! | [`reproduce`] | building a release again from its own sources |
//! | [`check`] | the same again under other conditions |
//! | [`boot`] | booting an image in QEMU with the pinned tools |
//! | [`guest`] | the evidence of a booted image |
//! | [`content`] | a file that a build made, with its digest |
//! | [`folder`] | the output folder, replaced as a whole or not at all |
//! | [`page`] | the verifier for browsers: a WebAssembly module and a page around it |
//! | [`packs`] | model packs: made, checked, and those of a spec's models |
//! | [`pin`] | the registers that a machine running the image must show |
//! | [`head`] | digests of what was built, to compare with what was expected |
//! | [`progress`] | what whoever watches is told |

pub mod action;
pub mod bill;
pub mod boot;
pub mod build;
pub mod check;
pub mod content;
mod error;
pub mod folder;
pub mod guest;
pub mod head;
pub mod locking;
pub mod packs;
pub mod page;
pub mod pin;
pub mod progress;
pub mod project;
pub mod recipes;
pub mod reproduce;
pub mod roots;
pub mod runner;
pub mod seed;
pub mod source;
mod vendor;

pub use error::{Class, PipelineError};
