//! Why an archive's word isn't taken, or why a spec can't be resolved from it.

use sealstone_spec::{PackageName, Repository, Sha256, UtcTime, Version};

use super::openpgp::SignatureError;

/// What an [`IndexSource`](super::IndexSource) fails with; it knows the mirrors, this module doesn't.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Why indexes are refused or can't be resolved. Nothing has been written when one of these is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebianError {
    /// A file of an archive could not be had. Trying later or with another mirror may help.
    #[error("fetching {path} of the archive {repository}: {source}")]
    Fetch {
        /// Which archive.
        repository: Repository,
        /// Path below the archive's base.
        path: String,
        /// What the source of indexes says.
        source: SourceError,
    },
    /// Every mirror's file was refused.
    #[error("{refusal} ({source})")]
    Refused {
        /// Why the first one's was.
        refusal: Box<DebianError>,
        /// What the source of indexes says about all of them.
        source: SourceError,
    },
    /// The caller gave no content for a key file that the spec names.
    #[error(
        "the key file {path} of the archive {archive} wasn't read; restore it, or correct `archives.{archive}.keys` in the spec"
    )]
    NoKeys {
        /// The archive's id.
        archive: String,
        /// As in the spec.
        path: String,
    },
    /// The index isn't signed by a key that the spec trusts. Either the mirror is broken or hostile, or the archive has
    /// new keys, which a person has to compare and commit.
    #[error("the index of {archive} is refused: {source}")]
    Signature {
        /// The archive's id.
        archive: String,
        /// What is wrong with the signature.
        source: SignatureError,
    },
    /// The signed index says itself that it is no longer to be used.
    #[error(
        "the index of {archive} was valid until {valid_until} and it is {now}: the mirror is stale or somebody holds updates back; use another mirror, or mend the clock"
    )]
    Expired {
        /// The archive's id.
        archive: String,
        /// `Valid-Until`.
        valid_until: UtcTime,
        /// The time that the caller gave.
        now: UtcTime,
    },
    /// The index was made after the time that the caller gave, by more than a day.
    #[error("the index of {archive} is of {date}, which is in the future (it is {now}); mend the clock")]
    Future {
        /// The archive's id.
        archive: String,
        /// `Date`.
        date: UtcTime,
        /// The time that the caller gave.
        now: UtcTime,
    },
    /// A correctly signed index of something else.
    #[error(
        "asked for the suite {asked} of {archive}, got an index of suite `{suite}`, code name `{codename}`; correct `suite` in the spec, or use another mirror"
    )]
    WrongSuite {
        /// The archive's id.
        archive: String,
        /// The suite that the spec names.
        asked: String,
        /// `Suite` of the index.
        suite: String,
        /// `Codename` of the index.
        codename: String,
    },
    /// The index is older than the one that the present lock was made from: a replay, or a mirror that lags.
    #[error(
        "the index of {archive} is of {found}, older than the one that the lock was made from ({locked}); use another mirror, or wait until it has caught up"
    )]
    Downgraded {
        /// The archive's id.
        archive: String,
        /// `Date` of the index.
        found: UtcTime,
        /// `release_date` in the lock.
        locked: UtcTime,
    },
    /// The signed index doesn't list a file that is needed, for instance because the suite has no such component.
    #[error("the index of {archive} lists no {path}; correct `components` in the spec")]
    NotListed {
        /// The archive's id.
        archive: String,
        /// Path below the suite's folder.
        path: String,
    },
    /// A file isn't the one that the signed index lists.
    #[error(
        "{path} of {archive} isn't the file that the signed index lists: expected {expected}, got {found}; try again in a while or use another mirror"
    )]
    WrongFile {
        /// The archive's id.
        archive: String,
        /// Path below the suite's folder.
        path: String,
        /// What the index lists.
        expected: Box<Facts>,
        /// What came.
        found: Box<Facts>,
    },
    /// A file can't be understood, although it is the signed one: the archive or this reader has a fault.
    #[error("{file}, line {line}: {what}; report this, for the file is as the archive signed it")]
    Malformed {
        /// What is being read.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No package of this name.
    #[error("{wanted_by}: the archive {archive} has no package {package}; correct the name, or the archive")]
    NoPackage {
        /// The field or package that wants it.
        wanted_by: String,
        /// The archive's name in the spec.
        archive: String,
        /// What is missing.
        package: PackageName,
    },
    /// The package exists, but not in the wanted version.
    #[error("{wanted_by}: the archive {archive} has no {package} {version}, only {}; {remedy}", listing(available))]
    NoVersion {
        /// The field or package that wants it.
        wanted_by: Box<str>,
        /// The archive's name in the spec.
        archive: String,
        /// The package.
        package: PackageName,
        /// What is missing.
        version: Version,
        /// What is there, highest first.
        available: Box<[Version]>,
        /// What to do.
        remedy: Box<str>,
    },
    /// A dependency that nothing in the archive fulfils.
    #[error(
        "root {root}: {package} depends on `{dependency}`, which nothing in the archive {archive} fulfils; exclude {package}, or add the suite that has it to `archives.{archive}.also`"
    )]
    Unsatisfiable {
        /// The root's name.
        root: String,
        /// The package that has the dependency.
        package: PackageName,
        /// The dependency as the index states it.
        dependency: String,
        /// The archive's name in the spec.
        archive: String,
    },
    /// Two archives have different files under one name and version, which a lock can't tell apart.
    #[error("the archives {first} and {second} have different files for {id}; take both from one archive")]
    Ambiguous {
        /// `name=version`.
        id: String,
        /// One archive's id.
        first: String,
        /// The other's.
        second: String,
    },
    /// `--update` names something that the spec doesn't lead to.
    #[error("nothing that is locked is called {name}; name a package of a root, a source package, or a source of the spec")]
    UnknownUpdate {
        /// The name.
        name: String,
    },
}

/// What is known about a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the whole file.
    pub sha256: Sha256,
    /// In bytes.
    pub size: u64,
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256 {} ({} bytes)", self.sha256, self.size)
    }
}

impl DebianError {
    /// What was wrong with the first mirror's file, if this is about mirrors; otherwise the error itself.
    pub fn cause(&self) -> &DebianError {
        match self {
            DebianError::Refused { refusal, .. } => refusal.cause(),
            other => other,
        }
    }
}

fn listing(versions: &[Version]) -> String {
    let names: Vec<&str> = versions.iter().map(|version| version.as_str()).collect();
    names.join(", ")
}
