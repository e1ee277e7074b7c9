//! Declared entries → archive. Nothing is read from a file system: no inode, time, owner, order or link count of the
//! host can get in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::layout::{
    ALIGN, BLOCK, HEADER_LEN, MAGIC, PATH_MAX, PERMISSIONS, TRAILER, TYPE_CHAR_DEVICE, TYPE_DIRECTORY, TYPE_REGULAR, TYPE_SYMLINK,
};

/// One member of the archive to be written. Owner and group are always 0: inside the guest nobody else exists yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Relative path with single slashes, printable ASCII without spaces, such as `etc/sealstone/config.json`; or `.`
    /// for the root directory itself, which sets its mode and time.
    pub path: &'a str,
    /// Permission bits, at most `0o7777`. A symbolic link's must be `0o777`: Linux knows no other.
    pub mode: u32,
    /// What the member is.
    pub kind: Kind<'a>,
}

/// What a member of the archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A directory.
    Directory,
    /// A regular file with its content.
    File(&'a [u8]),
    /// A symbolic link with its target, which may point anywhere.
    Symlink(&'a str),
    /// A character device, such as `dev/console` (5, 1).
    CharDevice {
        /// Major number, below 2^12.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
}

/// Why an archive couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The entry list names something that can't stand in an initramfs. The caller must rename it.
    #[error("writing the initramfs: path {path:?} {fault}")]
    Path {
        /// The path, as given.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Two entries have the same path. The kernel would let the later one win silently.
    #[error("writing the initramfs: {path:?} is declared twice; remove one of the entries")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// The kernel doesn't create parents: the member would silently be missing.
    #[error("writing the initramfs: {path:?} has no parent; declare the directory {parent:?}")]
    Orphan {
        /// The entry without a parent.
        path: String,
        /// The directory that must be declared.
        parent: String,
    },
    /// Mode, device number, link target or size lie outside what the format or Linux can hold.
    #[error("writing the initramfs: {path:?}: {fault}")]
    Value {
        /// The entry.
        path: String,
        /// What is wrong with it, and the limit.
        fault: String,
    },
    /// The header's time field has 32 bits.
    #[error("writing the initramfs: time {epoch} is beyond the 32 bits of the header field mtime; use an earlier epoch")]
    Epoch {
        /// Seconds since 1970.
        epoch: u64,
    },
    /// Whatever the bytes are written into failed.
    #[error("writing the initramfs: {0}")]
    Output(#[from] io::Error),
}

/// Writes the archive that `entries` declare, whatever their order, with `epoch` (seconds since 1970 UTC) as every time.
///
/// The bytes are a function of the *set* of entries and the epoch. Members are sorted by the bytes of their path with `.`
/// first, so that a directory precedes what it holds; inode numbers count from 1; a directory's link count is 2 plus its
/// subdirectories, everything else's is 1. See `docs/formats/initrd.md`.
///
/// # Errors
/// [`WriteError`]; on any but `Output` nothing has been written.
pub fn write(entries: &[Entry<'_>], epoch: u64, out: &mut impl io::Write) -> Result<(), WriteError> {
    let mtime = u32::try_from(epoch).map_err(|_| WriteError::Epoch { epoch })?;
    let sorted = sort(entries)?;
    check_parents(&sorted)?;
    let subdirectories = count_subdirectories(&sorted);
    let numbered = (1u32..)
        .zip(sorted.values())
        .map(|(ino, entry)| record(entry, ino, mtime, &subdirectories))
        .collect::<Result<Vec<_>, _>>()?;

    let mut out = Counted { out, written: 0 };
    for (header, data) in &numbered {
        out.member(header, data)?;
    }
    out.member(&Record::trailer(), &[])?;
    out.pad_to(BLOCK)?;
    Ok(())
}

/// Orders `.` before everything else; the rest goes by its bytes, so that `a` precedes `a/b`.
type Key<'a> = (bool, &'a [u8]);

fn sort<'e, 'a>(entries: &'e [Entry<'a>]) -> Result<BTreeMap<Key<'a>, &'e Entry<'a>>, WriteError> {
    let mut sorted = BTreeMap::new();
    for entry in entries {
        check_path(entry)?;
        if sorted.insert((entry.path != ".", entry.path.as_bytes()), entry).is_some() {
            return Err(WriteError::Duplicate { path: entry.path.to_owned() });
        }
    }
    Ok(sorted)
}

fn check_path(entry: &Entry<'_>) -> Result<(), WriteError> {
    let fault = |fault| Err(WriteError::Path { path: entry.path.to_owned(), fault });
    let path = entry.path;
    if path == "." {
        return match entry.kind {
            Kind::Directory => Ok(()),
            _ => fault("is the root of the file system; it can only be a directory"),
        };
    }
    if path.is_empty() {
        return fault("is empty");
    }
    if path == TRAILER {
        return fault("is the name that ends an archive; choose another");
    }
    if path.len() >= PATH_MAX {
        return fault("is too long: the kernel skips names of 4096 bytes and more");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fault("holds something other than printable ASCII without spaces; rename it");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return fault("must be relative, without empty, `.` or `..` parts");
    }
    Ok(())
}

fn check_parents(sorted: &BTreeMap<Key<'_>, &Entry<'_>>) -> Result<(), WriteError> {
    for entry in sorted.values() {
        let Some((parent, _)) = entry.path.rsplit_once('/') else { continue };
        match sorted.get(&(true, parent.as_bytes())) {
            Some(Entry { kind: Kind::Directory, .. }) => {}
            _ => return Err(WriteError::Orphan { path: entry.path.to_owned(), parent: parent.to_owned() }),
        }
    }
    Ok(())
}

/// How many directories stand directly in each directory.
fn count_subdirectories<'a>(sorted: &BTreeMap<Key<'a>, &Entry<'a>>) -> BTreeMap<&'a str, u32> {
    let directories: BTreeSet<&str> =
        sorted.values().filter(|entry| entry.kind == Kind::Directory).map(|entry| entry.path).collect();
    let mut counts = BTreeMap::new();
    for path in directories.into_iter().filter(|path| *path != ".") {
        let parent = path.rsplit_once('/').map_or(".", |(parent, _)| parent);
        let count: &mut u32 = counts.entry(parent).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The numbers of a header that can differ between members; the others are always 0.
struct Record<'a> {
    name: &'a str,
    ino: u32,
    mode: u32,
    nlink: u32,
    mtime: u32,
    filesize: u32,
    rdev: (u32, u32),
}

impl Record<'_> {
    /// As cpio(1) writes it: one link, all else zero.
    fn trailer() -> Self {
        Record { name: TRAILER, ino: 0, mode: 0, nlink: 1, mtime: 0, filesize: 0, rdev: (0, 0) }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, io::Error> {
        let namesize = u32::try_from(self.name.len() + 1).map_err(io::Error::other)?;
        let numbers = [
            self.ino,
            self.mode,
            0, // uid
            0, // gid
            self.nlink,
            self.mtime,
            self.filesize,
            0, // devmajor
            0, // devminor
            self.rdev.0,
            self.rdev.1,
            namesize,
            0, // check
        ];
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.name.len() + 1);
        bytes.extend_from_slice(MAGIC);
        for number in numbers {
            bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.push(0);
        Ok(bytes)
    }
}

fn record<'a>(
    entry: &Entry<'a>,
    ino: u32,
    mtime: u32,
    subdirectories: &BTreeMap<&str, u32>,
) -> Result<(Record<'a>, &'a [u8]), WriteError> {
    let fault = |fault: String| WriteError::Value { path: entry.path.to_owned(), fault };
    if entry.mode > PERMISSIONS {
        return Err(fault(format!("mode {:o} has more than permission bits; at most 7777", entry.mode)));
    }
    let (kind, data, rdev): (u32, &[u8], _) = match entry.kind {
        Kind::Directory => (TYPE_DIRECTORY, &[], (0, 0)),
        Kind::File(data) => (TYPE_REGULAR, data, (0, 0)),
        Kind::Symlink(target) => {
            check_symlink(entry.mode, target).map_err(fault)?;
            (TYPE_SYMLINK, target.as_bytes(), (0, 0))
        }
        Kind::CharDevice { major, minor } => {
            if major >= 1 << 12 || minor >= 1 << 20 {
                return Err(fault(format!("device {major}:{minor} is beyond Linux's 12 and 20 bits")));
            }
            (TYPE_CHAR_DEVICE, &[], (major, minor))
        }
    };
    let nlink = match entry.kind {
        Kind::Directory => subdirectories.get(entry.path).copied().unwrap_or(0).saturating_add(2),
        _ => 1,
    };
    let filesize = u32::try_from(data.len())
        .map_err(|_| fault(format!("{} bytes are too long: a member holds less than 4 GiB", data.len())))?;
    Ok((Record { name: entry.path, ino, mode: kind | entry.mode, nlink, mtime, filesize, rdev }, data))
}

fn check_symlink(mode: u32, target: &str) -> Result<(), String> {
    if mode != 0o777 {
        return Err(format!("mode {mode:o} of a symbolic link must be 777"));
    }
    if target.is_empty() || target.len() >= PATH_MAX || target.contains('\0') {
        return Err("the link's target must have 1 to 4095 bytes and no NUL: the kernel skips others".to_owned());
    }
    Ok(())
}

/// An output that knows its position, which the padding depends on.
struct Counted<'w, W> {
    out: &'w mut W,
    written: usize,
}

