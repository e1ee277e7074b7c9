//! What can go wrong with inputs, and what that implies for whoever asked.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sealstone_spec::Sha256;

use crate::fetch::Failure;

/// The result of everything that touches the store or the network.
pub type Result<T> = std::result::Result<T, InputsError>;

/// An input that could not be stored, read back or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputsError {
    /// A file or folder of the store could not be read or written. Nothing half-written was published; trying again is safe.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb: `reading`, `writing`, `renaming`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The disk or the quota that the store lies on is full. What was being written has been removed again.
    #[error(
        "{doing} {}: no space is left on the disk or quota of the store; free some, or choose another place with --store",
        path.display()
    )]
    Full {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file that did not fit.
        path: PathBuf,
    },
    /// Another process builds with this store. Returned only by calls that do not wait.
    #[error("the store {} is in use by {holder}; wait for it to end, or choose another place with --store", store.display())]
    Busy {
        /// The store's folder.
        store: PathBuf,
        /// Who holds the lock, as far as that is known.
        holder: Holder,
    },
    /// Bytes that should have had a certain digest and size do not. They were not kept.
    #[error("{what}: {problem}")]
    Wrong {
        /// What was being read.
        what: String,
        /// In which way the bytes are not what was promised.
        problem: WrongBytes,
    },
    /// The store holds an intact object with this digest, but of another length than the lock says: the lock is wrong.
    #[error(
        "{what}: the lock says {locked} bytes, but the bytes with SHA-256 {sha256} are {actual}; \
         the lock was edited or made wrongly: renew it with `sealstone lock`"
    )]
    LockedSize {
        /// The file, as the lock names it.
        what: String,
        /// Its digest in the lock.
        sha256: Sha256,
        /// Its size in the lock, in bytes.
        locked: u64,
        /// The true size, in bytes.
        actual: u64,
    },
    /// Every mirror was asked for an index of an archive and none gave an acceptable one.
    #[error("{}", crate::index::describe(path, tried))]
    NoIndex {
        /// The index, below the archive's base.
        path: String,
        /// Every mirror that was asked, and what came of it, in order.
        tried: Vec<(String, String)>,
    },
    /// Every mirror was asked for these files and none gave the right bytes.
    #[error("{}", crate::fetch::describe_failures(.0))]
    Unavailable(Vec<Failure>),
    /// `SEALSTONE_MIRROR`, a proxy variable or a certificate bundle cannot be used as it stands.
    #[error("{name}: {problem}")]
    Setting {
        /// The variable or file.
        name: String,
        /// What is wrong with it and what it should look like.
        problem: String,
    },
    /// Registry crates of the lock could not be had through cargo's own configuration.
    #[error("{problem}")]
    Crates {
        /// Which crates, what was tried, and what to do.
        problem: String,
    },
}

/// How bytes differ from what was promised about them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongBytes {
    /// The stream ended too early.
    #[error("ended after {got} of {expected} bytes")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that were promised.
        expected: u64,
    },
    /// The stream went on after the promised length; it was not read further.
    #[error("is longer than the promised {expected} bytes")]
    Long {
        /// Bytes that were promised.
        expected: u64,
    },
    /// The length is right and the content is not.
    #[error("has SHA-256 {got} instead of {expected}")]
    Digest {
        /// What was computed.
        got: Sha256,
        /// What was promised.
        expected: Sha256,
    },
    /// Unpacked, the bytes are more than they may be. They were not unpacked further.
    #[error("unpacks to more than {limit} bytes")]
    TooBig {
        /// How many bytes they may be.
        limit: u64,
    },
    /// The compression format is broken.
    #[error("cannot be unpacked: {0}")]
    Corrupt(String),
}

/// The process that holds the lock of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, if it could be read.
    pub pid: Option<u32>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// Attaches what was being done, and to which file, to an I/O result; tells a full disk from other failures.
pub(crate) trait IoContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoContext<T> for std::result::Result<T, E> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| {
            let source = error.into();
            let path = path.to_path_buf();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => InputsError::Full { doing, path },
                _ => InputsError::Io { doing, path, source },
            }
        })
    }
}
