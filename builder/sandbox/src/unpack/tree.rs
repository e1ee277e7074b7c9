//! Writing below one directory without ever following a link.
//!
//! Every directory on the way is opened by its one name, relative to the one before, with `O_NOFOLLOW`; whatever isn't
//! a directory there is an error. So no archive can reach outside, whatever links it or another one has made, and the
//! result doesn't depend on which of two archives came first. (`openat2` would say the same in one call, but is missing on
//! older kernels and forbidden in some containers.)

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::fs::{fchmod, futimens, linkat, mkdirat, open, openat, symlinkat, unlinkat, utimensat};
use rustix::io::Errno;

use super::name::{Member, shown};
use super::order::{Order, reorder};
use super::{DIRECTORY_MTIME, drain};
use crate::error::UnpackError;

/// How directories are opened: never through a link.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const FILE: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const PLAIN_MODE: Mode = Mode::from_raw_mode(0o644);
const EXECUTABLE_MODE: Mode = Mode::from_raw_mode(0o755);

const COPY_BUFFER: usize = 128 * 1024;

/// The directory that is filled.
pub(super) struct Tree {
    root: OwnedFd,
    /// Which writer a path that isn't a directory belongs to: the one with the highest number that wants it.
    owners: Mutex<HashMap<Vec<u8>, usize>>,
    /// Directories made or used.
    directories: Mutex<BTreeSet<Vec<Vec<u8>>>>,
}

/// One archive's access to the tree.
pub(super) struct Writer<'t> {
    tree: &'t Tree,
    number: usize,
    /// The directory used last: archives list a directory's files together.
    current: Option<(Vec<Vec<u8>>, OwnedFd)>,
    links: Vec<(Member, Member)>,
    buffer: Vec<u8>,
}

/// What is kept of a file's metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileMeta {
    /// Whether its owner may execute it.
    pub(super) executable: bool,
    /// Seconds since 1970.
    pub(super) mtime: i64,
}

impl Tree {
    pub(super) fn open(path: &Path) -> io::Result<Tree> {
        // The caller chooses this path, so that links in it are followed.
        let root = open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Tree { root, owners: Mutex::default(), directories: Mutex::default() })
    }

    /// A writer. Where two want the same file, the higher number wins, whichever comes first.
    pub(super) fn writer(&self, number: usize) -> Writer<'_> {
        Writer { tree: self, number, current: None, links: Vec::new(), buffer: vec![0; COPY_BUFFER] }
    }

    /// Puts directories into the wished order and gives them their fixed time. Call it after the last writer.
    pub(super) fn finish(&self, order: Order) -> Result<(), UnpackError> {
        let directories = lock(&self.directories);
        // From the leaves up would do as well: neither step touches the times of other directories.
        for path in directories.iter().chain([&Vec::new()]) {
            let failed = |e: Errno| UnpackError::Write { name: shown(&path.join(&b'/')), source: e.into() };
            let directory = self.walk(path, &shown(&path.join(&b'/')))?;
            if let Order::Shuffled(seed) = order {
                reorder(directory.as_fd(), seed).map_err(failed)?;
            }
            futimens(&directory, &times(DIRECTORY_MTIME)).map_err(failed)?;
        }
        Ok(())
    }

    /// Opens the directory at `path`, making what is missing on the way.
    fn walk(&self, path: &[Vec<u8>], member: &str) -> Result<OwnedFd, UnpackError> {
        let failed = |e: Errno| UnpackError::Write { name: member.to_owned(), source: e.into() };
        let mut here = self.root.try_clone().map_err(|source| UnpackError::Write { name: member.to_owned(), source })?;
        for (depth, component) in path.iter().enumerate() {
            let component = component.as_slice();
            let refused = |error: Errno| match error {
                Errno::LOOP | Errno::NOTDIR => {
                    let at = shown(&path.get(..=depth).unwrap_or(path).join(&b'/'));
                    UnpackError::NotADirectory { name: member.to_owned(), at }
                }
                other => failed(other),
            };
            here = match openat(&here, component, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => {
                    match mkdirat(&here, component, EXECUTABLE_MODE) {
                        // Another writer was faster, with a directory or with something else.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(failed(error)),
                    }
                    let made = openat(&here, component, DIRECTORY, Mode::empty()).map_err(refused)?;
                    // mkdir's mode is subject to the umask, which belongs to the whole process.
                    fchmod(&made, EXECUTABLE_MODE).map_err(failed)?;
                    made
                }
                other => other.map_err(refused)?,
            };
        }
        Ok(here)
    }
}

