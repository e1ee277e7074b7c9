//! Unfinished things: one folder a process below `tmp/`, claimed by a locked file beside it.
//!
//! The lock, not the folder's age or a process id, says whether the owner still lives: the kernel drops it with the process.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::error::{IoContext, Result};

/// Suffix of the file that claims a session's folder.
const CLAIM: &str = ".lock";

/// How often a fresh name is tried when a sweeping process takes the claim in the moment between creating and locking it.
const CLAIM_ATTEMPTS: usize = 100;

/// A process's own folder below `tmp/`.
#[derive(Debug)]
pub(super) struct Session {
    dir: PathBuf,
    claim: PathBuf,
    _lock: File,
}

impl Session {
    pub(super) fn start(tmp: &Path) -> Result<Session> {
        let mut last = io::Error::other("no name was free");
        for _ in 0..CLAIM_ATTEMPTS {
            match Self::claim(tmp) {
                Ok(Some(session)) => {
                    fs::create_dir(&session.dir).doing("creating", &session.dir)?;
                    return Ok(session);
                }
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        Err(last).doing("claiming a folder in", tmp)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// `None` if a sweeper was quicker.
    fn claim(tmp: &Path) -> io::Result<Option<Session>> {
        let (lock, claim) = tempfile::Builder::new().prefix("session-").suffix(CLAIM).tempfile_in(tmp)?.into_parts();
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() || !names(&claim, &lock) {
            return Ok(None);
        }
        let claim = claim.keep().map_err(|error| error.error)?;
        let dir = claim.with_extension("");
        Ok(Some(Session { dir, claim, _lock: lock }))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed now is swept later: the claim goes last.
        if remove_tree(&self.dir).is_ok() {
            let _ = fs::remove_file(&self.claim);
        }
    }
}

/// A folder for unfinished work, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _session: Arc<Session>,
}

impl Scratch {
    pub(super) fn new(session: Arc<Session>) -> Result<Scratch> {
        let made = tempfile::Builder::new().prefix("scratch-").tempdir_in(session.dir());
        let path = made.doing("creating a folder in", session.dir())?.keep();
        Ok(Scratch { path, _session: session })
    }

    /// The folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what is in `from` (a path inside this folder) durable and moves it to `target`, which must be in the same file
    /// system, such as a folder of the store. After a crash `target` is whole or not there. Returns whether it was moved:
    /// if `target` is there already, that one is kept.
    pub fn persist(&self, from: &Path, target: &Path) -> Result<bool> {
        let parent = target.parent().unwrap_or(target);
        let handle = File::open(parent).doing("opening", parent)?;
        rustix::fs::syncfs(&handle).doing("syncing", parent)?;
        match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, target, rustix::fs::RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => return Ok(false),
            result => result.doing("renaming to", target)?,
        }
        handle.sync_all().doing("syncing", parent)?;
        Ok(true)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes with the session's folder, or is swept by the next process.
        let _ = remove_tree(&self.path);
    }
}

/// Removes every session whose owner is gone.
pub(super) fn sweep(tmp: &Path) -> Result<()> {
    for entry in fs::read_dir(tmp).doing("listing", tmp)? {
        let path = entry.doing("listing", tmp)?.path();
        if path.extension().is_some_and(|suffix| suffix == CLAIM.trim_start_matches('.')) {
            sweep_one(&path)?;
        }
    }
    Ok(())
}

fn sweep_one(claim: &Path) -> Result<()> {
    let lock = match OpenOptions::new().read(true).write(true).open(claim) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.doing("opening", claim)?,
    };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() || !names(claim, &lock) {
        return Ok(());
    }
    remove_tree(&claim.with_extension(""))?;
    match fs::remove_file(claim) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("removing", claim),
        _ => Ok(()),
    }
}

/// Whether the path still names the open file, which another process may have removed meanwhile.
fn names(path: &Path, file: &File) -> bool {
    let (Ok(by_path), Ok(by_file)) = (fs::symlink_metadata(path), file.metadata()) else { return false };
    (by_path.dev(), by_path.ino()) == (by_file.dev(), by_file.ino())
}

/// Removes a file or a folder with all that is in it, also where unpacked packages have left folders without write permission.
/// Nothing there is no error. Symbolic links are removed, never followed.
pub fn remove_tree(path: &Path) -> Result<()> {
    match try_remove(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path).doing("removing", path)?;
            try_remove(path).doing("removing", path)
        }
        result => result.doing("removing", path),
    }
}

fn try_remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn open_up(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        open_up(&entry?.path())?;
    }
    Ok(())
}
