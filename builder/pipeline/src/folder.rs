//! The output folder: replaced as a whole or not at all.
//!
//! What it must prove: at no moment does the folder's name lead to a mix of two builds, and nothing that somebody else put
//! there is lost. How it could fool: a folder that only looks like ours. Hence `SHA256SUMS` lists every file that a build
//! wrote, and a folder with any other file in it is left alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sealstone_spec::Sha256;

use crate::content::Contents;
use crate::error::{IoContext, PipelineError};

/// Lists every other file of the folder in the format of coreutils' `sha256sum`.
pub const SUMS: &str = "SHA256SUMS";

/// Where packs stand in the folder. They are listed like every other file, and too long to be read like them.
pub const PACKS: &str = "packs/";

/// The files of an output folder as they are read back: path below it → bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Files of an output folder that don't fit memory: path below it → where they are.
pub type LargeFiles = BTreeMap<String, Large>;

/// A finished file that a build puts into the folder: by a hard link, or a copy where that can't be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Large {
    /// An object of the store, whose modification time says that nothing has touched it.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

/// Files to publish: those of the build and their list.
type Listed<'a> = BTreeMap<&'a str, &'a [u8]>;

/// What publishing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The folder held these very bytes already.
    Unchanged,
    /// The folder was made or replaced.
    Written,
}

/// Makes `dir` hold exactly `files`, `large` and their `SHA256SUMS`.
///
/// # Errors
/// [`PipelineError::OutputFolder`] when `dir` holds anything that no build wrote.
pub fn publish(dir: &Path, files: &Contents, large: &LargeFiles) -> Result<Published, PipelineError> {
    let sums = sums(files, large);
    let files: Listed<'_> =
        files.iter().map(|(name, content)| (name.as_str(), &**content)).chain([(SUMS, sums.as_bytes())]).collect();
    let parent = match dir.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).doing("creating", &parent)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Held until the end: whoever has it may take every unfinished folder for a dead builder's.
    let _claim = claim(&parent)?;
    sweep(&parent, &name)?;
    let exists = dir.symlink_metadata().is_ok();
    if exists {
        if !dir.symlink_metadata().doing("looking at", dir)?.is_dir() {
            let problem = "is not a folder; choose another --out".into();
            return Err(PipelineError::OutputFolder { path: dir.to_path_buf(), problem });
        }
        let present = inventory(dir)?;
        refuse_foreign(dir, &present)?;
        if same(dir, &present, &files, large)? {
            return Ok(Published::Unchanged);
        }
    }
    let fresh =
        tempfile::Builder::new().prefix(&format!(".{name}.new-")).tempdir_in(&parent).doing("creating a folder in", &parent)?;
    write_all(fresh.path(), &files, large)?;
    let fresh = fresh.keep();
    let swapped = if exists { exchange(&fresh, dir) } else { fs::rename(&fresh, dir) };
    if let Err(source) = swapped {
        let _ = fs::remove_dir_all(&fresh);
        return Err(PipelineError::Io { doing: "putting in place", path: dir.to_path_buf(), source });
    }
    if exists {
        fs::remove_dir_all(&fresh).doing("removing", &fresh)?;
    }
    sync_dir(&parent)?;
    Ok(Published::Written)
}

/// Reads a published folder back: every file that `SHA256SUMS` lists, each compared with its sum. Packs are passed over: whoever takes one
/// checks it by its root, block by block.
///
/// # Errors
/// [`PipelineError::OutputFolder`] when a file is missing, differs or isn't listed.
pub fn read(dir: &Path) -> Result<Files, PipelineError> {
    let refuse = |problem: String| PipelineError::OutputFolder { path: dir.to_path_buf(), problem };
    let sums_path = dir.join(SUMS);
    let listed = fs::read_to_string(&sums_path)
        .map_err(|e| refuse(format!("cannot read {SUMS} ({e}); give a folder that `sealstone build` made")))?;
    let mut files = Files::new();
    for line in listed.lines() {
        let (sum, name) =
            line.split_once("  ").ok_or_else(|| refuse(format!("{SUMS} has a line that is not `<sha256>  <file>`: {line:?}")))?;
        let path = dir.join(checked(name).ok_or_else(|| refuse(format!("{SUMS} names {name:?}, which leaves the folder")))?);
        if name.starts_with(PACKS) {
            continue;
        }
        let data = fs::read(&path).doing("reading", &path)?;
        if Sha256::of(&data).to_string() != sum {
            return Err(refuse(format!(
                "{name} is not the file that the build wrote (its SHA-256 differs from {SUMS}); build again"
            )));
        }
        files.insert(name.to_string(), data);
    }
    Ok(files)
}

