//! Why publishing failed.

use std::io;
use std::path::{Path, PathBuf};

use sealstone_release::key::KeyError;
use sealstone_release::tlog::TlogError;

/// Nothing that was there before is damaged by any of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The file system refused something.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that may not be written over is there already.
    #[error("{path} is there already and is never written over; choose another name or move it away", path = path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file is no key.
    #[error("{path}: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A folder holds what no release holds.
    #[error("{path}: {problem}", path = path.display())]
    Folder {
        /// What was found.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The log isn't what its checkpoint says, or can't grow.
    #[error("log {path}: {source}", path = path.display())]
    Log {
        /// The log's folder.
        path: PathBuf,
        /// What is wrong.
        source: TlogError,
    },
}

pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, PublishError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, PublishError> {
        self.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => PublishError::Exists { path: path.to_path_buf() },
            _ => PublishError::Io { doing, path: path.to_path_buf(), source },
        })
    }
}
