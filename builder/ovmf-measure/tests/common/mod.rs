//! Where public test data is: folders beside the repository, which may be absent.

#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// `../shared/vectors/<path>` from the workspace's root; `None`, with a printed reason, where the folder is absent.
pub(crate) fn vector(test: &str, path: &str) -> Option<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !root.is_dir() {
        println!("SKIPPED {test}: no test vectors in ../shared/vectors");
        return None;
    }
    let file = root.join(path);
    Some(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
}

/// The firmware file `name` out of the mirror's packages; `None`, with a printed reason, where it can't be had.
pub(crate) fn mirror_firmware(test: &str, name: &str) -> Option<Vec<u8>> {
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let found = mirror(&scratch).into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        println!("SKIPPED {test}: no {name} in ../shared/mirror, or no dpkg-deb");
    }
    Some(std::fs::read(found?).unwrap())
}

/// Folders with the firmware of the mirror's packages, unpacked below `scratch`. Its files are named by their hash.
pub(crate) fn mirror(scratch: &Path) -> Vec<PathBuf> {
    let mirror = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/mirror");
    let Ok(entries) = std::fs::read_dir(mirror) else { return Vec::new() };
    let mut folders = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_none()) {
        let target = scratch.join(path.file_name().unwrap());
        std::fs::create_dir_all(&target).unwrap();
        let unpack = Command::new("dpkg-deb").arg("-x").arg(&path).arg(&target).status();
        if unpack.is_ok_and(|status| status.success()) {
            folders.push(target.join("usr/share/ovmf"));
        }
    }
    folders
}
