//! Release folders and folders of notices.

use std::fs;
use std::path::Path;

use sealstone_release::folder::{Files, MANIFEST};

use crate::atomic;
use crate::error::{Doing as _, PublishError};

/// A release is a few megabytes; a larger folder is something else.
const MAX_BYTES: u64 = 1 << 30;
const MAX_FILES: usize = 4096;
const MAX_DEPTH: usize = 16;

/// Reads every file below `dir`.
///
/// # Errors
/// If anything in it is neither a file nor a folder, or has a name that isn't UTF-8: a release has nothing else, and what isn't
/// looked at isn't verified.
pub fn read(dir: &Path) -> Result<Files, PublishError> {
    let mut reader = Reader { files: Files::new(), bytes: 0 };
    reader.below(dir, "", 0)?;
    Ok(reader.files)
}

struct Reader {
    files: Files,
    bytes: u64,
}

impl Reader {
    fn below(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<(), PublishError> {
        for entry in fs::read_dir(dir).doing("listing", dir)? {
            let entry = entry.doing("listing", dir)?;
            let path = entry.path();
            let refuse = |problem: &str| PublishError::Folder { path: path.clone(), problem: problem.to_owned() };
            let name = entry.file_name().into_string().map_err(|_| refuse("its name is not UTF-8"))?;
            // The entry's own kind: a link is neither file nor folder.
            let kind = entry.file_type().doing("looking at", &path)?;
            let below = format!("{prefix}{name}");
            if kind.is_dir() && depth < MAX_DEPTH {
                self.below(&path, &format!("{below}/"), depth + 1)?;
            } else if kind.is_file() {
                self.bytes = self.bytes.saturating_add(entry.metadata().doing("looking at", &path)?.len());
                if self.bytes > MAX_BYTES || self.files.len() == MAX_FILES {
                    return Err(refuse("more than a release can hold: 1 GiB, 4096 files"));
                }
                self.files.insert(below, fs::read(&path).doing("reading", &path)?);
            } else {
                return Err(refuse("neither a file nor a folder, which is all that a release has"));
            }
        }
        Ok(())
    }
}

/// Writes a new folder, whole or not at all.
///
/// # Errors
/// [`PublishError::Exists`] if it is there: releases are never written over.
pub fn create(dir: &Path, files: &Files) -> Result<(), PublishError> {
    if dir.exists() {
        return Err(PublishError::Exists { path: dir.to_path_buf() });
    }
    let parent = atomic::parent(dir);
    fs::create_dir_all(&parent).doing("creating", &parent)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = parent.join(format!(".{name}.new-{}", std::process::id()));
    let written = fill(&unfinished, files).and_then(|()| fs::rename(&unfinished, dir).doing("writing", dir));
    if written.is_err() {
        // What can't be removed either is told apart from a release by its name.
        drop(fs::remove_dir_all(&unfinished));
    }
    written?;
    atomic::sync(&parent)
}

fn fill(dir: &Path, files: &Files) -> Result<(), PublishError> {
    fs::create_dir(dir).doing("creating", dir)?;
    for (path, bytes) in files {
        let path = dir.join(path);
        let parent = atomic::parent(&path);
        fs::create_dir_all(&parent).doing("creating", &parent)?;
        atomic::create(&path, bytes, 0o644)?;
    }
    Ok(())
}

/// Adds files to a folder and renews its manifest, which goes last: until then the folder refuses, and never lies.
///
/// # Errors
/// What the file system refuses.
pub fn update(dir: &Path, before: &Files, after: &Files) -> Result<(), PublishError> {
    let changed = |(path, bytes): &(&String, &Vec<u8>)| before.get(*path) != Some(*bytes);
    let (manifest, others): (Vec<_>, Vec<_>) = after.iter().filter(changed).partition(|(path, _)| *path == MANIFEST);
    for (path, bytes) in others.into_iter().chain(manifest) {
        atomic::replace(&dir.join(path), bytes)?;
    }
    Ok(())
}

/// Writes a file that must not be there yet: a notice, a statement.
///
/// # Errors
/// [`PublishError::Exists`], and what the file system refuses.
pub fn create_file(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let parent = atomic::parent(path);
    fs::create_dir_all(&parent).doing("creating", &parent)?;
    atomic::create(path, bytes, 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn written_once_and_read_back() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("v1");
        let first = files(&[("a", "1"), ("rebuilds/b.json", "2"), (MANIFEST, "m")]);
        create(&dir, &first).unwrap();
        assert_eq!(read(&dir).unwrap(), first);
        assert!(matches!(create(&dir, &first), Err(PublishError::Exists { .. })));
        let second = files(&[("a", "1"), ("rebuilds/b.json", "2"), ("rebuilds/c.json", "3"), (MANIFEST, "n")]);
        update(&dir, &first, &second).unwrap();
        assert_eq!(read(&dir).unwrap(), second);
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_no_release_holds_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("v1");
        create(&dir, &files(&[("a", "1")])).unwrap();
        std::os::unix::fs::symlink("a", dir.join("link")).unwrap();
        assert!(read(&dir).unwrap_err().to_string().contains("neither a file nor a folder"));
        fs::remove_file(dir.join("link")).unwrap();
        // An empty folder says nothing, and version control does not keep it.
        fs::create_dir(dir.join("empty")).unwrap();
        assert_eq!(read(&dir).unwrap(), files(&[("a", "1")]));
        assert!(read(&tmp.path().join("absent")).is_err());
    }
}
