//! The initramfs: a "newc" cpio archive.
//!
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst` for the format, `init/initramfs.c`
//! for what the kernel does with it. The bytes that we write are described in `docs/formats/initrd.md`.

mod dump;
mod layout;
mod reader;
mod writer;

pub(crate) use dump::data_at;
pub use dump::{dump, locate};
pub use reader::{Archive, Header, Member, ReadError, parse, parse_canonical};
pub use writer::{Entry, Kind, WriteError, write};
