//! What goes into a pack.
//!
//! How it could fool: a link that leads out of the folder, or a device or pipe that reads differently every time. So nothing but plain files and
//! folders is taken, a link is never followed, and what was looked at is what is opened.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::error::{Doing, PackError};

/// Files for a pack, by their paths in it. At least one of them has content.
#[derive(Clone, Debug)]
pub struct Source {
    files: BTreeMap<String, Content>,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
enum Content {
    Disk { path: PathBuf, size: u64 },
    Memory(Arc<[u8]>),
}

impl Source {
    /// One folder, all of whose files go in under their paths in it; or files, each under its own name.
    ///
    /// # Errors
    /// [`PackError::Source`] for links, devices, names that aren't UTF-8, an empty file or folder, two files of one name.
    pub fn gather(given: &[PathBuf]) -> Result<Source, PackError> {
        match given {
            [folder] if look(folder)?.is_dir() => Source::folder(folder),
            files => Source::files(files),
        }
    }

    /// Files, each under its own name.
    ///
    /// # Errors
    /// As [`Source::gather`].
    pub fn files(given: &[PathBuf]) -> Result<Source, PackError> {
        let mut files = BTreeMap::new();
        for path in given {
            let size = plain_file(path)?;
            if size == 0 {
                return Err(refuse(path, "is empty; a model has at least a header"));
            }
            let name = name_of(path)?;
            if files.insert(name.clone(), Content::Disk { path: path.clone(), size }).is_some() {
                return Err(refuse(path, &format!("is the second file with the name {name}; rename one of them")));
            }
        }
        match files.is_empty() {
            true => Err(refuse(Path::new("(nothing)"), "no model was given; name a file, several files, or one folder")),
            false => Ok(Source { files }),
        }
    }

    /// Every file below a folder.
    ///
    /// # Errors
    /// As [`Source::gather`].
    pub fn folder(folder: &Path) -> Result<Source, PackError> {
        if !look(folder)?.is_dir() {
            return Err(refuse(folder, "is no folder"));
        }
        let mut files = BTreeMap::new();
        let mut left = vec![(folder.to_path_buf(), String::new())];
        while let Some((at, prefix)) = left.pop() {
            for entry in fs::read_dir(&at).doing("listing", &at)? {
                let path = entry.doing("listing", &at)?.path();
                let name = format!("{prefix}{}", name_of(&path)?);
                if look(&path)?.is_dir() {
                    left.push((path, format!("{name}/")));
                } else {
                    let size = plain_file(&path)?;
                    files.insert(name, Content::Disk { path, size });
                }
            }
        }
        let some = files.values().any(|content| content.size() > 0);
        if some { Ok(Source { files }) } else { Err(refuse(folder, "holds no file with content")) }
    }

    /// One file that exists in memory alone.
    pub fn bytes(name: &str, bytes: Vec<u8>) -> Source {
        Source { files: BTreeMap::from([(name.to_owned(), Content::Memory(bytes.into()))]) }
    }

    /// Paths in the pack and lengths, in the order of the paths' bytes.
    pub fn list(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|(name, content)| (name.as_str(), content.size()))
    }

    /// Bytes of all files.
    pub fn total(&self) -> u64 {
        self.files.values().fold(0, |sum, content| sum.saturating_add(content.size()))
    }

    /// The file that is the model, if that is plain: the only one, the only GGUF, or the first piece of a split one.
    /// Source of the pieces' names: llama.cpp, `llama_split_path` (`%s-%05d-of-%05d.gguf`).
    pub fn main(&self) -> Option<&str> {
        let only = |wanted: fn(&str) -> bool| {
            let mut names = self.files.keys().map(String::as_str).filter(|name| wanted(name));
            names.next().filter(|_| names.next().is_none())
        };
        only(|_| true)
            .or_else(|| only(|name| name.ends_with(".gguf")))
            .or_else(|| only(|name| name.ends_with(".gguf") && name.contains("-00001-of-")))
    }

