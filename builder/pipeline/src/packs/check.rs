//! Checking a pack that somebody hands over.
//!
//! How it could fool: by believing what the pack says of itself. How long its data is follows from the file's length alone, and with a root
//! given nothing else decides. Without one, the check shows that every block belongs to the root that is printed, and it is for the
//! reader to compare that with the measured configuration.

use std::fs::File;
use std::path::Path;

use sealstone_formats::access::ReadAt;
use sealstone_formats::erofs::{Kind, Volume};
use sealstone_formats::pack;
use sealstone_formats::verity::{BLOCK, Geometry, Root, Salt, Superblock};
use sealstone_spec::Sha256;
use sha2::Digest;

use super::area::Data;
use super::error::{Doing, PackError};

/// A pack whose every block belongs to `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Bytes of its data.
    pub size: u64,
    /// Bytes of the whole pack.
    pub bytes: u64,
    /// The dm-verity salt.
    pub salt: Sha256,
    /// The dm-verity root.
    pub root: Sha256,
    /// Every time in it.
    pub epoch: u64,
    /// Its files: path and length.
    pub files: Vec<(String, u64)>,
}

/// Checks every block of the pack at `path`: against `root` if it is given, else against the root that its own top block has. `watch` is
/// told from several threads how many bytes more were checked.
///
/// # Errors
/// [`PackError::NoPack`] and [`PackError::Damaged`], which names the first place that isn't right.
pub fn check(path: &Path, root: Option<Sha256>, watch: &(dyn Fn(u64) + Sync)) -> Result<Checked, PackError> {
    let file = File::open(path).doing("opening", path)?;
    let meta = file.metadata().doing("looking at", path)?;
    let no_pack = |problem: &str| PackError::NoPack { path: path.to_path_buf(), problem: problem.to_owned() };
    if !meta.is_file() {
        return Err(no_pack("it is no plain file"));
    }
    let whole = Data { file: &file, size: meta.len(), watch };
    let geometry =
        geometry(meta.len()).ok_or_else(|| no_pack("no pack has that length: it is cut off, too long, or something else"))?;
    let size = geometry.data_blocks() * BLOCK as u64;
    let damaged = |source: pack::PackError| PackError::Damaged { path: path.to_path_buf(), source };
    let mut block = [0; BLOCK];
    whole.read_at(size, &mut block).doing("reading", path)?;
    let superblock = Superblock::parse(&block).map_err(|error| damaged(error.into()))?;
    let root = match root {
        Some(root) => Root::from_bytes(*root.as_bytes()),
        None => {
            whole.read_at(size + BLOCK as u64, &mut block).doing("reading", path)?;
            own_root(&superblock.salt, &block)
        }
    };
    let volume = pack::verify(&whole, size, &superblock.salt, &root).map_err(damaged)?;
    Ok(Checked {
        size,
        bytes: meta.len(),
        salt: Sha256::from_bytes(*superblock.salt.as_bytes()),
        root: Sha256::from_bytes(*root.as_bytes()),
        epoch: volume.epoch,
        files: files(&volume),
    })
}

/// The tree over the only number of data blocks that makes a pack of `length` bytes: more data makes a longer pack.
fn geometry(length: u64) -> Option<Geometry> {
    if !length.is_multiple_of(BLOCK as u64) {
        return None;
    }
    let blocks = length / BLOCK as u64;
    let total = |geometry: &Geometry| geometry.data_blocks() + 1 + geometry.tree_blocks();
    let (mut low, mut high) = (0, blocks);
    while low < high {
        let middle = low + (high - low) / 2;
        match Geometry::new(middle) {
            Ok(geometry) if total(&geometry) >= blocks => high = middle,
            // Too few blocks for a tree, or for this length.
            Ok(_) => low = middle + 1,
            Err(_) if middle < 2 => low = middle + 1,
            Err(_) => high = middle,
        }
    }
    Geometry::new(low).ok().filter(|geometry| total(geometry) == blocks)
}

/// What the top block hashes to. Source: Linux, Documentation/admin-guide/device-mapper/verity.rst, format version 1.
fn own_root(salt: &Salt, block: &[u8]) -> Root {
    Root::from_bytes(sha2::Sha256::new().chain_update(salt.as_bytes()).chain_update(block).finalize().into())
}

