//! The content-addressed store: every file is named by its SHA-256, and nothing is trusted that was not checked.
//!
//! ```text
//! objects/<first 2 hex>/<sha256>   read-only files; their content is what their name says
//! roots/  actions/                 unpacked trees and cached results; their owners decide what is in them
//! tmp/<session>/  <session>.lock   everything unfinished; removed when the session ends, or swept by the next
//! lock                             held by the one process that builds
//! ```
//!
//! An object appears by `rename` alone, after its bytes were hashed, written and synced, so a process killed at any moment
//! leaves either the whole object or none. Objects carry a fixed modification time: whatever writes to one later moves that
//! time, and [`Store::contains`] then hashes the file again before it says yes. Damage below the file system, which moves no
//! time, is found by [`Store::verify`].

mod hashing;
mod lock;
mod scratch;

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sealstone_spec::Sha256;

use crate::error::{InputsError, IoContext, Result, WrongBytes};
pub use hashing::Hashing;
pub use lock::StoreGuard;
use scratch::Session;
pub use scratch::{Scratch, remove_tree};

/// Modification time of every object, seconds since 1970 UTC. Changing it makes every object of existing stores look
/// touched, so that each is hashed once more.
const STAMP_SECONDS: u64 = 1;

/// Objects are never written again; the mode guards against accidents, the digest against everything else.
const OBJECT_MODE: u32 = 0o444;

/// What is promised about bytes that are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Their SHA-256.
    pub sha256: Sha256,
    /// Their length in bytes.
    pub size: u64,
}

/// A folder of files named by their SHA-256.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    session: Mutex<Option<Arc<Session>>>,
}

impl Store {
    /// Opens the store in `dir` and makes its folders if they are missing.
    pub fn open(dir: &Path) -> Result<Store> {
        fs::create_dir_all(dir).doing("creating the store in", dir)?;
        let dir = dir.canonicalize().doing("opening the store in", dir)?;
        for folder in ["objects", "roots", "actions", "tmp"] {
            let path = dir.join(folder);
            fs::create_dir_all(&path).doing("creating", &path)?;
        }
        Ok(Store { dir, session: Mutex::new(None) })
    }

    /// The store's folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where unpacked package trees live.
    pub fn roots_dir(&self) -> PathBuf {
        self.dir.join("roots")
    }

    /// Where the package tree with this digest lives, whether or not it is there.
    pub fn root_dir(&self, digest: &Sha256) -> PathBuf {
        self.roots_dir().join(digest.to_string())
    }

    /// Where cached results of actions live.
    pub fn actions_dir(&self) -> PathBuf {
        self.dir.join("actions")
    }

    /// Where the object with this digest lives, whether or not it is there.
    pub fn object(&self, sha256: &Sha256) -> PathBuf {
        let hex = sha256.to_string();
        self.dir.join("objects").join(hex.get(..2).unwrap_or_default()).join(hex)
    }

    /// Whether the object is there and can be trusted. An object that was touched since it was published is hashed again;
    /// a damaged one is removed, and the answer is no.
    pub fn contains(&self, sha256: &Sha256) -> Result<bool> {
        Ok(self.check(sha256)? == Condition::Good)
    }

