//! The EFI system partition: a FAT32 volume.
//!
//! Source: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03 (`fatgen103`), which the UEFI
//! specification 2.10, section 13.3, refers to. The bytes that we write are described in `docs/formats/disk.md`.
//!
//! **Why not the `fatfs` crate to write it:** tried with 0.3.6, the newest release. Its output is deterministic, but
//! every directory that it creates is damaged: `fsck.fat -n` 4.2 reports "Expected a valid '.' entry in this slot" and
//! "Start does point to root directory", because it puts long-name entries in front of `.` and `..`, and cluster 2 in
//! place of 0 into a `..` that means the root. The label's time is month 0 of 1980, free clusters are left uncounted,
//! and the clock is a `&'static` object. The first two are fixed in its repository, unreleased since 2023. An ESP that
//! is written once, front to back, needs no free-cluster search and no FAT updates, so the writer here is smaller than
//! what it would take to repair the other's output. `fatfs` still reads our volumes in the tests.

mod dump;
mod layout;
mod listing;
mod locate;
mod name;
mod reader;
mod time;
mod tree;
mod writer;

pub use dump::dump;
pub(crate) use locate::content_at;
pub use locate::locate;
pub use reader::{Node, ReadError, Volume, parse};
pub use time::DosTime;
pub use writer::{File, VolumeSpec, WriteError, write};