fn files(volume: &Volume) -> Vec<(String, u64)> {
    let all = volume.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::File);
    all.map(|(index, node)| (volume.path(index), node.size)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{place, source::Source, write::Order, write::Pack};
    use super::*;

    const QUIET: &(dyn Fn(u64) + Sync) = &|_| {};

    fn sample(dir: &Path, name: &str, fill: u8) -> (std::path::PathBuf, Pack) {
        let path = dir.join(format!("{name}.pack"));
        // Three levels are out of reach of a test; two are not.
        let source = Source::bytes("model.gguf", vec![fill; 200 * BLOCK + 5]);
        let model = name.parse().unwrap();
        let made = place::pack(&source, &Order { name: &model, epoch: 0, whole: false, watch: QUIET }, &path).unwrap();
        (path, made)
    }

    #[test]
    fn a_sound_pack_tells_what_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let (path, made) = sample(tmp.path(), "a", 7);
        for root in [None, Some(made.root)] {
            let found = check(&path, root, QUIET).unwrap();
            assert_eq!((found.root, found.salt, found.size, found.bytes), (made.root, made.salt, made.size, made.bytes));
            assert_eq!(found.files, [("model.gguf".to_owned(), (200 * BLOCK + 5) as u64)]);
        }
    }

    /// Every part of a pack, with and without its root: a flipped bit is found and its place named.
    #[test]
    fn one_flipped_bit_is_found_wherever_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let (path, made) = sample(tmp.path(), "a", 7);
        let good = std::fs::read(&path).unwrap();
        let size = usize::try_from(made.size).unwrap();
        for (what, at, place) in [
            ("EROFS superblock", 1024 + 10, "data block 0"),
            ("inode", BLOCK + 3, "data block 1"),
            ("file", 50 * BLOCK, "data block 50"),
            ("padding behind the file", size - 1, "data block"),
            ("dm-verity signature", size, "there is none"),
            ("dm-verity UUID", size + 20, "another salt, UUID or length"),
            ("top block", size + BLOCK + 1, ""),
            ("padding of the top block", size + 2 * BLOCK - 1, ""),
            ("level 0", size + 2 * BLOCK + 64, "level 0"),
            ("end of the tree", good.len() - 1, "level 0"),
        ] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            let error = check(&path, Some(made.root), QUIET).expect_err(what).to_string();
            assert!(error.contains(place), "{what}: {error}");
            match check(&path, None, QUIET) {
                // A flip in the padding of the top block alone makes another root of it: only the comparison tells.
                Ok(found) => assert!(what == "padding of the top block" && found.root != made.root, "{what}"),
                Err(error) => assert_ne!(what, "padding of the top block", "{error}"),
            }
        }
    }

    #[test]
    fn other_lengths_and_other_packs() {
        let tmp = tempfile::tempdir().unwrap();
        let (path, made) = sample(tmp.path(), "a", 7);
        let (_, other) = sample(tmp.path(), "b", 7);
        assert_ne!(made.root, other.root, "another name alone is another pack");
        assert!(check(&path, Some(other.root), QUIET).unwrap_err().to_string().contains("dm-verity root is"));

        let good = std::fs::read(&path).unwrap();
        for len in [0, 1, BLOCK, 4 * BLOCK, good.len() - 1, good.len() - BLOCK, good.len() - 100 * BLOCK] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(check(&path, None, QUIET).is_err(), "cut to {len}");
        }
        for more in [1, BLOCK, 100 * BLOCK] {
            std::fs::write(&path, [good.as_slice(), &vec![0; more]].concat()).unwrap();
            assert!(check(&path, None, QUIET).is_err(), "{more} bytes more");
        }
    }

    #[test]
    fn lengths_of_packs_and_no_others() {
        let mut total = std::collections::BTreeSet::new();
        for blocks in (2..700).chain([16_383, 16_384, 16_385, 16_512, 16_513, 3_000_000]) {
            let expected = Geometry::new(blocks).unwrap();
            let length = (blocks + 1 + expected.tree_blocks()) * BLOCK as u64;
            assert_eq!(geometry(length).map(|found| found.data_blocks()), Some(blocks), "{blocks}");
            assert!(geometry(length + 1).is_none());
            total.insert(length);
        }
        let between = (4..600).map(|blocks| blocks * BLOCK as u64).filter(|length| !total.contains(length));
        assert!(between.clone().count() > 1);
        assert!(between.into_iter().all(|length| geometry(length).is_none()));
    }
}
