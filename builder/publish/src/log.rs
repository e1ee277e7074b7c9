//! A transparency log as a folder of tiles (C2SP tlog-tiles), which any web server can hand out as it is.
//!
//! Whoever holds the log's key could sign anything; these functions sign only what continues the last checkpoint. Tiles are
//! written before the checkpoint, each at once, so a log that was stopped anywhere is the log that it was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sealstone_release::key::{KeyKind, SigningKey, VerifierKey};
use sealstone_release::note::Note;
use sealstone_release::tlog::TlogError;
use sealstone_release::tlog::checkpoint::Checkpoint;
use sealstone_release::tlog::merkle::{self, Hash};
use sealstone_release::tlog::proof::Proof;
use sealstone_release::tlog::tiles::{self, CHECKPOINT, Files, Tiles};

use crate::atomic;
use crate::error::{Doing as _, PublishError};

/// A log's folder.
#[derive(Clone, Debug)]
pub struct LogFolder {
    dir: PathBuf,
}

impl Files for LogFolder {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(self.dir.join(path)).map_err(|e| e.to_string())
    }
}

impl LogFolder {
    /// The log in `dir`; nothing is read yet.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Begins an empty log that is called what its key is called.
    ///
    /// # Errors
    /// [`PublishError::Exists`] if there is a log already.
    pub fn init(dir: impl Into<PathBuf>, key: &SigningKey) -> Result<Self, PublishError> {
        let log = Self { dir: dir.into() };
        fs::create_dir_all(&log.dir).doing("creating", &log.dir)?;
        let _held = log.hold()?;
        let path = log.dir.join(CHECKPOINT);
        if path.exists() {
            return Err(PublishError::Exists { path });
        }
        let origin = key.verifier().name().to_string();
        let empty = Checkpoint { origin, size: 0, root: merkle::empty_root() };
        let note = empty.sign(key).map_err(|e| log.fault(e))?;
        atomic::replace(&path, note.to_text().as_bytes())?;
        Ok(log)
    }

    /// The newest checkpoint, signed by the log.
    ///
    /// # Errors
    /// If there is none, or another key signed it.
    pub fn checkpoint(&self, key: &VerifierKey) -> Result<(Checkpoint, Note), PublishError> {
        let path = self.dir.join(CHECKPOINT);
        let text = fs::read_to_string(&path).doing("reading", &path)?;
        let read = || {
            let note = Note::parse(&text)?;
            let (checkpoint, _) = Checkpoint::verify(&note, std::slice::from_ref(key))?;
            Ok((checkpoint, note))
        };
        read().map_err(|e| self.fault(e))
    }

    /// Adds an entry and signs the log with it; returns the entry's index. An entry that is in the log already isn't added again,
    /// so that a publisher who was stopped after this step can repeat it.
    ///
    /// # Errors
    /// If the log isn't what its checkpoint says: then nothing is signed.
    pub fn append(&self, entry: &[u8], key: &SigningKey) -> Result<u64, PublishError> {
        self.append_until(entry, key, &mut || Ok(()))
    }

    /// As [`append`](Self::append); `step` is asked before each write and can stop it, as a power cut would.
    fn append_until(
        &self,
        entry: &[u8],
        key: &SigningKey,
        step: &mut dyn FnMut() -> Result<(), PublishError>,
    ) -> Result<u64, PublishError> {
        let _held = self.hold()?;
        let (old, _) = self.checkpoint(key.verifier())?;
        let before = Tiles::new(self, old.size);
        before.check(&old.root).map_err(|e| self.fault(e))?;
        if let Some(index) = before.find(entry).map_err(|e| self.fault(e))? {
            return Ok(index);
        }
        let appended = tiles::append(self, old.size, entry).map_err(|e| self.fault(e))?;
        for (path, bytes) in &appended.files {
            step()?;
            atomic::replace(&self.dir.join(path), bytes)?;
        }
        let new = Checkpoint { origin: old.origin.clone(), size: appended.size, root: appended.root };
        // From the files as they now are: what is signed is what others will read.
        self.consistent(&old, &new)?;
        let note = new.sign(key).map_err(|e| self.fault(e))?;
        step()?;
        atomic::replace(&self.dir.join(CHECKPOINT), note.to_text().as_bytes())?;
        Ok(old.size)
    }

    /// The proof of entry `index` under the newest checkpoint, with whatever cosignatures that has.
    ///
    /// # Errors
    /// If there is no such entry, or the log isn't whole.
    pub fn prove(&self, index: u64, key: &VerifierKey) -> Result<Proof, PublishError> {
        let (checkpoint, note) = self.checkpoint(key)?;
        let tiles = Tiles::new(self, checkpoint.size);
        tiles.check(&checkpoint.root).map_err(|e| self.fault(e))?;
        let path = merkle::inclusion(&tiles, index, checkpoint.size).map_err(|e| self.fault(e))?;
        Ok(Proof { index, path, checkpoint: note })
    }

