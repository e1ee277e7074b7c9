//! A log as files (C2SP tlog-tiles): where each hash and entry stands, and which files change when an entry is added.
//!
//! Everything that is written before the new checkpoint is invisible: no signed size asks for it. So whoever writes the files
//! in the order given, each at once and the checkpoint last, can be stopped anywhere and leaves a log that is whole.

use super::TlogError;
use super::merkle::{self, Complete, Hash, MAX_SIZE};

/// Path of the signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// Hashes of a full tile.
const WIDTH: u64 = 256;
/// Levels of the tree that one tile spans.
const HEIGHT: u8 = 8;
const HASH: usize = 32;

/// The longest entry: its length stands in two bytes.
pub const MAX_ENTRY: usize = 0xffff;

/// Reads a file of the log by its path.
pub trait Files {
    /// The bytes, or a sentence that says why there are none.
    ///
    /// # Errors
    /// If there is no such file or it can't be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// The hashes of a log of `size` entries, from its tiles.
pub struct Tiles<'a> {
    files: &'a dyn Files,
    size: u64,
}

impl<'a> Tiles<'a> {
    /// The log of `size` entries in `files`.
    pub fn new(files: &'a dyn Files, size: u64) -> Self {
        Self { files, size }
    }

    /// Hashes of tile `index` at tile level `level`, as wide as this log's size makes it.
    fn tile(&self, level: u8, index: u64) -> Result<Vec<Hash>, TlogError> {
        // The level's hashes in all: each stands for 256^level entries.
        let hashes = self.size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0);
        let width = hashes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH);
        let path = tile_path(Some(level), index, width);
        let bytes = self.read(&path)?;
        let whole = usize::try_from(width).is_ok_and(|width| bytes.len() == width * HASH);
        if !whole {
            return Err(TlogError::File { path, problem: format!("{} bytes, not {width} hashes", bytes.len()) });
        }
        let (hashes, _) = bytes.as_chunks::<HASH>();
        Ok(hashes.iter().map(|hash| Hash::new(*hash)).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, TlogError> {
        self.files.read(path).map_err(|problem| TlogError::File { path: path.to_owned(), problem })
    }

    /// Entries of bundle `index`, as many as this log's size gives it.
    fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, TlogError> {
        let width = self.size.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH);
        let path = tile_path(None, index, width);
        let bytes = self.read(&path)?;
        let entries = entries(&bytes).filter(|entries| u64::try_from(entries.len()) == Ok(width));
        entries.ok_or_else(|| TlogError::File { path, problem: format!("is not {width} entries") })
    }

    /// Checks that entries and tiles are those of a log with this root: every entry is hashed and every tile recomputed.
    ///
    /// # Errors
    /// [`TlogError::File`] names the first file that isn't what it should be; [`TlogError::Consistency`] another root.
    pub fn check(&self, root: &Hash) -> Result<(), TlogError> {
        let mut level_hashes: Vec<Hash> = Vec::new();
        for index in 0..self.size.div_ceil(WIDTH) {
            level_hashes.extend(self.bundle(index)?.iter().map(|entry| merkle::leaf(entry)));
        }
        let mut level = 0;
        while !level_hashes.is_empty() {
            for (index, expected) in (0u64..).zip(level_hashes.chunks(256)) {
                if self.tile(level, index)? != expected {
                    let path = tile_path(Some(level), index, u64::try_from(expected.len()).unwrap_or(WIDTH));
                    let problem = "its hashes are not those of the entries below".to_owned();
                    return Err(TlogError::File { path, problem });
                }
            }
            level_hashes = level_hashes.chunks_exact(256).map(fold).collect();
            level += 1;
        }
        match merkle::root(self, self.size)? {
            found if found == *root => Ok(()),
            _ => Err(TlogError::Consistency { old: self.size, new: self.size }),
        }
    }

    /// Where the first entry with these bytes stands.
    ///
    /// # Errors
    /// If a bundle can't be read.
    pub fn find(&self, wanted: &[u8]) -> Result<Option<u64>, TlogError> {
        for index in 0..self.size.div_ceil(WIDTH) {
            let found = (0u64..).zip(self.bundle(index)?).find(|(_, entry)| entry == wanted);
            if let Some((at, _)) = found {
                return Ok(Some(index * WIDTH + at));
            }
        }
        Ok(None)
    }
}