/// The packs of a published folder, by name. That they are what the image takes is for the image to find out.
///
/// # Errors
/// [`PipelineError::OutputFolder`] as of [`read`]; a pack that is listed and missing is an error, too.
pub fn packs(dir: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let listed = dir.join(SUMS);
    let text = fs::read_to_string(&listed).doing("reading", &listed)?;
    let names =
        text.lines().filter_map(|line| line.split_once("  ").map(|(_, name)| name)).filter(|name| name.starts_with(PACKS));
    let mut found = Vec::new();
    for path in names.filter_map(checked).map(|name| dir.join(name)) {
        fs::symlink_metadata(&path).doing("looking at", &path)?;
        found.push(path);
    }
    Ok(found)
}

/// Writes one file whole or not at all: temporary name, sync, rename.
pub fn write_file(path: &Path, data: &[u8]) -> Result<(), PipelineError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let mut file = tempfile::Builder::new().prefix(".sealstone-").permissions(mode).tempfile_in(parent)?;
        file.write_all(data)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().doing("writing", path)?;
    sync_dir(parent)
}

fn sums(files: &Contents, large: &LargeFiles) -> String {
    let small = files.iter().map(|(name, content)| (name, content.sha256()));
    let all: BTreeMap<&String, Sha256> = small.chain(large.iter().map(|(name, file)| (name, file.sha256))).collect();
    all.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect()
}

/// A relative path of plain components, or nothing.
fn checked(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let plain = path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
    (plain && !name.is_empty()).then_some(path)
}

