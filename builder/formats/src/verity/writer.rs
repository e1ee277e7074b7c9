//! Data → hash tree, and the superblock in front of it.

use std::io;

use uuid::Uuid;

use crate::access::{ReadAt, WriteAt};

use super::hash::{Root, Salt, Salted, Unread, level_0};
use super::layout::{
    ALGORITHM, BLOCK, DIGEST, Geometry, HASH_TYPE, Level, PER_BLOCK, SIGNATURE, SUPERBLOCK, SUPERBLOCK_LEN, SizeError, VERSION,
};

/// Why a tree couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The data's length isn't one for a tree; nothing has been written.
    #[error("making the dm-verity tree: {0}")]
    Size(#[from] SizeError),
    /// The data couldn't be read; the tree is incomplete.
    #[error("making the dm-verity tree: reading data from byte {offset:#x}: {source}")]
    Data {
        /// Where reading began.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
    /// Whatever the tree is written into failed; the tree is incomplete.
    #[error("writing the dm-verity tree: {0}")]
    Output(#[from] io::Error),
}

impl From<Unread> for WriteError {
    fn from(unread: Unread) -> Self {
        WriteError::Data { offset: unread.offset, source: unread.source }
    }
}

/// Writes what stands behind a pack's data: one block with the superblock at 0 of `area`, then the tree from [`BLOCK`].
/// See [`write_tree`].
///
/// # Errors
/// [`WriteError`].
pub fn write(data: &(impl ReadAt + ?Sized), salt: &Salt, uuid: Uuid, area: &mut impl WriteAt) -> Result<Root, WriteError> {
    let geometry = Geometry::of_bytes(data.size())?;
    area.write_at(0, &write_superblock(&geometry, salt, uuid))?;
    write_tree(data, salt, &mut Behind { area })
}

/// Writes the tree over `data` from 0 of `tree`, top level first, and returns its root: what
/// `veritysetup format --no-superblock --hash sha256 --salt SALT` writes.
///
/// Hashing uses all threads of rayon's pool; memory is bounded, about 1 MiB a thread, whatever the data's length. Blocks
/// are written out of order.
///
/// # Errors
/// [`WriteError`].
pub fn write_tree(data: &(impl ReadAt + ?Sized), salt: &Salt, tree: &mut impl WriteAt) -> Result<Root, WriteError> {
    let geometry = Geometry::of_bytes(data.size())?;
    let salted = Salted::new(salt);
    let mut climb = Climb::new(&geometry, &salted, tree);
    let lowest = geometry.levels().first().map_or(0, |level| level.first);
    let mut together = Vec::new();
    level_0(data, &salted, |first, runs| {
        together.clear();
        runs.iter().for_each(|run| together.extend_from_slice(run.block.as_slice()));
        climb.tree.write_at((lowest + first) * BLOCK as u64, &together)?;
        runs.iter().try_for_each(|run| climb.push(1, run.digest))?;
        Ok::<(), WriteError>(())
    })?;
    climb.finish()
}

/// The block in front of the tree from which `veritysetup verify` and `veritysetup open` learn the parameters. The image
/// never reads it: it has them from the measured configuration.
pub fn write_superblock(geometry: &Geometry, salt: &Salt, uuid: Uuid) -> [u8; BLOCK] {
    let mut bytes = Vec::with_capacity(BLOCK);
    let block_size = (BLOCK as u32).to_le_bytes();
    bytes.extend_from_slice(SIGNATURE);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&HASH_TYPE.to_le_bytes());
    bytes.extend_from_slice(uuid.as_bytes());
    bytes.extend_from_slice(ALGORITHM);
    bytes.extend_from_slice(&block_size);
    bytes.extend_from_slice(&block_size);
    bytes.extend_from_slice(&geometry.data_blocks().to_le_bytes());
    bytes.extend_from_slice(&(DIGEST as u16).to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(salt.as_bytes());
    let mut block = [0; BLOCK];
    block.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    block
}

// The fields above end with the salt; what is left of it and of the superblock is zero.
const _: () = assert!(SUPERBLOCK[10].at == 88 && SUPERBLOCK_LEN <= BLOCK);

/// The tree's part of an area that begins with the superblock's block.
struct Behind<'a, W> {
    area: &'a mut W,
}

impl<W: WriteAt> WriteAt for Behind<'_, W> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.area.write_at(BLOCK as u64 + offset, bytes)
    }
}

/// The levels above the lowest, each with the one block that is being filled.
struct Climb<'a, W> {
    tree: &'a mut W,
    salted: &'a Salted,
    levels: Vec<Filling>,
    root: Option<Root>,
}

