//! What stands where in an EROFS image.
//!
//! Source: Linux 6.12, `fs/erofs/erofs_fs.h`, and `Documentation/filesystems/erofs.rst`, section "On-disk details".

use crate::bytes::Field;

/// Bytes of a block. The kernel takes blocks up to its page's size; 4096 is also dm-verity's, so that a block that is
/// read is a block that is checked.
pub const BLOCK: usize = 4096;

/// [`BLOCK`] as a power of two, as the superblock has it.
pub(super) const BLOCK_BITS: u8 = 12;

/// Where the superblock stands. The first 1024 bytes are left to boot sectors.
pub(super) const SUPERBLOCK_AT: usize = 1024;

/// Bytes of the superblock.
pub(super) const SUPERBLOCK_LEN: usize = 128;

/// `EROFS_SUPER_MAGIC_V1`.
pub(super) const MAGIC: u32 = 0xE0F5_E1E2;

/// The superblock's checksum is there. The kernel takes it from the superblock to the end of the block.
pub(super) const COMPAT_CHECKSUM: u32 = 1;
/// Times of extended inodes are of modification.
pub(super) const COMPAT_MTIME: u32 = 2;

/// Bytes of a slot in the inode area. A node's number (nid) is its inode's place, counted in these.
pub(super) const SLOT: usize = 32;

/// Bytes of the two kinds of inode.
pub(super) const COMPACT_LEN: usize = 32;
pub(super) const EXTENDED_LEN: usize = 64;

/// Slots in which each inode that we write stands.
pub(super) const SLOTS_PER_INODE: u64 = (EXTENDED_LEN / SLOT) as u64;

/// Node number of the root directory in our images: the first slot of block 1, the inode area being counted from block 0. Not 0,
/// which `readdir` in some C libraries takes for a deleted entry.
pub(super) const ROOT_NID: u16 = (BLOCK / SLOT) as u16;

/// `i_format`: bit 0 says extended, bits 1 to 3 say how the data is laid out. The kernel refuses other bits.
pub(super) const FORMAT_EXTENDED: u16 = 1;
pub(super) const FORMAT_MASK: u16 = 0x0F;
pub(super) const LAYOUT_PLAIN: u16 = 0;
pub(super) const LAYOUT_INLINE: u16 = 2;

/// File type bits of a mode (POSIX `S_IFMT`), and its values.
pub(super) const TYPE_MASK: u16 = 0o170000;
pub(super) const TYPE_DIRECTORY: u16 = 0o040000;
pub(super) const TYPE_REGULAR: u16 = 0o100000;
pub(super) const TYPE_SYMLINK: u16 = 0o120000;

/// Modes in our images: everybody may read, nobody may write or execute.
pub(super) const MODE_DIRECTORY: u16 = TYPE_DIRECTORY | 0o555;
pub(super) const MODE_FILE: u16 = TYPE_REGULAR | 0o444;

/// File types in directory entries (`FT_REG_FILE`, `FT_DIR`).
pub(super) const FT_FILE: u8 = 1;
pub(super) const FT_DIRECTORY: u8 = 2;

/// Bytes of a directory entry, without its name.
pub(super) const DIRENT_LEN: usize = 12;

/// Longest name (`EROFS_NAME_LEN`). The kernel refuses a directory with a longer one.
pub(super) const NAME_MAX: usize = 255;

/// Longest path with its NUL (`PATH_MAX`). A longer one couldn't be opened; in the reader it bounds the depth.
pub(super) const PATH_MAX: usize = 4096;

/// The superblock.
pub(super) const SUPERBLOCK: &[Field] = &[
    Field { name: "magic", at: 0, len: 4 },
    Field { name: "checksum", at: 4, len: 4 },
    Field { name: "compatible features", at: 8, len: 4 },
    Field { name: "block bits", at: 12, len: 1 },
    Field { name: "extension slots", at: 13, len: 1 },
    Field { name: "root nid", at: 14, len: 2 },
    Field { name: "inodes", at: 16, len: 8 },
    Field { name: "build time", at: 24, len: 8 },
    Field { name: "build time nanoseconds", at: 32, len: 4 },
    Field { name: "blocks", at: 36, len: 4 },
    Field { name: "inode area block", at: 40, len: 4 },
    Field { name: "shared xattr block", at: 44, len: 4 },
    Field { name: "UUID", at: 48, len: 16 },
    Field { name: "volume name", at: 64, len: 16 },
    Field { name: "incompatible features", at: 80, len: 4 },
    Field { name: "compression algorithms", at: 84, len: 2 },
    Field { name: "extra devices", at: 86, len: 2 },
    Field { name: "device table slot", at: 88, len: 2 },
    Field { name: "directory block bits", at: 90, len: 1 },
    Field { name: "xattr prefix count", at: 91, len: 1 },
    Field { name: "xattr prefix start", at: 92, len: 4 },
    Field { name: "packed nid", at: 96, len: 8 },
    Field { name: "xattr filter", at: 104, len: 1 },
    Field { name: "reserved", at: 105, len: 23 },
];

/// A compact inode.
pub(super) const COMPACT: &[Field] = &[
    Field { name: "format", at: 0, len: 2 },
    Field { name: "xattr count", at: 2, len: 2 },
    Field { name: "mode", at: 4, len: 2 },
    Field { name: "links", at: 6, len: 2 },
    Field { name: "size", at: 8, len: 4 },
    Field { name: "reserved", at: 12, len: 4 },
    Field { name: "block address", at: 16, len: 4 },
    Field { name: "inode number", at: 20, len: 4 },
    Field { name: "uid", at: 24, len: 2 },
    Field { name: "gid", at: 26, len: 2 },
    Field { name: "reserved", at: 28, len: 4 },
];

/// An extended inode.
pub(super) const EXTENDED: &[Field] = &[
    Field { name: "format", at: 0, len: 2 },
    Field { name: "xattr count", at: 2, len: 2 },
    Field { name: "mode", at: 4, len: 2 },
    Field { name: "reserved", at: 6, len: 2 },
    Field { name: "size", at: 8, len: 8 },
    Field { name: "block address", at: 16, len: 4 },
    Field { name: "inode number", at: 20, len: 4 },
    Field { name: "uid", at: 24, len: 4 },
    Field { name: "gid", at: 28, len: 4 },
    Field { name: "mtime", at: 32, len: 8 },
    Field { name: "mtime nanoseconds", at: 40, len: 4 },
    Field { name: "links", at: 44, len: 4 },
    Field { name: "reserved", at: 48, len: 16 },
];

/// A directory entry. All entries of a block precede all names; a name ends where the next one begins, the last
/// one at the first NUL or the end of the block.
pub(super) const DIRENT: &[Field] = &[
    Field { name: "nid", at: 0, len: 8 },
    Field { name: "name offset", at: 8, len: 2 },
    Field { name: "file type", at: 10, len: 1 },
    Field { name: "reserved", at: 11, len: 1 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_cover_their_records() {
        let tables = [(SUPERBLOCK, SUPERBLOCK_LEN), (COMPACT, COMPACT_LEN), (EXTENDED, EXTENDED_LEN), (DIRENT, DIRENT_LEN)];
        for (table, len) in tables {
            crate::bytes::tests::assert_covers(table, len);
        }
        assert_eq!(1 << BLOCK_BITS, BLOCK);
    }
}
