//! Many packages to one root: in parallel, and the same every time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealstone_spec::Sha256;
use sha2::{Digest, Sha256 as Hasher};

use super::name::{Layout, MERGED, Member};
use super::tree::{FileMeta, Tree, Writer};
use super::{Order, ar, compression, drain, members};
use crate::error::{SandboxError, UnpackError};

/// Part of every root's digest, and through it of every action's key. Raise it whenever the same packages would be
/// unpacked to another tree; roots and cached results of older versions are then no longer used.
pub const UNPACKER_VERSION: u32 = 1;

/// Directories that every root has, for the sandbox to mount on and programs to rely on.
const DIRECTORIES: &[&str] = &["build", "dev", "etc", "in", "out", "proc", "root", "run", "tmp", "usr", "var/tmp"];

/// What maintainer scripts of base packages would have written, reduced to what programs look up. `resolv.conf` is there
/// to be mounted over when an invocation shares the host's network.
const FILES: &[(&str, &str)] = &[
    ("etc/group", "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/build:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    ),
    ("etc/resolv.conf", ""),
];

/// One package of a root.
#[derive(Clone, Debug)]
pub struct PackageFile {
    /// Name for messages.
    pub name: String,
    /// Digest from the lock; the file is hashed while it is read.
    pub sha256: Sha256,
    /// The `.deb`.
    pub path: PathBuf,
}

/// What a root is made of.
#[derive(Clone, Debug)]
pub struct RootPlan {
    /// Name for messages; not part of the digest.
    pub name: String,
    /// In lock order, which decides: where two packages have the same file, the later one's is kept.
    pub packages: Vec<PackageFile>,
    /// Link path below the root → target, made after all packages: what maintainer scripts would have made. They
    /// replace files of the same name.
    pub links: BTreeMap<String, String>,
}

impl RootPlan {
    /// Names everything that the tree depends on: SHA-256 over the text
    /// ```text
    /// sealstone/root <unpacker version>
    /// package <sha256>                    (one line per package, in order)
    /// link <length>:<path> <length>:<target>    (one line per link, sorted by path)
    /// ```
    /// with lengths in bytes, so that no path can be mistaken for another line.
    pub fn digest(&self) -> Sha256 {
        let mut text = format!("sealstone/root {UNPACKER_VERSION}\n");
        for package in &self.packages {
            // Writing to a String can't fail.
            let _ = writeln!(text, "package {}", package.sha256);
        }
        for (path, target) in &self.links {
            let _ = writeln!(text, "link {}:{path} {}:{target}", path.len(), target.len());
        }
        Sha256::of(text.as_bytes())
    }

    /// Unpacks all packages into `dest`, which must be an empty directory, with as many threads as there are processors.
    /// `on_package` is told after each package how many are done and the name of that one.
    ///
    /// The result doesn't depend on the threads: a contested file goes to the package that stands later in the list, a path
    /// that is a directory in one package and something else in another is an error either way.
    ///
    /// # Errors
    /// [`SandboxError::Unpack`] with the package's name; `dest` must then be thrown away.
    pub fn unpack(&self, dest: &Path, on_package: &(dyn Fn(usize, &str) + Sync)) -> Result<(), SandboxError> {
        let tree = Tree::open(dest).map_err(SandboxError::io("opening", dest))?;
        let ours = |source| SandboxError::Unpack { archive: format!("root {}", self.name), source };
        base(&mut tree.writer(0)).map_err(ours)?;
        let mut writers = self.write_packages(&tree, on_package)?;
        for (number, writer) in &mut writers {
            writer.link_all().map_err(|source| self.in_package(*number, source))?;
        }
        self.make_links(&mut tree.writer(self.packages.len().saturating_add(1))).map_err(ours)?;
        tree.finish(Order::Archive).map_err(ours)
    }

    /// All files of all packages; returns the writers, sorted by number, for their hard links.
    fn write_packages<'t>(
        &self,
        tree: &'t Tree,
        on_package: &(dyn Fn(usize, &str) + Sync),
    ) -> Result<Vec<(usize, Writer<'t>)>, SandboxError> {
        let queue = self.largest_first()?;
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let finished = Mutex::new(Vec::with_capacity(queue.len()));
        let work = || {
            while let Some(number) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Number 0 is the base, so that every package may replace its files.
                let mut writer = tree.writer(number.saturating_add(1));
                let Some(package) = self.packages.get(*number) else { break };
                if let Err(source) = write_package(package, &mut writer) {
                    next.store(queue.len(), Ordering::Relaxed);
                    return Err(self.in_package(*number, source));
                }
                writer.rest();
                finished.lock().unwrap_or_else(|e| e.into_inner()).push((*number, writer));
                on_package(done.fetch_add(1, Ordering::Relaxed).saturating_add(1), &package.name);
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(queue.len());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let mut finished = finished.into_inner().unwrap_or_else(|e| e.into_inner());
        finished.sort_by_key(|(number, _)| *number);
        Ok(finished)
    }

    /// Indexes of the packages, so that the last ones to be taken are small and no processor is left alone at the end.
    fn largest_first(&self) -> Result<Vec<usize>, SandboxError> {
        let mut sized = Vec::with_capacity(self.packages.len());
        for (number, package) in self.packages.iter().enumerate() {
            let meta = fs::metadata(&package.path).map_err(SandboxError::io("looking at", &package.path))?;
            sized.push((std::cmp::Reverse(meta.len()), number));
        }
        sized.sort();
        Ok(sized.into_iter().map(|(_, number)| number).collect())
    }

    fn make_links(&self, writer: &mut Writer<'_>) -> Result<(), UnpackError> {
        for (path, target) in &self.links {
            let refuse = || UnpackError::Name { name: path.clone(), why: "a link of the root needs a path below it" };
            let member = Member::parse(path.as_bytes(), MERGING)?.ok_or_else(refuse)?;
            writer.symlink(&member, target.as_bytes(), super::DIRECTORY_MTIME.tv_sec)?;
        }
        Ok(())
    }

    fn in_package(&self, number: usize, source: UnpackError) -> SandboxError {
        let name = self.packages.get(number).map_or("?", |p| p.name.as_str());
        SandboxError::Unpack { archive: format!("package {name}"), source }
    }
}

const MERGING: Layout = Layout { strip: 0, merged: true };

/// Merged links, mount points and the few files that programs look up.
fn base(writer: &mut Writer<'_>) -> Result<(), UnpackError> {
    let at = |path: &str| {
        let none = || UnpackError::Name { name: path.to_owned(), why: "it names nothing" };
        Member::parse(path.as_bytes(), Layout::PLAIN)?.ok_or_else(none)
    };
    for directory in DIRECTORIES {
        writer.directory(&at(directory)?)?;
    }
    for name in MERGED {
        let target = format!("usr/{name}");
        writer.directory(&at(&target)?)?;
        writer.symlink(&at(name)?, target.as_bytes(), super::DIRECTORY_MTIME.tv_sec)?;
    }
    let meta = FileMeta { executable: false, mtime: super::DIRECTORY_MTIME.tv_sec };
    FILES.iter().try_for_each(|(path, text)| writer.file(&at(path)?, meta, &mut text.as_bytes()))
}

fn write_package(package: &PackageFile, writer: &mut Writer<'_>) -> Result<(), UnpackError> {
    let mut reader = Hashing { inner: File::open(&package.path).map_err(UnpackError::Damaged)?, hasher: Hasher::new() };
    let written = ar::data_member(&mut reader).and_then(compression::plain).and_then(|data| members(data, MERGING, writer));
    drain(&mut reader)?;
    // Before the tar's own error: a damaged file shows itself as some damage or other, and its digest says which file.
    let found = reader.hasher.finalize();
    if found.as_slice() != package.sha256.as_bytes().as_slice() {
        let found = found.iter().map(|b| format!("{b:02x}")).collect();
        return Err(UnpackError::Digest { wanted: package.sha256.to_string(), found });
    }
    written
}

struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