struct Filling {
    level: Level,
    /// Blocks of the level that are written.
    written: u64,
    block: Box<[u8; BLOCK]>,
    /// Digests in it.
    entries: usize,
}

impl<'a, W: WriteAt> Climb<'a, W> {
    fn new(geometry: &Geometry, salted: &'a Salted, tree: &'a mut W) -> Self {
        let filling = |level: &Level| Filling { level: *level, written: 0, block: Box::new([0; BLOCK]), entries: 0 };
        Climb { tree, salted, levels: geometry.levels().iter().map(filling).collect(), root: None }
    }

    /// Takes a digest into level `index`, and so on upwards for every block that this fills. A digest above the top level
    /// is the root.
    fn push(&mut self, mut index: usize, mut digest: [u8; DIGEST]) -> io::Result<()> {
        while let Some(filling) = self.levels.get_mut(index) {
            if !filling.take(digest) {
                return Ok(());
            }
            digest = filling.write(self.salted, self.tree)?;
            index += 1;
        }
        self.root = Some(Root::from_bytes(digest));
        Ok(())
    }

    /// Writes the blocks that aren't full, bottom to top.
    fn finish(mut self) -> Result<Root, WriteError> {
        for index in 1..self.levels.len() {
            let Some(filling) = self.levels.get_mut(index).filter(|filling| filling.entries > 0) else { continue };
            let digest = filling.write(self.salted, self.tree)?;
            self.push(index + 1, digest)?;
        }
        // A tree has at least one block, so that something was pushed above the top.
        self.root.ok_or(WriteError::Size(SizeError { blocks: 0 }))
    }
}

impl Filling {
    /// Adds a digest; whether the block is full now.
    fn take(&mut self, digest: [u8; DIGEST]) -> bool {
        let (places, _) = self.block.as_chunks_mut();
        if let Some(place) = places.get_mut(self.entries) {
            *place = digest;
        }
        self.entries += 1;
        self.entries >= PER_BLOCK
    }

    /// Writes the block, returns its digest, and starts the next one.
    fn write(&mut self, salted: &Salted, tree: &mut impl WriteAt) -> io::Result<[u8; DIGEST]> {
        tree.write_at((self.level.first + self.written) * BLOCK as u64, self.block.as_slice())?;
        let digest = salted.hash(&self.block);
        self.block.fill(0);
        self.entries = 0;
        self.written += 1;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree over 130 blocks of zeros, put together by hand from the kernel's description.
    #[test]
    fn a_tree_of_two_levels() {
        let salt = Salt::from_bytes([0xA5; 32]);
        let salted = |block: &[u8]| {
            use sha2::Digest;
            let mut input = vec![0xA5; 32];
            input.extend_from_slice(block);
            <[u8; 32]>::from(sha2::Sha256::digest(&input))
        };
        let leaf = salted(&[0; BLOCK]);
        let full = leaf.repeat(128);
        let mut rest = leaf.repeat(2);
        rest.resize(BLOCK, 0);
        let mut top = [salted(&full), salted(&rest)].concat();
        top.resize(BLOCK, 0);

        let mut tree = Vec::new();
        let root = write_tree(&vec![0u8; 130 * BLOCK], &salt, &mut tree).unwrap();
        assert!(tree == [top.clone(), full, rest].concat());
        assert_eq!(root.as_bytes(), &salted(&top));
    }

    #[test]
    fn lengths_without_a_tree_are_refused() {
        for len in [0, 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1] {
            let mut tree = Vec::new();
            let error = write_tree(&vec![0u8; len], &Salt::from_bytes([0; 32]), &mut tree).unwrap_err();
            assert!(matches!(error, WriteError::Size(_)), "{len}: {error}");
            assert!(tree.is_empty());
        }
    }

    #[test]
    fn failures_of_both_sides_are_passed_on() {
        struct Bad;
        impl ReadAt for Bad {
            fn size(&self) -> u64 {
                1 << 30
            }
            fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
                out.fill(1);
                if offset < 1 << 20 { Ok(()) } else { Err(io::ErrorKind::StaleNetworkFileHandle.into()) }
            }
        }
        struct Full;
        impl WriteAt for Full {
            fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let salt = Salt::from_bytes([0; 32]);
        let error = write_tree(&Bad, &salt, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, WriteError::Data { offset: 0x10_0000, .. }), "{error}");
        let error = write_tree(&vec![0u8; 2 * BLOCK], &salt, &mut Full).unwrap_err();
        assert!(matches!(error, WriteError::Output(_)), "{error}");
    }
}
