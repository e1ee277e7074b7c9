//! Hash tree → the first place where it and the data part, if any.

use std::io;

use uuid::Uuid;

use crate::access::ReadAt;
use crate::bytes::{all_zero, array, slice, u16_at, u32_at, u64_at};

use super::hash::{Root, Salt, Salted, Unread, level_0};
use super::layout::{ALGORITHM, BLOCK, DIGEST, Geometry, HASH_TYPE, PER_BLOCK, Place, SIGNATURE, SizeError, VERSION};

/// What a superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Superblock {
    /// The pack's UUID.
    pub uuid: Uuid,
    /// The salt.
    pub salt: Salt,
    /// The shape of the tree.
    pub geometry: Geometry,
}

/// Why some bytes are no superblock of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Fewer than 4096 bytes, or other ones than veritysetup's signature: this isn't the start of a hash area.
    #[error("reading the dm-verity superblock: there is none; it starts with \"verity\" and fills a block of 4096 bytes")]
    None,
    /// A field has a value that sealstone doesn't write: the tree has another format.
    #[error("reading the dm-verity superblock: field {field}: must be {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must hold.
        expected: &'static str,
    },
    /// There can be no tree over that much data.
    #[error("reading the dm-verity superblock: {0}")]
    Size(#[from] SizeError),
}

impl Superblock {
    /// Reads the block in front of the tree. It takes only what [`write_superblock`](super::write_superblock) makes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn parse(bytes: &[u8]) -> Result<Superblock, ReadError> {
        let block = slice(bytes, 0, BLOCK).filter(|block| block.starts_with(SIGNATURE)).ok_or(ReadError::None)?;
        let check = |right, field, expected| if right { Ok(()) } else { Err(ReadError::Field { field, expected }) };
        check(u32_at(block, 8) == Some(VERSION), "version", "1")?;
        check(u32_at(block, 12) == Some(HASH_TYPE), "hash type", "1, salt in front")?;
        check(slice(block, 32, 32) == Some(ALGORITHM), "algorithm", "sha256")?;
        check(u32_at(block, 64) == Some(BLOCK as u32), "data block size", "4096")?;
        check(u32_at(block, 68) == Some(BLOCK as u32), "hash block size", "4096")?;
        check(u16_at(block, 80) == Some(DIGEST as u16), "salt size", "32")?;
        check(slice(block, 82, 6).is_some_and(all_zero), "padding 1", "zero")?;
        check(block.get(88 + DIGEST..).is_some_and(all_zero), "padding behind the salt", "zero")?;
        Ok(Superblock {
            uuid: Uuid::from_bytes(array(block, 16).ok_or(ReadError::None)?),
            salt: Salt::from_bytes(array(block, 88).ok_or(ReadError::None)?),
            geometry: Geometry::new(u64_at(block, 72).ok_or(ReadError::None)?)?,
        })
    }
}