    /// Opens a file of the list.
    pub(super) fn open(&self, name: &str) -> io::Result<Box<dyn Read>> {
        match self.files.get(name) {
            Some(Content::Disk { path, .. }) => Ok(Box::new(open_plain(path)?)),
            Some(Content::Memory(bytes)) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Content {
    fn size(&self) -> u64 {
        match self {
            Content::Disk { size, .. } => *size,
            Content::Memory(bytes) => bytes.len() as u64,
        }
    }
}

fn refuse(path: &Path, problem: &str) -> PackError {
    PackError::Source { path: path.to_path_buf(), problem: problem.to_owned() }
}

/// What a path is, links not followed; a link is refused.
fn look(path: &Path) -> Result<fs::FileType, PackError> {
    let kind = fs::symlink_metadata(path).doing("looking at", path)?.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        let problem = format!("is a symbolic link to {}; a pack holds no links, so put the file itself there", target.display());
        return Err(refuse(path, &problem));
    }
    Ok(kind)
}

/// The length of a plain file.
fn plain_file(path: &Path) -> Result<u64, PackError> {
    let kind = look(path)?;
    if kind.is_dir() {
        return Err(refuse(path, "is a folder; give either one folder or files"));
    }
    if !kind.is_file() {
        return Err(refuse(path, "is a device, pipe or socket; a pack is made of plain files"));
    }
    Ok(fs::symlink_metadata(path).doing("looking at", path)?.len())
}

fn name_of(path: &Path) -> Result<String, PackError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| refuse(path, "has no name in UTF-8; rename it"))
}

/// Opens what was looked at: no link, and without waiting where a pipe was put in its place.
fn open_plain(path: &Path) -> io::Result<File> {
    let file =
        rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(io::Error::other("it is no plain file any more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &Source) -> Vec<(String, u64)> {
        source.list().map(|(name, size)| (name.to_owned(), size)).collect()
    }

    #[test]
    fn files_and_folders() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path();
        fs::create_dir_all(dir.join("m/sub")).unwrap();
        for (name, text) in [("m/b.gguf", "12"), ("m/sub/a", "1"), ("m/empty", ""), ("c.gguf", "123")] {
            fs::write(dir.join(name), text).unwrap();
        }
        let folder = Source::gather(&[dir.join("m")]).unwrap();
        assert_eq!(names(&folder), [("b.gguf".into(), 2), ("empty".into(), 0), ("sub/a".into(), 1)]);
        assert_eq!((folder.main(), folder.total()), (Some("b.gguf"), 3));
        let files = Source::gather(&[dir.join("m/b.gguf"), dir.join("c.gguf")]).unwrap();
        assert_eq!(names(&files), [("b.gguf".into(), 2), ("c.gguf".into(), 3)]);
        assert_eq!(files.main(), None);
        let split = Source::files(&[dir.join("m/b.gguf")]).unwrap();
        assert_eq!(split.main(), Some("b.gguf"));
    }

    #[test]
    fn the_first_piece_is_the_model() {
        let file = |name: &str| (name.to_owned(), Content::Memory(Arc::from(&b"x"[..])));
        let source =
            Source { files: BTreeMap::from([file("m-00002-of-00002.gguf"), file("m-00001-of-00002.gguf"), file("README")]) };
        assert_eq!(source.main(), Some("m-00001-of-00002.gguf"));
    }

    #[test]
    fn what_no_pack_takes() {
        let tmp = tempfile::tempdir().unwrap();
        let at = |name: &str| tmp.path().join(name);
        for folder in ["none", "hollow", "linked", "d", "e"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for (name, text) in [("empty", ""), ("hollow/x", ""), ("d/a", "1"), ("e/a", "1"), ("a", "1")] {
            fs::write(at(name), text).unwrap();
        }
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("linked/l")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (given, expected) in [
            (vec![], "no model was given"),
            (vec!["empty"], "is empty"),
            (vec!["none"], "no file with content"),
            (vec!["hollow"], "no file with content"),
            (vec!["link"], "symbolic link to"),
            (vec!["linked"], "symbolic link to"),
            (vec!["socket"], "is a device, pipe or socket"),
            (vec!["d", "a"], "is a folder"),
            (vec!["d/a", "e/a"], "second file with the name a"),
            (vec!["gone"], "looking at"),
        ] {
            let given: Vec<_> = given.into_iter().map(at).collect();
            let error = Source::gather(&given).unwrap_err().to_string();
            assert!(error.contains(expected), "{given:?}: {error}");
        }
        let device = Source::gather(&[PathBuf::from("/dev/zero")]).unwrap_err().to_string();
        assert!(device.contains("is a device"), "{device}");
        drop(socket);
    }
}
