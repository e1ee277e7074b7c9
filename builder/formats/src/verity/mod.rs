//! dm-verity hash trees: format version 1 (salt in front), SHA-256, data and hash blocks of 4096 bytes.
//!
//! Source: the kernel's `Documentation/admin-guide/device-mapper/verity.rst` and `drivers/md/dm-verity-target.c` for the
//! tree; cryptsetup's `lib/verity/verity.c` (`struct verity_sb`) for the superblock, which only veritysetup(8) reads. The
//! bytes that we write are described in `docs/formats/pack.md`.

mod dump;
mod hash;
mod layout;
mod reader;
mod writer;

pub(crate) use dump::area_behind;
pub use dump::{dump, locate};
pub use hash::{Root, Salt};
pub use layout::{BLOCK, Geometry, Level, MAX_DATA_BLOCKS, Place, SizeError};
pub use reader::{ReadError, Superblock, VerifyError, verify};
pub use writer::{WriteError, write, write_superblock, write_tree};
