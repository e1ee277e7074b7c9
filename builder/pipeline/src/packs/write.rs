//! Writing a pack: one pass over the files, which are hashed as they are copied, then the hash tree over what was written.
//!
//! What it must prove: that the content digest, from which salt and UUID follow, is one of the bytes that are in the pack, although
//! files may change while they are read. So what is hashed is what was written, not what a second look would find.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sealstone_formats::pack::{Content, Identity, content_digest};
use sealstone_formats::{erofs, verity};
use sealstone_spec::{ModelName, Sha256};
use sha2::Digest;

use super::area::{Behind, Data};
use super::error::{Doing, PackError};
use super::source::Source;

/// A pack that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pack {
    /// Bytes of its data, without the hash tree: `size` of the measured configuration.
    pub size: u64,
    /// The dm-verity salt.
    pub salt: Sha256,
    /// The dm-verity root.
    pub root: Sha256,
    /// Bytes of the whole pack.
    pub bytes: u64,
    /// Its files: path → length and SHA-256.
    pub files: BTreeMap<String, (u64, Sha256)>,
    /// SHA-256 of the whole pack, if it was asked for.
    pub sha256: Option<Sha256>,
}

/// How to write one.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The model's name.
    pub name: &'a ModelName,
    /// Every time in the pack.
    pub epoch: u64,
    /// Whether to hash the whole pack as well, for lists of files; dm-verity needs no such digest.
    pub whole: bool,
    /// Is told from several threads how many bytes more were handled; [`work`] says how many there will be.
    pub watch: &'a (dyn Fn(u64) + Sync),
}

/// About how many bytes [`write`] tells `watch` of: every byte is copied once and read once more.
pub fn work(source: &Source) -> u64 {
    source.total().saturating_mul(2)
}

/// Writes the pack into `out`, which must be empty; `path` names it in errors. Memory is bounded, whatever the files' length: two pieces a
/// thread, and the names.
///
/// # Errors
/// [`PackError`]; what has been written by then is no pack.
pub fn write(source: &Source, order: &Order<'_>, out: &File, path: &Path) -> Result<Pack, PackError> {
    let files: Vec<erofs::File<'_>> = source.list().map(|(path, size)| erofs::File { path, size }).collect();
    let image_error = |source| PackError::Image { path: path.to_path_buf(), source };
    let (size, digests) = copy(source, order, &files, out).map_err(image_error)?;

    let contents: Vec<Content<'_>> = files
        .iter()
        .map(|file| Content { path: file.path, size: file.size, sha256: *digests.get(file.path).unwrap_or(&empty()).as_bytes() })
        .collect();
    let identity = Identity::derive(order.name.as_str(), &content_digest(&contents));
    let image = erofs::Image { uuid: identity.uuid, epoch: order.epoch, files: &files };
    out.write_all_at(&erofs::metadata(&image).map_err(image_error)?, 0).doing("writing", path)?;

    let (root, sha256) = tree(order, &identity, out, size, path)?;
    let listed = contents.iter().map(|file| (file.path.to_owned(), (file.size, Sha256::from_bytes(file.sha256)))).collect();
    Ok(Pack {
        size,
        salt: Sha256::from_bytes(*identity.salt.as_bytes()),
        root: Sha256::from_bytes(*root.as_bytes()),
        bytes: out.metadata().doing("looking at", path)?.len(),
        files: listed,
        sha256,
    })
}

fn empty() -> Sha256 {
    Sha256::of(&[])
}

/// Writes the image under no UUID, because that follows from the digests that come out of this.
fn copy(
    source: &Source,
    order: &Order<'_>,
    files: &[erofs::File<'_>],
    mut out: &File,
) -> Result<(u64, BTreeMap<String, Sha256>), erofs::WriteError> {
    let digests = RefCell::new(BTreeMap::new());
    let image = erofs::Image { uuid: uuid::Uuid::nil(), epoch: order.epoch, files };
    let open = |file: &erofs::File<'_>| {
        let inner = source.open(file.path)?;
        Ok(Reading { inner, hasher: sha2::Sha256::new(), path: file.path.to_owned(), digests: &digests, watch: order.watch })
    };
    let size = erofs::write(&image, open, &mut out)?;
    out.flush()?;
    Ok((size, digests.into_inner()))
}

/// A file that is hashed as it is read; its digest is noted at its end, which the writer reads up to.
struct Reading<'a> {
    inner: Box<dyn Read>,
    hasher: sha2::Sha256,
    path: String,
    digests: &'a RefCell<BTreeMap<String, Sha256>>,
    watch: &'a (dyn Fn(u64) + Sync),
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            let digest = std::mem::take(&mut self.hasher).finalize();
            self.digests.borrow_mut().entry(self.path.clone()).or_insert_with(|| Sha256::from_bytes(digest.into()));
        }
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        (self.watch)(count as u64);
        Ok(count)
    }
}