/// Every file below `dir`, with its path relative to it; links and other special files are listed, never followed.
fn inventory(dir: &Path) -> Result<Vec<String>, PipelineError> {
    let mut found = Vec::new();
    let mut left = vec![(dir.to_path_buf(), String::new())];
    while let Some((at, prefix)) = left.pop() {
        for entry in fs::read_dir(&at).doing("listing", &at)? {
            let entry = entry.doing("listing", &at)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().doing("listing", &at)?.is_dir() {
                left.push((entry.path(), format!("{name}/")));
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn refuse_foreign(dir: &Path, present: &[String]) -> Result<(), PipelineError> {
    let refuse = |problem: String| Err(PipelineError::OutputFolder { path: dir.to_path_buf(), problem });
    if present.is_empty() {
        return Ok(());
    }
    let Ok(listed) = fs::read_to_string(dir.join(SUMS)) else {
        return refuse(format!("has files in it but no {SUMS}, so no build made it; choose another --out or empty it"));
    };
    let ours: Vec<&str> = listed.lines().filter_map(|l| l.split_once("  ").map(|(_, name)| name)).chain([SUMS]).collect();
    match present.iter().find(|name| !ours.contains(&name.as_str())) {
        Some(foreign) => refuse(format!("holds {foreign:?}, which no build wrote; move it away or choose another --out")),
        None => Ok(()),
    }
}

fn same(dir: &Path, present: &[String], files: &Listed<'_>, large: &LargeFiles) -> Result<bool, PipelineError> {
    let mut wanted: Vec<&str> = files.keys().copied().chain(large.keys().map(String::as_str)).collect();
    wanted.sort();
    if !present.iter().map(String::as_str).eq(wanted) {
        return Ok(false);
    }
    for (name, file) in large {
        // `SHA256SUMS`, compared below, says which file it is; the time, which a writer moves, that it still is.
        let (ours, source) = (dir.join(name), fs::metadata(&file.path).doing("looking at", &file.path)?);
        let there = fs::symlink_metadata(&ours).doing("looking at", &ours)?;
        let time = |meta: &fs::Metadata| meta.modified().ok();
        if !there.is_file() || there.len() != source.len() || time(&there) != time(&source) {
            return Ok(false);
        }
    }
    for (name, data) in files {
        let path = dir.join(name);
        let meta = fs::metadata(&path).doing("looking at", &path)?;
        if meta.len() != data.len() as u64 || fs::read(&path).doing("reading", &path)? != **data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write_all(dir: &Path, files: &Listed<'_>, large: &LargeFiles) -> Result<(), PipelineError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).doing("changing the mode of", dir)?;
    for (name, data) in files {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).doing("creating", parent)?;
        }
        let write = || -> io::Result<()> {
            let mut file = fs::File::create_new(&path)?;
            file.write_all(data)?;
            file.sync_all()
        };
        write().doing("writing", &path)?;
    }
    for (name, file) in large {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).doing("creating", parent)?;
        }
        link_or_copy(file, &path).doing("writing", &path)?;
    }
    sync_dir(dir)
}

/// Another name for the file where both are in one file system; else a copy with its mode and time, which says that nothing touched it.
fn link_or_copy(file: &Large, to: &Path) -> io::Result<()> {
    if fs::hard_link(&file.path, to).is_ok() {
        return Ok(());
    }
    let mut from = fs::File::open(&file.path)?;
    let mut copy = fs::File::create_new(to)?;
    let copied = io::copy(&mut from, &mut copy)?;
    if copied != file.size {
        return Err(io::Error::other(format!("{} has {copied} bytes, not {}", file.path.display(), file.size)));
    }
    let meta = from.metadata()?;
    copy.set_permissions(meta.permissions())?;
    copy.set_times(fs::FileTimes::new().set_modified(meta.modified()?))?;
    copy.sync_all()
}

fn sync_dir(dir: &Path) -> Result<(), PipelineError> {
    fs::File::open(dir).and_then(|d| d.sync_all()).doing("syncing", dir)
}

fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(io::Error::from)
}

/// The right to publish in `parent`, which the kernel takes back when the process ends, however it ends.
fn claim(parent: &Path) -> Result<fs::File, PipelineError> {
    let folder = fs::File::open(parent).doing("opening", parent)?;
    flock(&folder, FlockOperation::LockExclusive).map_err(io::Error::from).doing("locking", parent)?;
    Ok(folder)
}

/// Removes what builds that were killed left beside the folder.
fn sweep(parent: &Path, name: &str) -> Result<(), PipelineError> {
    let prefix = format!(".{name}.new-");
    for entry in fs::read_dir(parent).doing("listing", parent)? {
        let entry = entry.doing("listing", parent)?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_dir_all(entry.path()).doing("removing", &entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::plain;

    fn files(list: &[(&str, &str)]) -> Contents {
        list.iter().map(|(n, d)| (n.to_string(), d.as_bytes().to_vec().into())).collect()
    }

    fn none() -> LargeFiles {
        LargeFiles::new()
    }

    fn listing(dir: &Path) -> Vec<String> {
        inventory(dir).unwrap()
    }

    #[test]
    fn writes_replaces_and_leaves_alone() {
        let tmp = tempfile::tempdir().unwrap();
        let out = tmp.path().join("out");
        let first = files(&[("a", "1"), ("firmware/b", "2")]);
        assert_eq!(publish(&out, &first, &none()).unwrap(), Published::Written);
        assert_eq!(publish(&out, &first, &none()).unwrap(), Published::Unchanged);
        assert_eq!(listing(&out), ["SHA256SUMS", "a", "firmware/b"]);
        assert_eq!(read(&out).unwrap(), plain(first.clone()));

        fs::create_dir(tmp.path().join(".out.new-killed")).unwrap();
        let second = files(&[("a", "1"), ("c", "3")]);
        assert_eq!(publish(&out, &second, &none()).unwrap(), Published::Written);
        assert_eq!(listing(&out), ["SHA256SUMS", "a", "c"]);
        assert_eq!(listing(tmp.path()), ["out/SHA256SUMS", "out/a", "out/c"], "nothing is left beside it");
    }

    #[test]
    fn refuses_what_it_did_not_make() {
        let tmp = tempfile::tempdir().unwrap();
        let out = tmp.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("thesis.tex"), "years of work").unwrap();
        let error = publish(&out, &files(&[("a", "1")]), &none()).unwrap_err().to_string();
        assert!(error.contains("no build made it"), "{error}");

        fs::remove_file(out.join("thesis.tex")).unwrap();
        publish(&out, &files(&[("a", "1")]), &none()).unwrap();
        fs::write(out.join("notes"), "mine").unwrap();
        let error = publish(&out, &files(&[("a", "2")]), &none()).unwrap_err().to_string();
        assert!(error.contains("\"notes\""), "{error}");
        assert_eq!(fs::read(out.join("a")).unwrap(), b"1", "a refused build changes nothing");

        let file = tmp.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(publish(&file, &files(&[("a", "1")]), &none()).unwrap_err().to_string().contains("not a folder"));
    }

    #[test]
    fn a_changed_file_is_seen() {
        let tmp = tempfile::tempdir().unwrap();
        let out = tmp.path().join("out");
        let wanted = files(&[("a", "1")]);
        publish(&out, &wanted, &none()).unwrap();
        fs::write(out.join("a"), "2").unwrap();
        assert!(read(&out).unwrap_err().to_string().contains("a is not the file"));
        assert_eq!(publish(&out, &wanted, &none()).unwrap(), Published::Written, "a damaged file is mended");
        assert_eq!(read(&out).unwrap(), plain(wanted));
        fs::write(out.join(SUMS), format!("{}  ../x\n", Sha256::of(b""))).unwrap();
        assert!(read(&out).unwrap_err().to_string().contains("leaves the folder"));
    }

    #[test]
    fn packs_are_linked_or_copied_and_known_by_their_time() {
        let tmp = tempfile::tempdir().unwrap();
        let (out, object) = (tmp.path().join("out"), tmp.path().join("object"));
        let place = |content: &str| {
            let _ = fs::remove_file(&object);
            fs::write(&object, content).unwrap();
            let stamp = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1));
            fs::File::options().write(true).open(&object).unwrap().set_times(stamp).unwrap();
            let file = Large { path: object.clone(), sha256: Sha256::of(content.as_bytes()), size: content.len() as u64 };
            LargeFiles::from([("packs/m.pack".to_string(), file)])
        };
        let (small, large) = (files(&[("a", "1"), ("z", "2")]), place("pack"));
        assert_eq!(publish(&out, &small, &large).unwrap(), Published::Written);
        assert_eq!(publish(&out, &small, &large).unwrap(), Published::Unchanged);
        assert_eq!(listing(&out), ["SHA256SUMS", "a", "packs/m.pack", "z"]);
        assert_eq!(packs(&out).unwrap(), [out.join("packs/m.pack")]);
        assert_eq!(read(&out).unwrap(), plain(small.clone()), "packs are not read");
        let listed = fs::read_to_string(out.join(SUMS)).unwrap();
        assert!(listed.lines().any(|line| line == format!("{}  packs/m.pack", Sha256::of(b"pack"))), "{listed}");

        let other = place("kcap");
        assert_eq!(publish(&out, &small, &other).unwrap(), Published::Written, "the same length, other content");
        fs::write(out.join("packs/m.pack"), "kcaq").unwrap();
        let again = place("kcap");
        assert_eq!(publish(&out, &small, &again).unwrap(), Published::Written, "a damaged pack is mended");
        assert_eq!(fs::read(out.join("packs/m.pack")).unwrap(), b"kcap");

        let copy = tmp.path().join("copy");
        let Some(file) = again.values().next() else { panic!("one file") };
        let elsewhere = Large { size: 5, ..file.clone() };
        fs::remove_file(&object).unwrap();
        assert!(link_or_copy(&elsewhere, &copy).is_err(), "a file that is gone");
        assert_eq!(publish(&out, &small, &none()).unwrap(), Published::Written);
        assert_eq!(listing(&out), ["SHA256SUMS", "a", "z"]);
    }
}
