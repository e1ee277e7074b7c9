//! The formats that an image is made of: bytes in, bytes out.
//!
//! One folder per format, and in each the same four files: `layout` (what stands where, as tables that the other three
//! share), `writer` (declared entries → bytes), `reader` (bytes → values; total: it never panics, checks all arithmetic
//! and needs no more memory than a small multiple of its input) and `dump` (text for people, and the name of the place
//! that a byte offset lies in). Nothing here touches files, clock, environment, network, processes or randomness: a
//! writer that takes an `io::Write` passes its errors on.
//!
//! | module | is |
//! | --- | --- |
//! | [`cpio`] | the initramfs, "newc" |
//! | [`fat`] | the EFI system partition, FAT32 |
//! | [`gpt`] | the disk's partition table |
//! | [`pe`] | PE32+ images, and unified kernel images made from a stub |
//! | [`erofs`] | the file system of a model pack |
//! | [`verity`] | dm-verity hash trees, parallel |
//! | [`pack`] | a model pack: the one behind the other |
//! | [`access`] | reading and writing by position, for what doesn't fit memory |
//! | [`place`] | the place of a byte in any of these, through all layers |

#![forbid(unsafe_code)]

pub mod access;
mod bytes;
pub mod cpio;
pub mod erofs;
pub mod fat;
pub mod gpt;
pub mod pack;
pub mod pe;
pub mod place;
pub mod verity;