/// Writes superblock and tree; hashes the whole pack meanwhile if that is wanted.
fn tree(
    order: &Order<'_>,
    identity: &Identity,
    out: &File,
    size: u64,
    path: &Path,
) -> Result<(verity::Root, Option<Sha256>), PackError> {
    std::thread::scope(|scope| {
        // Over the data while the tree is made: the blocks are in the page cache for both.
        let hashing = order.whole.then(|| scope.spawn(|| hash(out, 0, size, sha2::Sha256::new())));
        let data = Data { file: out, size, watch: order.watch };
        let mut area = Behind { file: out, start: size };
        let root = verity::write(&data, &identity.salt, identity.uuid, &mut area)
            .map_err(|source| PackError::Tree { path: path.to_path_buf(), source })?;
        let Some(hashing) = hashing else { return Ok((root, None)) };
        let hasher = hashing.join().unwrap_or_else(|_| Err(io::Error::other("the hashing thread ended early")));
        let end = out.metadata().doing("looking at", path)?.len();
        let whole = hasher.and_then(|hasher| hash(out, size, end, hasher)).doing("reading", path)?;
        Ok((root, Some(Sha256::from_bytes(whole.finalize().into()))))
    })
}

/// Takes the bytes from `start` to `end` into `hasher`.
fn hash(file: &File, start: u64, end: u64, mut hasher: sha2::Sha256) -> io::Result<sha2::Sha256> {
    let mut piece = vec![0; 1 << 18];
    let mut at = start;
    while at < end {
        let len = usize::try_from(end - at).map_or(piece.len(), |left| left.min(piece.len()));
        let piece = piece.get_mut(..len).unwrap_or_default();
        file.read_exact_at(piece, at)?;
        hasher.update(&*piece);
        at += len as u64;
    }
    Ok(hasher)
}

/// Counts up and passes on the sum, for progress that wants positions rather than steps.
pub struct Counter<F: Fn(u64) + Sync> {
    done: AtomicU64,
    tell: F,
}

impl<F: Fn(u64) + Sync> Counter<F> {
    /// Tells `tell` the sum every time.
    pub fn new(tell: F) -> Self {
        Counter { done: AtomicU64::new(0), tell }
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        // Every few MiB is often enough for a person.
        const STEP: u64 = 8 << 20;
        let before = self.done.fetch_add(more, Ordering::Relaxed);
        if before / STEP != before.saturating_add(more) / STEP {
            (self.tell)(before.saturating_add(more));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealstone_formats::pack;

    fn pack_of(files: &[(&str, &[u8])], name: &str, epoch: u64) -> (Vec<u8>, Pack) {
        let tmp = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(tmp.path().join(name), bytes).unwrap();
        }
        let source = Source::folder(tmp.path()).unwrap();
        let mut out = tempfile::tempfile().unwrap();
        let name: ModelName = name.parse().unwrap();
        let order = Order { name: &name, epoch, whole: true, watch: &|_| {} };
        let made = write(&source, &order, &out, Path::new("test.pack")).unwrap();
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut out).unwrap();
        out.read_to_end(&mut bytes).unwrap();
        (bytes, made)
    }

    /// The same pack by the formats' own way, everything in memory and the identity known beforehand.
    #[test]
    fn one_pass_gives_the_same_bytes() {
        let long = vec![0xA7; 300_000];
        let files: [(&str, &[u8]); 3] = [("a.gguf", &long), ("b", b""), ("c", b"x")];
        let (bytes, made) = pack_of(&files, "small", 5);

        let contents: Vec<_> = files
            .iter()
            .map(|(path, data)| Content { path, size: data.len() as u64, sha256: *Sha256::of(data).as_bytes() })
            .collect();
        let identity = Identity::derive("small", &content_digest(&contents));
        let declared: Vec<_> = files.iter().map(|(path, data)| erofs::File { path, size: data.len() as u64 }).collect();
        let open =
            |file: &erofs::File<'_>| Ok(files.iter().find(|(path, _)| *path == file.path).map_or(&b""[..], |(_, data)| data));
        let mut expected = Vec::new();
        erofs::write(&erofs::Image { uuid: identity.uuid, epoch: 5, files: &declared }, open, &mut expected).unwrap();
        let mut area = Vec::new();
        let root = verity::write(&expected, &identity.salt, identity.uuid, &mut area).unwrap();
        let size = expected.len() as u64;
        expected.extend(area);

        assert!(bytes == expected);
        assert_eq!((made.size, made.bytes), (size, expected.len() as u64));
        assert_eq!((made.root.to_string(), made.salt.to_string()), (root.to_string(), identity.salt.to_string()));
        assert_eq!(made.sha256, Some(Sha256::of(&expected)));
        assert_eq!(made.files["b"], (0, Sha256::of(b"")));
        pack::verify(&bytes, size, &identity.salt, &root).unwrap();
    }

    #[test]
    fn name_epoch_and_content_each_give_another_root() {
        let roots = [
            pack_of(&[("m.gguf", b"1")], "a", 0).1.root,
            pack_of(&[("m.gguf", b"1")], "b", 0).1.root,
            pack_of(&[("m.gguf", b"1")], "a", 1).1.root,
            pack_of(&[("m.gguf", b"2")], "a", 0).1.root,
            pack_of(&[("n.gguf", b"1")], "a", 0).1.root,
        ];
        let different: std::collections::BTreeSet<_> = roots.iter().map(ToString::to_string).collect();
        assert_eq!(different.len(), roots.len());
        assert_eq!(pack_of(&[("m.gguf", b"1")], "a", 0).1.root, roots[0], "and the same gives the same");
    }
}
