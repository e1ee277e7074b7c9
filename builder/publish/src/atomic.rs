//! Files that are there as a whole or not at all, even after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Doing as _, PublishError};

/// Puts `bytes` in the place of whatever is at `path`. Folders on the way are made.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let parent = parent(path);
    fs::create_dir_all(&parent).doing("creating", &parent)?;
    // One writer at a time: callers hold a lock, so one name for what is unfinished is enough, and what a killed writer left
    // is written over.
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let mut file = File::create(&unfinished).doing("creating", &unfinished)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).doing("writing", &unfinished)?;
    fs::rename(&unfinished, path).doing("writing", path)?;
    sync(&parent)
}

/// Writes a file that must not be there yet, readable as `mode` says.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PublishError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).doing("creating", path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).doing("writing", path)?;
    sync(&parent(path))
}

/// Waits until a folder's entries are on the disk.
pub(crate) fn sync(dir: &Path) -> Result<(), PublishError> {
    File::open(dir).and_then(|dir| dir.sync_all()).doing("syncing", dir)
}

pub(crate) fn parent(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}