impl<W: io::Write> Counted<'_, W> {
    fn member(&mut self, header: &Record<'_>, data: &[u8]) -> io::Result<()> {
        self.bytes(&header.to_bytes()?)?;
        self.pad_to(ALIGN)?;
        self.bytes(data)?;
        self.pad_to(ALIGN)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written = self.written.wrapping_add(bytes.len());
        Ok(())
    }

    /// Only the position modulo `unit` matters, a power of two: wrapping around doesn't change it.
    fn pad_to(&mut self, unit: usize) -> io::Result<()> {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        let missing = (unit - self.written % unit) % unit;
        self.bytes(&ZEROS[..missing])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(entries: &[Entry<'_>]) -> String {
        let mut out = Vec::new();
        let error = write(entries, 0, &mut out).unwrap_err();
        assert!(out.is_empty(), "something was written before {error}");
        error.to_string()
    }

    fn file(path: &str) -> Entry<'_> {
        Entry { path, mode: 0o644, kind: Kind::File(b"x") }
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = "a".repeat(PATH_MAX);
        let cases = [
            ("", "empty"),
            ("/init", "relative"),
            ("a//b", "empty"),
            ("a/", "relative"),
            ("a/../b", "`..`"),
            ("./a", "`.`"),
            ("TRAILER!!!", "ends an archive"),
            ("a b", "printable"),
            ("a\0b", "printable"),
            ("ä", "printable"),
            (".", "only be a directory"),
            (long.as_str(), "too long"),
        ];
        for (path, expected) in cases {
            let message = refusal(&[file(path)]);
            assert!(message.contains(expected), "{path:?}: {message}");
        }
    }

    #[test]
    fn a_parent_must_be_declared_and_be_a_directory() {
        assert!(refusal(&[file("etc/passwd")]).contains("declare the directory \"etc\""));
        assert!(refusal(&[file("etc"), file("etc/passwd")]).contains("declare the directory \"etc\""));
    }

    #[test]
    fn impossible_values_are_refused() {
        let link = |mode, target| Entry { path: "l", mode, kind: Kind::Symlink(target) };
        let device = |major, minor| Entry { path: "d", mode: 0o600, kind: Kind::CharDevice { major, minor } };
        let cases = [
            (vec![file("a"), file("a")], "twice"),
            (vec![Entry { mode: 0o100644, ..file("a") }], "at most 7777"),
            (vec![link(0o755, "x")], "must be 777"),
            (vec![link(0o777, "")], "target"),
            (vec![device(4096, 0)], "12 and 20 bits"),
            (vec![device(0, 1 << 20)], "12 and 20 bits"),
        ];
        for (entries, expected) in cases {
            let message = refusal(&entries);
            assert!(message.contains(expected), "{message}");
        }
        let error = write(&[], 1 << 32, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("32 bits"));
    }

    #[test]
    fn the_order_of_the_entries_does_not_matter() {
        let directory = |path| Entry { path, mode: 0o755, kind: Kind::Directory };
        let mut entries = vec![directory("."), directory("etc"), file("etc/a"), file("etc-b"), file("-c")];
        let mut forward = Vec::new();
        write(&entries, 7, &mut forward).unwrap();
        entries.reverse();
        let mut backward = Vec::new();
        write(&entries, 7, &mut backward).unwrap();
        assert_eq!(forward, backward);
        assert_eq!(&forward[HEADER_LEN..HEADER_LEN + 2], b".\0");
    }

    #[test]
    fn errors_of_the_output_are_passed_on() {
        struct Full;
        impl io::Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(matches!(write(&[file("a")], 0, &mut Full), Err(WriteError::Output(_))));
    }
}
