//! The file system of a model pack: EROFS, flat and uncompressed.
//!
//! Source: the kernel's `Documentation/filesystems/erofs.rst` for the format, `fs/erofs/erofs_fs.h` for its records and
//! `fs/erofs/{super,inode,dir,namei,data}.c` for what the kernel does with them. The bytes that we write are described in
//! `docs/formats/pack.md`.

mod crc32c;
mod directory;
mod dump;
mod layout;
mod reader;
mod record;
mod tree;
mod writer;

pub(crate) use dump::data_bytes;
pub use dump::{dump, locate};
pub use layout::BLOCK;
pub use reader::{Kind, Node, ReadError, Volume, parse, parse_canonical};
pub use writer::{File, Image, WriteError, metadata, write};
