//! What stands where in a hash tree, and in the superblock in front of it.
//!
//! Source: Linux, `Documentation/admin-guide/device-mapper/verity.rst`, section "Hash Tree", and `verity_ctr` in
//! `drivers/md/dm-verity-target.c`; cryptsetup 2.6, `lib/verity/verity.c`.

use std::fmt;

use crate::bytes::Field;

/// Bytes of a data block and of a hash block. `image/config` and `init` have the same number; another one needs another
/// device-mapper table.
pub const BLOCK: usize = 4096;

/// Bytes of a digest, SHA-256's.
pub(super) const DIGEST: usize = 32;

/// Digests in a hash block. Format version 1 pads each digest to a power of two, which 32 is already.
pub(super) const PER_BLOCK: usize = BLOCK / DIGEST;

/// Most data blocks of a tree: 16 TiB, the limit of `models[].size` in the measured configuration. It also keeps all sums
/// of blocks and bytes far from overflow.
pub const MAX_DATA_BLOCKS: u64 = 1 << 32;

/// First eight bytes of the superblock.
pub(super) const SIGNATURE: &[u8; 8] = b"verity\0\0";

/// The superblock's own version, and the hash type: 1 is salt in front, which 0 has behind.
pub(super) const VERSION: u32 = 1;
pub(super) const HASH_TYPE: u32 = 1;

/// The hash's name, NUL-padded.
pub(super) const ALGORITHM: &[u8; 32] = b"sha256\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Bytes of the superblock. The rest of its block is zero, and the tree begins at the next block.
pub(super) const SUPERBLOCK_LEN: usize = 512;

/// The superblock (`struct verity_sb`), little-endian.
pub(super) const SUPERBLOCK: &[Field] = &[
    Field { name: "signature", at: 0, len: 8 },
    Field { name: "version", at: 8, len: 4 },
    Field { name: "hash type", at: 12, len: 4 },
    Field { name: "UUID", at: 16, len: 16 },
    Field { name: "algorithm", at: 32, len: 32 },
    Field { name: "data block size", at: 64, len: 4 },
    Field { name: "hash block size", at: 68, len: 4 },
    Field { name: "data blocks", at: 72, len: 8 },
    Field { name: "salt size", at: 80, len: 2 },
    Field { name: "padding 1", at: 82, len: 6 },
    Field { name: "salt", at: 88, len: 256 },
    Field { name: "padding 2", at: 344, len: 168 },
];

/// The number of data blocks isn't one that a tree can be made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{blocks} data blocks of 4096 bytes: dm-verity as sealstone uses it takes 2 to 4294967296 whole blocks")]
pub struct SizeError {
    /// The blocks, counting a last one that is cut off.
    pub blocks: u64,
}

/// One level of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its first block, counted from the start of the tree.
    pub first: u64,
    /// Its hash blocks.
    pub blocks: u64,
    /// The digests in them: blocks of the level below, or of the data. Behind the last one is zero padding.
    pub entries: u64,
}

/// The shape of a tree over a number of data blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    data_blocks: u64,
    /// Lowest first, as the kernel counts them.
    levels: Vec<Level>,
}

impl Geometry {
    /// The tree over that many blocks.
    ///
    /// # Errors
    /// [`SizeError`] for fewer than 2 blocks, over which the kernel expects no tree at all, and for more than
    /// [`MAX_DATA_BLOCKS`].
    pub fn new(data_blocks: u64) -> Result<Geometry, SizeError> {
        if !(2..=MAX_DATA_BLOCKS).contains(&data_blocks) {
            return Err(SizeError { blocks: data_blocks });
        }
        let mut levels = Vec::new();
        let mut entries = data_blocks;
        while entries > 1 {
            let blocks = entries.div_ceil(PER_BLOCK as u64);
            levels.push(Level { first: 0, blocks, entries });
            entries = blocks;
        }
        // On disk the top comes first.
        let mut first = 0;
        for level in levels.iter_mut().rev() {
            level.first = first;
            first += level.blocks;
        }
        Ok(Geometry { data_blocks, levels })
    }

    /// The tree over that many bytes, which must be whole blocks.
    ///
    /// # Errors
    /// As for [`Geometry::new`].
    pub fn of_bytes(size: u64) -> Result<Geometry, SizeError> {
        match size.is_multiple_of(BLOCK as u64) {
            true => Geometry::new(size / BLOCK as u64),
            false => Err(SizeError { blocks: size.div_ceil(BLOCK as u64) }),
        }
    }

    /// Blocks that the tree is over.
    pub fn data_blocks(&self) -> u64 {
        self.data_blocks
    }

