//! The initramfs: a "newc" cpio archive.
//!
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst` for the format, `init/initramfs.c`
//! for what the kernel does with it. The bytes that we write are described in `docs/formats/initrd.md`.

mod layout;
mod writer;

pub use writer::{Entry, Kind, WriteError, write};
