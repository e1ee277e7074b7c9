//! Fetches the indexes of the suites that a spec names, and believes none of them before it is checked.

use std::collections::BTreeMap;

use sealstone_spec::{Archive, Lock, LockedArchive, Name, Repository, Sha256, Snapshot, SourceOrigin, Spec, SpecPath, UtcTime};

use super::deb822::Malformed;
use super::error::{DebianError, Facts, SourceError};
use super::index::{self, BinaryPackage, SourcePackage};
use super::openpgp::Keyring;
use super::release::Release;

/// How far a clock may be behind the archive's.
const CLOCK_SKEW: u64 = 24 * 60 * 60;
/// A signed index is 150 kB; nothing vouches for its size before the signature is checked.
const MOST_RELEASE_BYTES: u64 = 4 << 20;
/// An index to fetch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexFile {
    /// Which archive.
    pub repository: Repository,
    /// The moment for which the snapshot archive may be asked instead.
    pub snapshot: Snapshot,
    /// Path below the archive's base, such as `dists/bookworm/InRelease`.
    pub path: String,
    /// Larger files are wrong; a source may stop there.
    pub most_bytes: u64,
}

/// Brings files of an archive from wherever. It isn't trusted: what it brings is checked here.
pub trait IndexSource {
    /// The content of a file. A source that knows several places asks `accept` about what each of them gives, and goes on
    /// to the next one when it is refused; a source that doesn't ask loses nothing but that.
    ///
    /// # Errors
    /// Why no place has it in an acceptable form.
    fn fetch(&self, file: &IndexFile, accept: &mut Accept<'_>) -> Result<Vec<u8>, SourceError>;
}

/// Says what is wrong with a file, if anything is.
pub type Accept<'a> = dyn FnMut(&[u8]) -> Result<(), String> + 'a;

impl IndexSource for crate::Mirrors {
    fn fetch(&self, file: &IndexFile, accept: &mut Accept<'_>) -> Result<Vec<u8>, SourceError> {
        let archive = crate::ArchiveRef { snapshot: file.snapshot, repository: file.repository };
        Ok(self.index(archive, &file.path, file.most_bytes, accept)?)
    }
}

/// The checked indexes of all archives of a spec.
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    /// By the archive's name in the spec: its suite and those of its `also` list, in that order.
    pub archives: BTreeMap<Name, Vec<Suite>>,
}

/// The checked indexes of one suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What the lock says about it.
    pub locked: LockedArchive,
    /// Binary packages; empty if the spec wants none from this archive.
    pub packages: Vec<BinaryPackage>,
    /// Source packages; empty if the spec wants none from this archive.
    pub sources: Vec<SourcePackage>,
}

/// Fetches and checks the indexes of every archive in `spec`.
///
/// `keys` holds the content of every key file that the spec names, `old` the present lock, which an index must not be
/// older than, and `now` the time.
///
/// # Errors
/// The first reason not to believe an index; see [`DebianError`].
pub fn load_indexes(
    spec: &Spec,
    keys: &BTreeMap<SpecPath, Vec<u8>>,
    source: &dyn IndexSource,
    old: Option<&Lock>,
    now: UtcTime,
) -> Result<Indexes, DebianError> {
    let mut indexes = Indexes::default();
    for (name, archive) in &spec.archives {
        let kinds = Kinds::of(spec, name);
        let main = (name.to_string(), archive.repository, &archive.suite, &archive.keys);
        let also = archive.also.iter().map(|also| (Spec::also_id(name, also), also.repository, &also.suite, &also.keys));
        for (id, repository, suite, keys_path) in std::iter::once(main).chain(also) {
            let asked = Asked { id, repository, suite, archive, source };
            let armoured = keys
                .get(keys_path)
                .ok_or_else(|| DebianError::NoKeys { archive: asked.id.clone(), path: keys_path.to_string() })?;
            let keyring = Keyring::parse(keys_path.as_str(), armoured).map_err(|source| asked.signature(source))?;
            let locked = old.and_then(|lock| lock.archive(&asked.id));
            let suite = asked.load(&keyring, locked, now, kinds)?;
            indexes.archives.entry(name.clone()).or_default().push(suite);
        }
    }
    Ok(indexes)
}

/// Which indexes of an archive the spec makes use of.
#[derive(Clone, Copy)]
struct Kinds {
    packages: bool,
    sources: bool,
}

impl Kinds {
    fn of(spec: &Spec, archive: &Name) -> Kinds {
        let sources = || spec.sources.values().filter(|source| source.archive == *archive);
        let binary = sources().any(|source| matches!(source.origin, SourceOrigin::Package(_)));
        Kinds {
            packages: binary || spec.roots.values().any(|root| root.archive == *archive),
            sources: sources().any(|source| matches!(source.origin, SourceOrigin::Source(_))),
        }
    }
}

/// One suite that is asked for.
struct Asked<'a> {
    id: String,
    repository: Repository,
    suite: &'a str,
    archive: &'a Archive,
    source: &'a dyn IndexSource,
}

