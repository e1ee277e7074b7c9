//! What stands where in a newc archive.
//!
//! Source: `Documentation/driver-api/early-userspace/buffer-format.rst`.

use crate::bytes::Field;

/// First six bytes of every header. "070702" would promise checksums, which the kernel has no use for.
pub(super) const MAGIC: &[u8; 6] = b"070701";

/// Bytes of a header: the magic and thirteen numbers of eight hexadecimal digits.
pub(super) const HEADER_LEN: usize = 110;

/// Hexadecimal digits of one number.
pub(super) const DIGITS: usize = 8;

/// Name of the member that ends the archive. The kernel forgets its hard-link table at it.
pub(super) const TRAILER: &str = "TRAILER!!!";

/// Name, data and next header start at multiples of this from the start of the archive. The kernel reads on at the next
/// multiple of four whatever stands in between: another value makes it stop with "junk within compressed archive".
pub(super) const ALIGN: usize = 4;

/// The archive's length is a multiple of this, as cpio(1) writes it; a boot loader that reads blocks then reads nothing
/// else. The kernel doesn't ask for it.
pub(super) const BLOCK: usize = 512;

/// Longest name or link target, with its NUL. The kernel *silently skips* a member beyond it (`PATH_MAX`).
pub(super) const PATH_MAX: usize = 4096;

/// File type bits of `mode` (POSIX `S_IFMT`), and its values.
pub(super) const TYPE_MASK: u32 = 0o170000;
pub(super) const TYPE_DIRECTORY: u32 = 0o040000;
pub(super) const TYPE_REGULAR: u32 = 0o100000;
pub(super) const TYPE_SYMLINK: u32 = 0o120000;
pub(super) const TYPE_CHAR_DEVICE: u32 = 0o020000;

/// Permission bits of `mode`, with set-user-id, set-group-id and sticky.
pub(super) const PERMISSIONS: u32 = 0o7777;

/// The header, in order.
pub(super) const HEADER: &[Field] = &[
    Field { name: "magic", at: 0, len: 6 },
    Field { name: "ino", at: 6, len: 8 },
    Field { name: "mode", at: 14, len: 8 },
    Field { name: "uid", at: 22, len: 8 },
    Field { name: "gid", at: 30, len: 8 },
    Field { name: "nlink", at: 38, len: 8 },
    Field { name: "mtime", at: 46, len: 8 },
    Field { name: "filesize", at: 54, len: 8 },
    Field { name: "devmajor", at: 62, len: 8 },
    Field { name: "devminor", at: 70, len: 8 },
    Field { name: "rdevmajor", at: 78, len: 8 },
    Field { name: "rdevminor", at: 86, len: 8 },
    Field { name: "namesize", at: 94, len: 8 },
    Field { name: "check", at: 102, len: 8 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_table_covers_the_header() {
        crate::bytes::tests::assert_covers(HEADER, HEADER_LEN);
    }
}
