//! Model packs: from a model's files to the disk that an image takes, and back to what is wrong with one.
//!
//! | module | holds |
//! | --- | --- |
//! | [`source`] | what goes in: files, a folder, bytes that were generated |
//! | [`write`] | one pass over the files, then the hash tree on all cores |
//! | [`place`] | the pack's file, there whole or not at all |
//! | [`check`] | every block of a pack against its root, and the first that isn't right |
//! | [`models`] | the packs of a spec's models |
//!
//! The bytes are described in `docs/formats/pack.md`; `sealstone_formats` writes them. Nothing here holds a model in memory.

mod area;
pub mod check;
mod error;
pub mod models;
pub mod place;
pub mod source;
pub mod write;

pub use error::PackError;