impl Asked<'_> {
    fn load(&self, keyring: &Keyring, locked: Option<&LockedArchive>, now: UtcTime, kinds: Kinds) -> Result<Suite, DebianError> {
        let (release, release_sha256) = self.release(keyring, locked, now)?;
        let mut suite = Suite {
            locked: LockedArchive {
                id: self.id.clone(),
                repository: self.repository,
                suite: self.suite.to_owned(),
                snapshot: self.archive.snapshot,
                release_date: release.date,
                release_sha256,
            },
            packages: Vec::new(),
            sources: Vec::new(),
        };
        for component in &self.archive.components {
            if kinds.packages {
                let path = format!("{component}/binary-amd64/Packages");
                let text = self.index(&release, &path)?;
                suite.packages.extend(index::packages(&text).map_err(|error| self.malformed(&path, error))?);
            }
            if kinds.sources {
                let path = format!("{component}/source/Sources");
                let text = self.index(&release, &path)?;
                suite.sources.extend(index::sources(&text).map_err(|error| self.malformed(&path, error))?);
            }
        }
        Ok(suite)
    }

    fn release(&self, keyring: &Keyring, locked: Option<&LockedArchive>, now: UtcTime) -> Result<(Release, Sha256), DebianError> {
        self.fetch("InRelease", MOST_RELEASE_BYTES, |bytes| {
            let text = keyring.verify(bytes, now).map_err(|source| self.signature(source))?;
            let release = Release::parse(&text).map_err(|error| self.malformed("InRelease", error))?;
            self.check_release(&release, locked, now)?;
            Ok((release, Sha256::of(bytes)))
        })
    }

    /// What a correct signature doesn't say: that it is the right index, and a fresh one.
    fn check_release(&self, release: &Release, locked: Option<&LockedArchive>, now: UtcTime) -> Result<(), DebianError> {
        let archive = self.id.clone();
        if ![&release.suite, &release.codename].contains(&&self.suite.to_owned()) {
            let (suite, codename) = (release.suite.clone(), release.codename.clone());
            return Err(DebianError::WrongSuite { archive, asked: self.suite.to_owned(), suite, codename });
        }
        if release.date.unix() > now.unix().saturating_add(CLOCK_SKEW) {
            return Err(DebianError::Future { archive, date: release.date, now });
        }
        if let Some(valid_until) = release.valid_until.filter(|end| *end < now) {
            return Err(DebianError::Expired { archive, valid_until, now });
        }
        // Another suite under the same id has dates of its own.
        let same = locked.filter(|old| (old.repository, old.suite.as_str()) == (self.repository, self.suite));
        match same {
            Some(old) if release.date < old.release_date => {
                Err(DebianError::Downgraded { archive, found: release.date, locked: old.release_date })
            }
            _ => Ok(()),
        }
    }

    /// The text of an index, which is fetched compressed. Both digests are checked: the compressed file's before the
    /// decompressor sees it, the text's because it costs nothing more.
    fn index(&self, release: &Release, path: &str) -> Result<String, DebianError> {
        let packed_path = format!("{path}.xz");
        let listed = |path: &str| {
            let entry = release.files.get(path).copied();
            entry.ok_or_else(|| DebianError::NotListed { archive: self.id.clone(), path: path.to_owned() })
        };
        let (packed_size, packed_sha256) = listed(&packed_path)?;
        let (size, sha256) = listed(path)?;
        self.fetch(&packed_path, packed_size, |packed| {
            self.check(&packed_path, packed, packed_size, packed_sha256)?;
            let malformed = |what: String| self.malformed(path, Malformed { line: 1, what });
            let text = crate::unpack(path, packed, size).map_err(|error| malformed(error.to_string()))?;
            self.check(path, &text, size, sha256)?;
            String::from_utf8(text).map_err(|error| malformed(error.to_string()))
        })
    }

    fn check(&self, path: &str, bytes: &[u8], size: u64, sha256: Sha256) -> Result<(), DebianError> {
        let expected = Facts { sha256, size };
        let found = Facts { sha256: Sha256::of(bytes), size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) };
        if found == expected {
            return Ok(());
        }
        let (archive, path) = (self.id.clone(), path.to_owned());
        Err(DebianError::WrongFile { archive, path, expected: Box::new(expected), found: Box::new(found) })
    }

    /// Fetches a file below the suite's folder and turns it into what it is for.
    fn fetch<T>(&self, name: &str, most_bytes: u64, read: impl Fn(&[u8]) -> Result<T, DebianError>) -> Result<T, DebianError> {
        let path = format!("dists/{}/{name}", self.suite);
        let file = IndexFile { repository: self.repository, snapshot: self.archive.snapshot, path, most_bytes };
        let (mut value, mut refusal) = (None, None);
        let mut accept = |bytes: &[u8]| match read(bytes) {
            Ok(read) => {
                value = Some(read);
                Ok(())
            }
            Err(error) => {
                let shown = error.to_string();
                refusal.get_or_insert(error);
                Err(shown)
            }
        };
        match (self.source.fetch(&file, &mut accept), value, refusal) {
            (Ok(_), Some(value), _) => Ok(value),
            (Ok(bytes), None, _) => read(&bytes),
            (Err(source), _, Some(refusal)) => Err(DebianError::Refused { refusal: Box::new(refusal), source }),
            (Err(source), _, None) => Err(DebianError::Fetch { repository: self.repository, path: file.path, source }),
        }
    }

    fn signature(&self, source: super::openpgp::SignatureError) -> DebianError {
        DebianError::Signature { archive: self.id.clone(), source }
    }

    fn malformed(&self, path: &str, Malformed { line, what }: Malformed) -> DebianError {
        DebianError::Malformed { file: format!("{path} of {}", self.id), line, what }
    }
}