impl Writer<'_> {
    pub(super) fn directory(&mut self, member: &Member) -> Result<(), UnpackError> {
        self.enter(member.components(), member).map(drop)
    }

    pub(super) fn file(&mut self, member: &Member, meta: FileMeta, data: &mut impl Read) -> Result<(), UnpackError> {
        let failed = |source: io::Error| UnpackError::Write { name: member.shown(), source };
        let made = self.make(member, |directory| openat(directory, member.last(), FILE, PLAIN_MODE))?;
        let Some(made) = made else { return drain(data) };
        let mut file = File::from(made);
        loop {
            let read = match data.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(UnpackError::Damaged(error)),
            };
            file.write_all(self.buffer.get(..read).unwrap_or_default()).map_err(failed)?;
        }
        let mode = if meta.executable { EXECUTABLE_MODE } else { PLAIN_MODE };
        fchmod(&file, mode).map_err(|e| failed(e.into()))?;
        futimens(&file, &times(seconds(meta.mtime))).map_err(|e| failed(e.into()))
    }

    pub(super) fn symlink(&mut self, member: &Member, target: &[u8], mtime: i64) -> Result<(), UnpackError> {
        let name = member.last();
        if target.is_empty() || target.contains(&0) {
            return Err(UnpackError::Name { name: member.shown(), why: "a symbolic link's target is empty or holds a NUL byte" });
        }
        self.make(member, |directory| {
            symlinkat(target, directory, name)?;
            utimensat(directory, name, &times(seconds(mtime)), AtFlags::SYMLINK_NOFOLLOW)
        })
        .map(drop)
    }

    /// Notes a hard link for [`Writer::link_all`].
    pub(super) fn hard_link(&mut self, member: Member, target: Option<Member>, raw: &[u8]) -> Result<(), UnpackError> {
        let target = target.ok_or_else(|| UnpackError::HardLink { name: member.shown(), target: shown(raw) })?;
        self.links.push((member, target));
        Ok(())
    }

    /// Makes the noted hard links. With several writers: after all of them have written their files, one after the other in
    /// the order of their numbers, because a link must point to its own archive's file and to no other's.
    pub(super) fn link_all(&mut self) -> Result<(), UnpackError> {
        for (member, target) in std::mem::take(&mut self.links) {
            let refuse = || UnpackError::HardLink { name: member.shown(), target: target.shown() };
            if lock(&self.tree.owners).get(&target.joined()) != Some(&self.number) {
                return Err(refuse());
            }
            let from = self.tree.walk(target.parents(), &target.shown())?;
            let linked = self.make(&member, |directory| linkat(&from, target.last(), directory, member.last(), AtFlags::empty()));
            linked.map_err(|error| match error {
                UnpackError::Write { source, .. } if source.kind() == io::ErrorKind::NotFound => refuse(),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Gives back what only writing files needs, until [`Writer::link_all`].
    pub(super) fn rest(&mut self) {
        self.current = None;
        self.buffer = Vec::new();
    }

    /// Lets `make` make something that isn't a directory at `member`'s place, which is empty then; `None` if the place
    /// belongs to a writer with a higher number.
    fn make<T>(&mut self, member: &Member, make: impl Fn(&OwnedFd) -> Result<T, Errno>) -> Result<Option<T>, UnpackError> {
        let (tree, number) = (self.tree, self.number);
        let directory = self.enter(member.parents(), member)?;
        let failed = |e: Errno| UnpackError::Write { name: member.shown(), source: e.into() };
        // Held while the place is made empty and taken: another writer must not do so in between.
        let mut owners = lock(&tree.owners);
        let owner = owners.entry(member.joined()).or_insert(number);
        if *owner > number {
            return Ok(None);
        }
        *owner = number;
        match make(directory) {
            Err(Errno::EXIST) => {}
            other => return other.map(Some).map_err(failed),
        }
        unlinkat(directory, member.last(), AtFlags::empty()).map_err(|error| match error {
            Errno::ISDIR | Errno::PERM => UnpackError::NotADirectory { name: member.shown(), at: member.shown() },
            other => failed(other),
        })?;
        make(directory).map(Some).map_err(failed)
    }

    fn enter(&mut self, path: &[Vec<u8>], member: &Member) -> Result<&OwnedFd, UnpackError> {
        let current = match self.current.take() {
            Some((at, directory)) if at == path => (at, directory),
            _ => {
                let directory = self.tree.walk(path, &member.shown())?;
                let mut directories = lock(&self.tree.directories);
                (1..=path.len()).filter_map(|n| path.get(..n)).for_each(|p| {
                    directories.insert(p.to_vec());
                });
                (path.to_vec(), directory)
            }
        };
        Ok(&self.current.insert(current).1)
    }
}

fn times(time: Timespec) -> Timestamps {
    Timestamps { last_access: time, last_modification: time }
}

fn seconds(mtime: i64) -> Timespec {
    Timespec { tv_sec: mtime, tv_nsec: 0 }
}

/// A writer that panicked leaves the maps whole: each change to them is a single insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
