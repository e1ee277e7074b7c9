//! What keeps a model from becoming a pack, or a file from being one.

use std::path::PathBuf;

use sealstone_formats::{erofs, pack, verity};

use crate::error::Class;

/// A pack that could not be made or is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// What was given can't go into a pack: a link, a device, an unsuitable name, nothing at all. The user must change it.
    #[error("{}: {problem}", path.display())]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// The EROFS image could not be written: a name that it can't hold, a file that changed meanwhile, or I/O.
    #[error("packing {}: {source}", path.display())]
    Image {
        /// The pack.
        path: PathBuf,
        /// What is wrong.
        source: erofs::WriteError,
    },
    /// The hash tree could not be written.
    #[error("packing {}: {source}", path.display())]
    Tree {
        /// The pack.
        path: PathBuf,
        /// What is wrong.
        source: verity::WriteError,
    },
    /// Another process writes the same pack.
    #[error("{}: another `sealstone` is writing it; wait for that, or choose another name", path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// The file isn't a pack, or some block of it isn't what the root vouches for.
    #[error("{}: {source}", path.display())]
    Damaged {
        /// The pack.
        path: PathBuf,
        /// The first thing that is wrong.
        source: pack::PackError,
    },
    /// The file isn't a pack: its length or what stands behind its data rules that out.
    #[error("{}: {problem}", path.display())]
    NoPack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The spec names a pack, and packing the model's files gives another: they aren't the files that were locked.
    #[error("{}: model {model}: its files give the pack {found}, and the spec locks {locked}; {remedy}", spec.display())]
    Other {
        /// The spec.
        spec: PathBuf,
        /// The model's name.
        model: String,
        /// The root of what is there.
        found: String,
        /// The root that the spec names.
        locked: String,
        /// What to do.
        remedy: String,
    },
    /// The spec doesn't say which pack a model is, and `--locked` was given.
    #[error("{}: model {model}: the spec doesn't say which pack it is, and --locked takes nothing on trust; {remedy}", spec.display())]
    Unlocked {
        /// The spec.
        spec: PathBuf,
        /// The model's name.
        model: String,
        /// What to do.
        remedy: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
}

impl PackError {
    /// How the failure should be treated.
    pub fn class(&self) -> Class {
        use pack::PackError as Pack;
        let unread = |error: &Pack| {
            matches!(error, Pack::Volume(erofs::ReadError::Unread { .. }) | Pack::Verity(verity::VerifyError::Unread { .. }))
        };
        match self {
            Self::Image { source: erofs::WriteError::Input { .. } | erofs::WriteError::Output(_), .. } => Class::Failed,
            Self::Damaged { source, .. } if unread(source) => Class::Failed,
            Self::Tree { .. } | Self::Busy { .. } | Self::Io { .. } => Class::Failed,
            _ => Class::BadInput,
        }
    }
}

/// Attaches what was being done, and to which file.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &std::path::Path) -> Result<T, PackError>;
}

impl<T> Doing<T> for Result<T, std::io::Error> {
    fn doing(self, doing: &'static str, path: &std::path::Path) -> Result<T, PackError> {
        self.map_err(|source| PackError::Io { doing, path: path.to_path_buf(), source })
    }
}