impl Complete for Tiles<'_> {
    fn complete(&self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let within = level % HEIGHT;
        let first = index << within;
        let tile = self.tile(level / HEIGHT, first / WIDTH)?;
        let from = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let hashes = from.checked_add(1 << within).and_then(|to| tile.get(from..to));
        let hashes = hashes.ok_or_else(|| TlogError::shape("tile", "a hash is asked for that the log does not have yet"))?;
        Ok(fold(hashes))
    }
}

/// The root of a power of two of hashes.
fn fold(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| merkle::node(left, right)).collect();
    }
    level.first().copied().unwrap_or_else(merkle::empty_root)
}

/// What adding an entry writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Files to write, in this order; then the checkpoint.
    pub files: Vec<(String, Vec<u8>)>,
    /// The new size; the entry's index is one less.
    pub size: u64,
    /// The new root.
    pub root: Hash,
}

/// Adds `entry` to the log of `size` entries in `files`.
///
/// # Errors
/// If the entry is too long, or a tile that grows can't be read.
pub fn append(files: &dyn Files, size: u64, entry: &[u8]) -> Result<Appended, TlogError> {
    if size >= MAX_SIZE {
        return Err(TlogError::shape("log that can grow", "it is full"));
    }
    let length = u16::try_from(entry.len()).map_err(|_| TlogError::shape("log entry", "longer than 65535 bytes"))?;
    let tiles = Tiles::new(files, size);
    let grown = |level: Option<u8>, index: u64, more: &[u8]| -> Result<(String, Vec<u8>, u64), TlogError> {
        let (tile, width) = (index / WIDTH, index % WIDTH);
        let mut bytes = if width == 0 { Vec::new() } else { tiles.read(&tile_path(level, tile, width))? };
        bytes.extend_from_slice(more);
        Ok((tile_path(level, tile, width + 1), bytes, width + 1))
    };
    let mut bundled = length.to_be_bytes().to_vec();
    bundled.extend_from_slice(entry);
    let (path, bytes, _) = grown(None, size, &bundled)?;
    let mut written = vec![(path, bytes)];
    let (mut level, mut index, mut hash) = (0u8, size, merkle::leaf(entry));
    loop {
        let (path, bytes, width) = grown(Some(level), index, hash.as_bytes())?;
        let hashes: Vec<Hash> = bytes.as_chunks::<HASH>().0.iter().map(|hash| Hash::new(*hash)).collect();
        written.push((path, bytes));
        if width < WIDTH {
            break;
        }
        // A tile is full: its root becomes a hash of the level above.
        (level, index, hash) = (level + 1, index / WIDTH, fold(&hashes));
    }
    let overlay = Overlay { files, written: &written };
    let root = merkle::root(&Tiles::new(&overlay, size + 1), size + 1)?;
    Ok(Appended { files: written, size: size + 1, root })
}

/// The log as it will be.
struct Overlay<'a> {
    files: &'a dyn Files,
    written: &'a [(String, Vec<u8>)],
}

impl Files for Overlay<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match self.written.iter().find(|(written, _)| written == path) {
            Some((_, bytes)) => Ok(bytes.clone()),
            None => self.files.read(path),
        }
    }
}

/// `tile/L/N[.p/W]`, or `tile/entries/N[.p/W]` without a level. Every part of `N` has three digits; all but the last begin
/// with `x`.
fn tile_path(level: Option<u8>, index: u64, width: u64) -> String {
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{number}{partial}")
}