    /// The levels, lowest first: level 0 holds the digests of the data. At least one; the last one has one block.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Blocks of the whole tree.
    pub fn tree_blocks(&self) -> u64 {
        self.levels.iter().map(|level| level.blocks).sum()
    }

    /// Bytes of the whole tree.
    pub fn tree_bytes(&self) -> u64 {
        self.tree_blocks() * BLOCK as u64
    }

    /// Which digest the byte `offset` of the tree belongs to; `None` behind the tree.
    pub fn place(&self, offset: u64) -> Option<Place> {
        let block = offset / BLOCK as u64;
        let (index, level) =
            self.levels.iter().enumerate().find(|(_, level)| block >= level.first && block - level.first < level.blocks)?;
        let block = block - level.first;
        let entry = offset % BLOCK as u64 / DIGEST as u64;
        let below = block * PER_BLOCK as u64 + entry;
        Some(match below < level.entries {
            true => Place::Entry { level: index, block, entry, below },
            false => Place::Padding { level: index, block },
        })
    }
}

/// A place in data or tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A block of the data.
    Data {
        /// Its number.
        block: u64,
    },
    /// A whole hash block.
    Hash {
        /// Its level, 0 lowest.
        level: usize,
        /// Its number in the level.
        block: u64,
    },
    /// A digest in a hash block.
    Entry {
        /// The hash block's level, 0 lowest.
        level: usize,
        /// The hash block's number in the level.
        block: u64,
        /// The digest's number in the hash block.
        entry: u64,
        /// What it is the digest of: a block of the level below, or of the data.
        below: u64,
    },
    /// The zeros behind a level's last digest.
    Padding {
        /// The hash block's level, 0 lowest.
        level: usize,
        /// The hash block's number in the level.
        block: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Data { block } => write!(f, "data block {block}"),
            Place::Hash { level, block } => write!(f, "level {level}, hash block {block}"),
            Place::Entry { level: 0, block, entry, below } => {
                write!(f, "level 0, hash block {block}, entry {entry} (data block {below})")
            }
            Place::Entry { level, block, entry, below } => {
                write!(f, "level {level}, hash block {block}, entry {entry} (level {}, hash block {below})", level - 1)
            }
            Place::Padding { level, block } => write!(f, "level {level}, hash block {block}, padding"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_superblock_table_covers_it() {
        crate::bytes::tests::assert_covers(SUPERBLOCK, SUPERBLOCK_LEN);
    }

    /// Levels as (first block, blocks), lowest first, counted by hand from the kernel's rule: 128 digests to a block.
    #[test]
    fn levels() {
        let cases: [(u64, &[(u64, u64)]); 7] = [
            (2, &[(0, 1)]),
            (128, &[(0, 1)]),
            (129, &[(1, 2), (0, 1)]),
            (16_384, &[(1, 128), (0, 1)]),
            (16_385, &[(3, 129), (1, 2), (0, 1)]),
            (262_144, &[(17, 2048), (1, 16), (0, 1)]),
            (MAX_DATA_BLOCKS, &[(1 + 16 + 2048 + (1 << 18), 1 << 25), (1 + 16 + 2048, 1 << 18), (17, 2048), (1, 16), (0, 1)]),
        ];
        for (blocks, expected) in cases {
            let geometry = Geometry::new(blocks).unwrap();
            let found: Vec<_> = geometry.levels().iter().map(|level| (level.first, level.blocks)).collect();
            assert_eq!(found, expected, "{blocks}");
            assert_eq!(geometry.tree_blocks(), expected[0].0 + expected[0].1);
        }
        for blocks in [0, 1, MAX_DATA_BLOCKS + 1, u64::MAX] {
            assert_eq!(Geometry::new(blocks), Err(SizeError { blocks }));
        }
        assert_eq!(Geometry::of_bytes(8193), Err(SizeError { blocks: 3 }));
    }

    #[test]
    fn places() {
        let geometry = Geometry::new(16_385).unwrap();
        let cases = [
            (0, "level 2, hash block 0, entry 0 (level 1, hash block 0)"),
            (64, "level 2, hash block 0, padding"),
            (2 * 4096, "level 1, hash block 1, entry 0 (level 0, hash block 128)"),
            (3 * 4096 + 33, "level 0, hash block 0, entry 1 (data block 1)"),
            (131 * 4096, "level 0, hash block 128, entry 0 (data block 16384)"),
            (131 * 4096 + 32, "level 0, hash block 128, padding"),
        ];
        for (offset, expected) in cases {
            assert_eq!(geometry.place(offset).unwrap().to_string(), expected);
        }
        assert_eq!(geometry.place(132 * 4096), None);
    }
}