    /// What [`contains`](Self::contains) found, told apart.
    pub fn check(&self, sha256: &Sha256) -> Result<Condition> {
        let path = self.object(sha256);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() && meta.modified().is_ok_and(|time| time == stamp()) => Ok(Condition::Good),
            Ok(_) => self.rehash(sha256),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Condition::Absent),
            Err(error) => Err(error).doing("looking at", &path),
        }
    }

    /// Hashes the object again, whatever its times say. A damaged object is removed. Returns whether a good one is there.
    pub fn verify(&self, sha256: &Sha256) -> Result<bool> {
        Ok(self.rehash(sha256)? == Condition::Good)
    }

    /// Hashes every object again and removes the damaged ones. Returns how many are good, and the digests of those removed.
    pub fn verify_all(&self) -> Result<(u64, Vec<Sha256>)> {
        let (mut good, mut damaged) = (0, Vec::new());
        for sha256 in self.objects()? {
            match self.rehash(&sha256)? {
                Condition::Good => good += 1,
                Condition::Damaged => damaged.push(sha256),
                Condition::Absent => {}
            }
        }
        Ok((good, damaged))
    }

    /// Digests of all objects, sorted; names that are no digest are left out.
    pub fn objects(&self) -> Result<Vec<Sha256>> {
        let top = self.dir.join("objects");
        let mut found = Vec::new();
        for fan in fs::read_dir(&top).doing("listing", &top)? {
            let fan = fan.doing("listing", &top)?.path();
            for entry in fs::read_dir(&fan).doing("listing", &fan)? {
                let name = entry.doing("listing", &fan)?.file_name();
                found.extend(name.to_str().and_then(|name| name.parse::<Sha256>().ok()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The whole object, hashed while it is read. `None` if it is not there; a damaged one is removed and an error.
    pub fn read(&self, sha256: &Sha256) -> Result<Option<Vec<u8>>> {
        let path = self.object(sha256);
        match fs::read(&path) {
            Ok(bytes) if Sha256::of(&bytes) == *sha256 => Ok(Some(bytes)),
            Ok(bytes) => {
                remove_file(&path)?;
                let problem = WrongBytes::Digest { got: Sha256::of(&bytes), expected: *sha256 };
                Err(InputsError::Wrong { what: format!("object {} (removed)", path.display()), problem })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing("reading", &path),
        }
    }

    /// Stores bytes that are in memory.
    pub fn publish_bytes(&self, bytes: &[u8]) -> Result<Sha256> {
        let expect = Expect { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
        if !self.contains(&expect.sha256)? {
            self.publish_stream(bytes, "bytes", &expect)?;
        }
        Ok(expect.sha256)
    }

    /// Stores a copy of a file and returns its digest and length. The file may be anywhere.
    pub fn publish_file(&self, path: &Path) -> Result<(Sha256, u64)> {
        let from = File::open(path).doing("opening", path)?;
        let mut part = self.part()?;
        let mut hashing = Hashing::new(from);
        copy(&mut hashing, &mut part, "reading", path, &mut |_| {})?;
        let (sha256, size) = hashing.finish();
        self.publish_part(part, &sha256)?;
        Ok((sha256, size))
    }

    /// Stores what `from` gives if it is exactly what was promised; otherwise keeps nothing and reports the difference.
    /// Reads at most one byte more than promised. `what` names the bytes in errors.
    pub fn publish_stream(&self, from: impl Read, what: &str, expect: &Expect) -> Result<()> {
        self.publish_watched(from, what, expect, &mut |_| {})
    }

    /// [`publish_stream`](Self::publish_stream) that tells `watch` after every block how many bytes have come.
    pub fn publish_watched(&self, from: impl Read, what: &str, expect: &Expect, watch: &mut dyn FnMut(u64)) -> Result<()> {
        let mut part = self.part()?;
        let mut hashing = Hashing::new(from.take(expect.size.saturating_add(1)));
        copy(&mut hashing, &mut part, "receiving", Path::new(what), watch)?;
        let (got, size) = hashing.finish();
        let problem = match size.cmp(&expect.size) {
            std::cmp::Ordering::Less => WrongBytes::Short { got: size, expected: expect.size },
            std::cmp::Ordering::Greater => WrongBytes::Long { expected: expect.size },
            std::cmp::Ordering::Equal if got != expect.sha256 => WrongBytes::Digest { got, expected: expect.sha256 },
            std::cmp::Ordering::Equal => return self.publish_part(part, &got),
        };
        Err(InputsError::Wrong { what: what.to_owned(), problem })
    }

    /// Makes a finished file of a [`scratch`](Self::scratch) folder an object, without copying it. `sha256` is what the caller hashed while
    /// writing it: gigabytes aren't read a second time, so nobody else may have had the file in hand.
    pub fn adopt(&self, path: &Path, sha256: &Sha256) -> Result<()> {
        let file = File::options().write(true).open(path).doing("opening", path)?;
        let path = tempfile::TempPath::try_from_path(path).map_err(|error| InputsError::Io {
            doing: "taking over",
            path: path.to_path_buf(),
            source: error,
        })?;
        self.publish_part(Part { file, path, _session: self.session()? }, sha256)
    }

    /// A fresh folder in the store's file system, for whatever is unfinished. Removed when dropped, and by the next session
    /// if this process is killed.
    pub fn scratch(&self) -> Result<Scratch> {
        Scratch::new(self.session()?)
    }

    /// Removes what killed processes left in `tmp/`. Called by itself whenever something is about to be written.
    pub fn sweep(&self) -> Result<()> {
        scratch::sweep(&self.dir.join("tmp"))
    }

    /// Waits until no other process builds with this store. `on_wait` is called at most once, before waiting.
    pub fn lock_exclusive(&self, on_wait: &dyn Fn(&crate::Holder)) -> Result<StoreGuard> {
        let guard = lock::acquire(&self.dir, Some(on_wait))?;
        self.sweep()?;
        Ok(guard)
    }

    /// Like [`lock_exclusive`](Self::lock_exclusive), but [`InputsError::Busy`] instead of waiting.
    pub fn try_lock_exclusive(&self) -> Result<StoreGuard> {
        let guard = lock::acquire(&self.dir, None)?;
        self.sweep()?;
        Ok(guard)
    }

    fn session(&self) -> Result<Arc<Session>> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        self.sweep()?;
        let fresh = Arc::new(Session::start(&self.dir.join("tmp"))?);
        *session = Some(fresh.clone());
        Ok(fresh)
    }

    fn part(&self) -> Result<Part> {
        Part::create(self.session()?)
    }

    fn publish_part(&self, part: Part, sha256: &Sha256) -> Result<()> {
        let target = self.object(sha256);
        let fan = target.parent().unwrap_or(&self.dir);
        if !fan.is_dir() {
            fs::create_dir_all(fan).doing("creating", fan)?;
            sync_dir(&self.dir.join("objects"))?;
        }
        part.finish(&target)?;
        sync_dir(fan)
    }

    fn rehash(&self, sha256: &Sha256) -> Result<Condition> {
        let path = self.object(sha256);
        let file = match open_object(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Condition::Absent),
            Err(error) => return Err(error).doing("opening", &path),
        };
        let Some(file) = file else {
            remove_tree(&path)?;
            return Ok(Condition::Damaged);
        };
        let mut hashing = Hashing::new(&file);
        io::copy(&mut hashing, &mut io::sink()).doing("reading", &path)?;
        if hashing.finish().0 != *sha256 {
            remove_file(&path)?;
            return Ok(Condition::Damaged);
        }
        restamp(&file).doing("marking", &path)?;
        Ok(Condition::Good)
    }
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is there and its content is what its name says.
    Good,
    /// It is not there.
    Absent,
    /// It was there with other content, and has been removed.
    Damaged,
}

/// A file that is being written in the session's folder; removed when dropped unfinished.
struct Part {
    file: File,
    path: tempfile::TempPath,
    _session: Arc<Session>,
}

impl Part {
    fn create(session: Arc<Session>) -> Result<Part> {
        let made = tempfile::Builder::new().prefix("part-").tempfile_in(session.dir());
        let (file, path) = made.doing("creating a file in", session.dir())?.into_parts();
        Ok(Part { file, path, _session: session })
    }

    /// Makes the bytes durable, then visible under their name, in that order.
    fn finish(self, target: &Path) -> Result<()> {
        self.file.set_permissions(Permissions::from_mode(OBJECT_MODE)).doing("marking", target)?;
        restamp(&self.file).doing("marking", target)?;
        self.file.sync_all().doing("writing", target)?;
        self.path.persist(target).map_err(|error| error.error).doing("renaming to", target)
    }
}

fn copy(from: &mut impl Read, part: &mut Part, doing: &'static str, source: &Path, watch: &mut dyn FnMut(u64)) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut done: u64 = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(InputsError::Io { doing, path: source.to_path_buf(), source: error }),
        };
        let block = buffer.get(..count).unwrap_or_default();
        io::Write::write_all(&mut part.file, block).doing("writing", &part.path)?;
        done = done.saturating_add(count as u64);
        watch(done);
    }
}

/// Opens an object for hashing; `None` if the name belongs to something that is no plain file.
fn open_object(path: &Path) -> io::Result<Option<File>> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_file() { File::open(path).map(Some) } else { Ok(None) }
}

fn stamp() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(STAMP_SECONDS)
}

fn restamp(file: &File) -> io::Result<()> {
    file.set_times(FileTimes::new().set_modified(stamp()))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("removing", path),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).doing("syncing", dir)
}
