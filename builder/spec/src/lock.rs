//! The lock: exactly which files a build takes, by SHA-256.
//!
//! A lock has one text ([`Lock::to_text`]) and is only read in that text, so that equal locks are equal files, a digest
//! of the file is a digest of the lock, and a review sees a changed package as one changed line.

mod diff;
mod fit;
mod read;
mod text;

pub use diff::{Change, diff};
pub use fit::Stale;

use std::collections::BTreeMap;

use crate::error::SpecError;
use crate::spec::{Repository, SourceOrigin};
use crate::value::{Name, RootPath, Sha256, Snapshot, UtcTime, Version};

/// What `schema` says.
pub const SCHEMA: &str = "sealstone/lock/v1";

/// A whole lock. Lists are in the order that their documentation states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// [`Spec::lock_digest`](crate::Spec::lock_digest) of the spec that was resolved.
    pub spec_sha256: Sha256,
    /// The suites that were asked, by id.
    pub archives: Vec<LockedArchive>,
    /// Every binary package of every root, once, by name, version and architecture.
    pub packages: Vec<LockedFile>,
    /// By name.
    pub roots: Vec<LockedRoot>,
    /// By name.
    pub sources: Vec<LockedSource>,
    /// Every registry crate of the userland workspace, by name and version.
    pub crates: Vec<LockedCrate>,
}

/// The signed index of one suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedArchive {
    /// The archive's name in the spec; for a suite of its `also` list, `<name>+<suite>`.
    pub id: String,
    /// Which archive the suite is in.
    pub repository: Repository,
    /// Suite or code name.
    pub suite: String,
    /// The moment for which snapshot.debian.org is asked for its files.
    pub snapshot: Snapshot,
    /// When the archive made the index (`Date` of its Release). A later lock doesn't accept an earlier one.
    pub release_date: UtcTime,
    /// Digest of the InRelease file.
    pub release_sha256: Sha256,
}

/// One file of an archive's pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedFile {
    /// Of a binary package its name, of a file of a source package the file's name.
    pub name: String,
    /// The package's version.
    pub version: Version,
    /// `amd64`, `all`, or `source`.
    pub arch: String,
    /// [`LockedArchive::id`].
    pub archive: String,
    /// Path below the archive's base: `pool/…`.
    pub path: RootPath,
    /// In bytes, at least 1.
    pub size: u64,
    /// Of the whole file.
    pub sha256: Sha256,
}

/// The packages of one root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedRoot {
    /// Its name in the spec.
    pub name: Name,
    /// `name=version`, in the order in which they are unpacked.
    pub packages: Vec<String>,
}

/// The files of one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedSource {
    /// Its name in the spec.
    pub name: Name,
    /// The package that it is.
    pub origin: SourceOrigin,
    /// The package's version.
    pub version: Version,
    /// [`LockedArchive::id`].
    pub archive: String,
    /// By name, at least one.
    pub files: Vec<LockedFile>,
}

/// One crate of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedCrate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of the `.crate` file, as Cargo.lock states it.
    pub sha256: Sha256,
}

impl Lock {
    /// Reads a lock; `file` names it in errors.
    ///
    /// # Errors
    /// Every problem of the text: a value that isn't one, a list out of order or with an entry twice, a name that stands
    /// for nothing, or bytes other than [`Lock::to_text`] writes.
    pub fn parse(file: &str, text: &str) -> Result<Lock, SpecError> {
        read::lock(file, text)
    }

    /// The one text of this lock: JSON, a file or crate a line, sorted.
    pub fn to_text(&self) -> String {
        text::lock(self)
    }

    /// The package that a root's entry `name=version` stands for.
    pub fn package(&self, id: &str) -> Option<&LockedFile> {
        let (name, version) = id.split_once('=')?;
        self.packages.iter().find(|file| file.name == name && file.version.as_str() == version)
    }

    /// All files to fetch from archives, packages first.
    pub fn files(&self) -> impl Iterator<Item = &LockedFile> {
        self.packages.iter().chain(self.sources.iter().flat_map(|source| &source.files))
    }

    /// The archive of an id.
    pub fn archive(&self, id: &str) -> Option<&LockedArchive> {
        self.archives.iter().find(|archive| archive.id == id)
    }

    /// The packages of a root in unpack order. `None` if there is no such root, or if an entry stands for nothing, which
    /// a parsed lock never has.
    pub fn root(&self, name: &Name) -> Option<Vec<&LockedFile>> {
        let by_id: BTreeMap<String, &LockedFile> = self.packages.iter().map(|file| (file.id(), file)).collect();
        let root = self.roots.iter().find(|root| root.name == *name)?;
        root.packages.iter().map(|id| by_id.get(id).copied()).collect()
    }
}

impl LockedFile {
    /// `name=version`.
    pub fn id(&self) -> String {
        format!("{}={}", self.name, self.version)
    }
}