/// Why data and tree don't hold under a root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The data's length isn't one for a tree.
    #[error("verifying the pack: {0}")]
    Size(#[from] SizeError),
    /// The tree is cut off, or it isn't one over this data.
    #[error("verifying the pack: the dm-verity tree has {found} bytes; over this data it has {expected}")]
    TreeSize {
        /// Its length.
        found: u64,
        /// What the length must be.
        expected: u64,
    },
    /// The top block hashes to something else than the root: another pack, another salt, or a damaged top block.
    #[error("verifying the pack: the dm-verity root is {found}, not {expected}")]
    Root {
        /// What the top block hashes to.
        found: Root,
        /// What it should hash to.
        expected: Root,
    },
    /// This is the first place, from the top of the tree down and then through the data, that isn't what the root vouches for.
    #[error("verifying the pack: {place} isn't what its digest says")]
    Damaged {
        /// The place.
        place: Place,
    },
    /// Something couldn't be read, so nothing is known about it.
    #[error("verifying the pack: reading the {what} from byte {offset:#x}: {source}")]
    Unread {
        /// "data" or "tree".
        what: &'static str,
        /// Where reading began.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
}

impl From<Unread> for VerifyError {
    fn from(unread: Unread) -> Self {
        VerifyError::Unread { what: "data", offset: unread.offset, source: unread.source }
    }
}

/// Checks every block of `tree` (from its top block on, without superblock) and of `data` against `root`. Like
/// [`write_tree`](super::write_tree), it uses all threads and bounded memory.
///
/// # Errors
/// [`VerifyError`]; `Damaged` names the place.
pub fn verify(data: &(impl ReadAt + ?Sized), tree: &(impl ReadAt + ?Sized), salt: &Salt, root: &Root) -> Result<(), VerifyError> {
    let geometry = Geometry::of_bytes(data.size())?;
    if tree.size() != geometry.tree_bytes() {
        return Err(VerifyError::TreeSize { found: tree.size(), expected: geometry.tree_bytes() });
    }
    let tree = Tree { tree, geometry: &geometry, salted: Salted::new(salt) };
    let found = Root::from_bytes(tree.salted.hash(&tree.block(geometry.levels().len().saturating_sub(1), 0)?));
    if found != *root {
        return Err(VerifyError::Root { found, expected: *root });
    }
    for level in (1..geometry.levels().len()).rev() {
        tree.check_below(level)?;
    }
    // Now that the lowest level is known to be right, whatever the data hashes to must stand in it.
    level_0(data, &tree.salted, |first, runs| {
        (first..).zip(runs).try_for_each(|(block, run)| tree.check_lowest(block, run.block.as_slice()))
    })
}

struct Tree<'a, T: ?Sized> {
    tree: &'a T,
    geometry: &'a Geometry,
    salted: Salted,
}

impl<T: ReadAt + ?Sized> Tree<'_, T> {
    fn block(&self, level: usize, block: u64) -> Result<[u8; BLOCK], VerifyError> {
        let first = self.geometry.levels().get(level).map_or(0, |level| level.first);
        let offset = first.saturating_add(block).saturating_mul(BLOCK as u64);
        let mut bytes = [0; BLOCK];
        self.tree.read_at(offset, &mut bytes).map_err(|source| VerifyError::Unread { what: "tree", offset, source })?;
        Ok(bytes)
    }

    /// Compares the blocks of the level below with the digests in `level`, which is known to be right.
    fn check_below(&self, level: usize) -> Result<(), VerifyError> {
        let entries = self.geometry.levels().get(level).map_or(0, |level| level.entries);
        let mut digests = [0; BLOCK];
        for child in 0..entries {
            if child.is_multiple_of(PER_BLOCK as u64) {
                digests = self.block(level, child / PER_BLOCK as u64)?;
            }
            let at = usize::try_from(child % PER_BLOCK as u64).unwrap_or(0).saturating_mul(DIGEST);
            let below = level.saturating_sub(1);
            if slice(&digests, at, DIGEST) != Some(&self.salted.hash(&self.block(below, child)?)) {
                return Err(VerifyError::Damaged { place: Place::Hash { level: below, block: child } });
            }
        }
        Ok(())
    }

    /// Compares a block of the lowest level, which is known to be right, with what the data says.
    fn check_lowest(&self, block: u64, calculated: &[u8]) -> Result<(), VerifyError> {
        let stored = self.block(0, block)?;
        let Some(entry) = stored.chunks(DIGEST).zip(calculated.chunks(DIGEST)).position(|(one, other)| one != other) else {
            return Ok(());
        };
        let data = block.saturating_mul(PER_BLOCK as u64).saturating_add(entry as u64);
        // Behind the last digest something else than zeros stands, which the root vouches for: not a tree that anyone makes.
        let place =
            if data < self.geometry.data_blocks() { Place::Data { block: data } } else { Place::Padding { level: 0, block } };
        Err(VerifyError::Damaged { place })
    }
}
