//! The pack's file: there whole under its name, or not at all.
//!
//! The unfinished file stands beside it under one fixed name and is locked while it is written. So two processes can't write one pack, and
//! what a killed one left, which may be tens of gigabytes, is taken over by the next rather than left behind under a random name.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{Doing, PackError};
use super::source::Source;
use super::write::{self, Order, Pack};

/// Writes the pack of `source` to `path`, replacing a pack that is there.
///
/// # Errors
/// [`PackError`]; then `path` is what it was before, and nothing is left beside it.
pub fn pack(source: &Source, order: &Order<'_>, path: &Path) -> Result<Pack, PackError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let problem = "is there and no plain file; choose another name for the pack".into();
        return Err(PackError::Source { path: path.to_path_buf(), problem });
    }
    let (file, unfinished) = claim(path)?;
    let made = write::write(source, order, &file, path)
        .and_then(|made| file.sync_all().doing("writing", path).map(|()| made))
        .and_then(|made| fs::rename(&unfinished, path).doing("putting in place", path).map(|()| made));
    match made {
        Ok(made) => {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).doing("syncing", folder)?;
            Ok(made)
        }
        Err(error) => {
            let _ = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

/// The unfinished file, empty and locked.
fn claim(path: &Path) -> Result<(File, PathBuf), PackError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let problem = || PackError::Source { path: path.to_path_buf(), problem: "is no name for a file".into() };
    let unfinished = path.with_file_name(format!(".{}.part", name.ok_or_else(problem)?));
    let busy = || PackError::Busy { path: path.to_path_buf() };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&unfinished);
    let file = file.doing("creating", &unfinished)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(busy()),
        Err(error) => return Err(PackError::Io { doing: "locking", path: unfinished, source: error.into() }),
    }
    // Between opening and locking, its owner may have finished: then this is the finished pack, and not to be touched.
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    let ours = file.metadata().doing("looking at", &unfinished)?;
    if !fs::symlink_metadata(&unfinished).is_ok_and(|there| same(&there, &ours)) {
        return Err(busy());
    }
    file.set_len(0).doing("emptying", &unfinished)?;
    Ok((file, unfinished))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(name: &sealstone_spec::ModelName) -> Order<'_> {
        Order { name, epoch: 0, whole: false, watch: &|_| {} }
    }

    #[test]
    fn whole_or_not_at_all() {
        let tmp = tempfile::tempdir().unwrap();
        let at = |name: &str| tmp.path().join(name);
        let name = "m".parse().unwrap();
        let listing = || {
            let mut names: Vec<_> = fs::read_dir(tmp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let source = Source::bytes("model.gguf", vec![1; 10_000]);
        // What a killed process left is longer than what comes.
        fs::write(at(".m.pack.part"), vec![9; 1 << 20]).unwrap();
        let made = pack(&source, &order(&name), &at("m.pack")).unwrap();
        assert_eq!(fs::metadata(at("m.pack")).unwrap().len(), made.bytes);
        assert_eq!(listing(), ["m.pack"]);

        let before = fs::read(at("m.pack")).unwrap();
        let bad = Source::bytes("näme", vec![1]);
        assert!(pack(&bad, &order(&name), &at("m.pack")).unwrap_err().to_string().contains("printable ASCII"));
        assert!(fs::read(at("m.pack")).unwrap() == before, "a refused pack changes nothing");
        assert_eq!(listing(), ["m.pack"]);

        let held = File::create(at(".m.pack.part")).unwrap();
        held.try_lock().unwrap();
        assert!(matches!(pack(&source, &order(&name), &at("m.pack")).unwrap_err(), PackError::Busy { .. }));
        drop(held);
        assert!(pack(&source, &order(&name), tmp.path()).unwrap_err().to_string().contains("no plain file"));
    }
}