    /// Where an entry stands.
    ///
    /// # Errors
    /// If the log can't be read.
    pub fn find(&self, entry: &[u8], key: &VerifierKey) -> Result<Option<u64>, PublishError> {
        let (checkpoint, _) = self.checkpoint(key)?;
        Tiles::new(self, checkpoint.size).find(entry).map_err(|e| self.fault(e))
    }

    /// Recomputes every hash of the log, and that it continues each of the older signed checkpoints `since`.
    ///
    /// # Errors
    /// The first thing that isn't as it must be.
    pub fn check(&self, key: &VerifierKey, since: &[Note]) -> Result<Checkpoint, PublishError> {
        let (now, _) = self.checkpoint(key)?;
        Tiles::new(self, now.size).check(&now.root).map_err(|e| self.fault(e))?;
        for note in since {
            let (then, _) = Checkpoint::verify(note, std::slice::from_ref(key)).map_err(|e| self.fault(e))?;
            self.consistent(&then, &now)?;
        }
        Ok(now)
    }

    /// What a witness does: if the log continues what the witness saw last (kept in the file `state`), says so with a
    /// cosignature at `time`, in seconds since 1970.
    ///
    /// # Errors
    /// If it doesn't; then nothing is signed, and the two checkpoints are proof against the log.
    pub fn cosign(&self, log: &VerifierKey, witness: &SigningKey, state: &Path, time: u64) -> Result<Checkpoint, PublishError> {
        if witness.verifier().kind() != KeyKind::Cosignature {
            let problem = "a witness signs with a key of its own kind; `release keygen --witness` makes one";
            return Err(self.fault(TlogError::Shape { what: "witness's key", problem: problem.to_owned() }));
        }
        let _held = self.hold()?;
        let seen = match fs::read_to_string(state) {
            Ok(text) => vec![Note::parse(&text).map_err(|e| self.fault(e.into()))?],
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).doing("reading", state),
        };
        let now = self.check(log, &seen)?;
        let (_, mut note) = self.checkpoint(log)?;
        note.sign(witness, time);
        // The state first: a witness may forget to say what it saw, but not have said what it forgot.
        atomic::replace(state, note.to_text().as_bytes())?;
        atomic::replace(&self.dir.join(CHECKPOINT), note.to_text().as_bytes())?;
        Ok(now)
    }

    /// That `new` continues `old`, by the files of the log.
    fn consistent(&self, old: &Checkpoint, new: &Checkpoint) -> Result<(), PublishError> {
        let pair = |checkpoint: &Checkpoint| -> (u64, Hash) { (checkpoint.size, checkpoint.root) };
        let path = merkle::consistency(&Tiles::new(self, new.size), old.size, new.size);
        path.and_then(|path| merkle::verify_consistency(pair(old), pair(new), &path)).map_err(|e| self.fault(e))
    }

    /// The right to write, which the kernel takes back when the process ends, however it ends.
    fn hold(&self) -> Result<File, PublishError> {
        let folder = File::open(&self.dir).doing("opening", &self.dir)?;
        folder.lock().doing("locking", &self.dir)?;
        Ok(folder)
    }

    fn fault(&self, source: TlogError) -> PublishError {
        PublishError::Log { path: self.dir.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, kind: KeyKind) -> SigningKey {
        SigningKey::from_seed(name.parse().unwrap(), kind, &[name.len() as u8; 32])
    }

    fn log(dir: &Path) -> (LogFolder, SigningKey) {
        let key = key("log.example/log", KeyKind::Plain);
        (LogFolder::init(dir.join("log"), &key).unwrap(), key)
    }

    fn stop() -> PublishError {
        PublishError::Folder { path: PathBuf::new(), problem: "stopped by the test".into() }
    }

    #[test]
    fn grows_proves_and_adds_nothing_twice() {
        let tmp = tempfile::tempdir().unwrap();
        let (log, key) = log(tmp.path());
        assert!(matches!(LogFolder::init(tmp.path().join("log"), &key), Err(PublishError::Exists { .. })));
        for n in 0..5u64 {
            assert_eq!(log.append(format!("entry {n}").as_bytes(), &key).unwrap(), n);
        }
        assert_eq!(log.append(b"entry 2", &key).unwrap(), 2);
        assert_eq!(log.check(key.verifier(), &[]).unwrap().size, 5);
        let logs = [key.verifier().clone()];
        let none = sealstone_release::tlog::proof::Witnesses { keys: &[], quorum: 0 };
        for n in 0..5u64 {
            let entry = format!("entry {n}");
            assert_eq!(log.find(entry.as_bytes(), key.verifier()).unwrap(), Some(n));
            let proof = log.prove(n, key.verifier()).unwrap();
            let read = Proof::parse(&proof.to_text()).unwrap();
            assert!(read.verify(merkle::leaf(entry.as_bytes()), &logs, none).is_ok());
            assert!(read.verify(merkle::leaf(b"another"), &logs, none).is_err());
        }
        assert!(log.prove(5, key.verifier()).is_err());
    }

    #[test]
    fn stopped_anywhere_it_is_the_log_that_it_was() {
        let tmp = tempfile::tempdir().unwrap();
        let (log, key) = log(tmp.path());
        // Past a full tile, so that an append writes on two levels.
        for n in 0..255u64 {
            log.append(&n.to_be_bytes(), &key).unwrap();
        }
        let before = fs::read(tmp.path().join("log/checkpoint")).unwrap();
        let mut writes = 0;
        for stop_at in 0.. {
            let mut steps = 0;
            // Each try has an entry of its own, so that what an earlier one left is of another tree.
            let entry = format!("try {stop_at}");
            let outcome = log.append_until(entry.as_bytes(), &key, &mut || {
                steps += 1;
                if steps > stop_at { Err(stop()) } else { Ok(()) }
            });
            if outcome.is_ok() {
                writes = steps;
                break;
            }
            assert_eq!(fs::read(tmp.path().join("log/checkpoint")).unwrap(), before, "stopped before write {stop_at}");
            assert_eq!(log.check(key.verifier(), &[]).unwrap().size, 255);
        }
        assert_eq!(writes, 4, "entries, tile, tile above, checkpoint");
        assert_eq!(log.check(key.verifier(), &[Note::parse(std::str::from_utf8(&before).unwrap()).unwrap()]).unwrap().size, 256);
    }

    #[test]
    fn a_damaged_log_is_never_signed() {
        let tmp = tempfile::tempdir().unwrap();
        let (log, key) = log(tmp.path());
        for n in 0..3u64 {
            log.append(&n.to_be_bytes(), &key).unwrap();
        }
        let before = fs::read(tmp.path().join("log/checkpoint")).unwrap();
        for path in ["tile/0/000.p/3", "tile/entries/000.p/3"] {
            let path = tmp.path().join("log").join(path);
            let whole = fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            damaged[5] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(log.append(b"more", &key).is_err() && log.prove(0, key.verifier()).is_err());
            assert_eq!(fs::read(tmp.path().join("log/checkpoint")).unwrap(), before);
            fs::write(&path, &whole).unwrap();
        }
        let stranger = self::key("log.example/log2", KeyKind::Plain);
        assert!(log.append(b"more", &stranger).is_err());
        log.append(b"more", &key).unwrap();
    }

    #[test]
    fn a_rewritten_past_is_seen_by_check_and_witness() {
        let tmp = tempfile::tempdir().unwrap();
        let (log, key) = log(tmp.path());
        let witness = self::key("witness.example/w", KeyKind::Cosignature);
        let state = tmp.path().join("state");
        log.append(b"first", &key).unwrap();
        assert_eq!(log.cosign(key.verifier(), &witness, &state, 1_700_000_000).unwrap().size, 1);
        log.append(b"second", &key).unwrap();
        assert_eq!(log.cosign(key.verifier(), &witness, &state, 1_700_000_100).unwrap().size, 2);
        let (_, note) = log.checkpoint(key.verifier()).unwrap();
        assert_eq!(note.verify(&[witness.verifier().clone()]).unwrap()[0].time, Some(1_700_000_100));
        assert!(log.cosign(key.verifier(), &self::key("plain", KeyKind::Plain), &state, 0).is_err());

        // The log's holder begins again with another first entry, and signs it well.
        fs::remove_dir_all(tmp.path().join("log")).unwrap();
        let (other, key) = self::log(tmp.path());
        for entry in [b"another".as_slice(), b"second", b"third"] {
            other.append(entry, &key).unwrap();
        }
        other.check(key.verifier(), &[]).unwrap();
        let error = other.check(key.verifier(), &[note]).unwrap_err().to_string();
        assert!(error.contains("not the one that it was"), "{error}");
        let before = fs::read(&state).unwrap();
        assert!(other.cosign(key.verifier(), &witness, &state, 1_700_000_200).is_err());
        assert_eq!(fs::read(&state).unwrap(), before);
        assert!(!fs::read_to_string(tmp.path().join("log/checkpoint")).unwrap().contains("witness"));
    }
}