/// Entries of a bundle: each behind its length in two bytes.
fn entries(mut bundle: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bundle = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(BTreeMap<String, Vec<u8>>);

    impl Files for Memory {
        fn read(&self, path: &str) -> Result<Vec<u8>, String> {
            self.0.get(path).cloned().ok_or_else(|| "missing".to_owned())
        }
    }

    /// A tree over all leaves at once, by the definition.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => merkle::empty_root(),
            [one] => *one,
            many => {
                let mut k = 1;
                while k * 2 < many.len() {
                    k *= 2;
                }
                merkle::node(&naive(&many[..k]), &naive(&many[k..]))
            }
        }
    }

    fn entry(n: u64) -> Vec<u8> {
        format!("entry {n}").into_bytes()
    }

    #[test]
    fn paths() {
        // The example of the specification, and its neighbours.
        for (level, index, width, path) in [
            (Some(0), 1_234_067, 256, "tile/0/x001/x234/067"),
            (Some(0), 0, 1, "tile/0/000.p/1"),
            (Some(63), 999, 255, "tile/63/999.p/255"),
            (None, 1000, 256, "tile/entries/x001/000"),
        ] {
            assert_eq!(tile_path(level, index, width), path);
        }
    }

    #[test]
    fn grows_and_stays_consistent() {
        let mut log = Memory::default();
        let (mut leaves, mut roots) = (Vec::new(), vec![merkle::empty_root()]);
        // Past 512, so that tiles fill up, twice, and a second level begins.
        for n in 0..600u64 {
            let appended = append(&log, n, &entry(n)).unwrap();
            log.0.extend(appended.files);
            leaves.push(merkle::leaf(&entry(n)));
            assert_eq!(appended.size, n + 1);
            if n % 37 == 0 || n > 505 && n < 520 || (250..260).contains(&n) {
                assert_eq!(appended.root, naive(&leaves), "{n}");
            }
            roots.push(appended.root);
        }
        assert_eq!(log.0["tile/1/000.p/2"].len(), 64, "two full tiles");
        let tiles = Tiles::new(&log, 600);
        tiles.check(&roots[600]).unwrap();
        assert!(tiles.check(&roots[599]).is_err());
        assert_eq!(tiles.find(&entry(511)), Ok(Some(511)));
        assert_eq!(tiles.find(b"never"), Ok(None));
        for old in [0, 1, 2, 255, 256, 257, 511, 512, 513, 599, 600] {
            let path = merkle::consistency(&tiles, old, 600).unwrap();
            merkle::verify_consistency((old, roots[old as usize]), (600, roots[600]), &path).unwrap();
            // Older sizes can still be proven from the tiles of the newest.
            if old > 0 {
                let then = Tiles::new(&log, old);
                let path = merkle::inclusion(&then, old - 1, old).unwrap();
                merkle::verify_inclusion(leaves[old as usize - 1], old - 1, old, &path, &roots[old as usize]).unwrap();
            }
        }
    }

    #[test]
    fn every_changed_byte_of_a_log_is_found() {
        let mut log = Memory::default();
        let mut root = merkle::empty_root();
        for n in 0..258 {
            let appended = append(&log, n, &entry(n)).unwrap();
            log.0.extend(appended.files);
            root = appended.root;
        }
        let seen = ["tile/0/000", "tile/0/001.p/2", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/2"];
        for path in seen {
            for at in (0..log.0[path].len()).step_by(7) {
                let mut other = log.clone();
                other.0.get_mut(path).unwrap()[at] ^= 1;
                assert!(Tiles::new(&other, 258).check(&root).is_err(), "{path} byte {at}");
            }
            let mut other = log.clone();
            other.0.remove(path);
            let error = Tiles::new(&other, 258).check(&root).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let log = Memory::default();
        for size in [1, 256, 1 << 40, MAX_SIZE, u64::MAX] {
            assert!(Tiles::new(&log, size).complete(0, 0).is_err());
            assert!(merkle::inclusion(&Tiles::new(&log, size), 0, size).is_err() || size == 1);
            assert!(append(&log, size, b"x").is_err());
        }
        assert!(append(&log, 0, &vec![0; MAX_ENTRY + 1]).is_err());
        assert!(append(&log, 0, &vec![0; MAX_ENTRY]).is_ok());
    }
}
