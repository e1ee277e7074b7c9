//! A spec and the indexes of its archives to a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sealstone_spec::{
    Lock, LockedArchive, LockedCrate, LockedFile, LockedRoot, LockedSource, Name, PackageName, Snapshot, Source, SourceOrigin,
    Spec, UtcTime, Version,
};

use super::choose::{Found, Pool, Pools, pools};
use super::closure::close;
use super::error::DebianError;
use super::index::{BinaryPackage, PoolFile, SourcePackage};
use super::suite::Indexes;

/// What of the present lock is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update<'a> {
    /// Nothing: versions stay while the indexes have them; only what is new in the spec is looked up.
    Keep,
    /// These, and nothing else: names of binary packages, of source packages (with all that is made from them), or of
    /// sources in the spec. A source that is named here leaves its pinned `version` for the highest one.
    Only(&'a BTreeSet<String>),
    /// Everything that the spec doesn't pin.
    All,
}

impl Update<'_> {
    pub(super) fn renews(self, name: &str) -> bool {
        match self {
            Update::Keep => false,
            Update::Only(names) => names.contains(name),
            Update::All => true,
        }
    }

    /// Whether it is named, which is what moves a pin.
    fn names(self, name: &str) -> bool {
        matches!(self, Update::Only(names) if names.contains(name))
    }
}

/// A lock and what the user has to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The lock. Its `spec_sha256` is that of the spec *after* the pins of `notes` have been moved.
    pub lock: Lock,
    /// In the order of the spec.
    pub notes: Vec<Note>,
}

/// Something that needs doing, or looking at. `Display` gives a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// `sources.<source>.version` has to be changed in the spec ([`Spec::move_pin`](sealstone_spec::Spec::move_pin)),
    /// for otherwise the lock doesn't belong to it.
    PinMoved {
        /// The source's name in the spec.
        source: Name,
        /// What the spec says.
        from: Version,
        /// What it has to say.
        to: Version,
    },
    /// The index is younger than the archive's `snapshot`: when the mirrors have dropped a file, the snapshot archive
    /// may not have it at that moment yet.
    SnapshotTooEarly {
        /// The archive's id.
        archive: String,
        /// `snapshot` in the spec.
        snapshot: Snapshot,
        /// The date of the index.
        release_date: UtcTime,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::PinMoved { source, from, to } => write!(f, "sources.{source}.version moves from {from} to {to}"),
            Note::SnapshotTooEarly { archive, snapshot, release_date } => write!(
                f,
                "the index of {archive} is of {release_date}, but the spec's snapshot is {snapshot}, which may lack newer files; set it to a moment after the index"
            ),
        }
    }
}

/// Resolves a spec. `crates` are those of the userland workspace's Cargo.lock.
///
/// # Errors
/// What the archives don't have; see [`DebianError`].
pub fn resolve(
    spec: &Spec,
    indexes: &Indexes,
    crates: Vec<LockedCrate>,
    old: Option<&Lock>,
    update: Update<'_>,
) -> Result<Resolution, DebianError> {
    let pools = pools(spec, indexes, old, update);
    let mut files = BTreeMap::new();
    let mut roots = Vec::new();
    let mut names = BTreeSet::new();
    for (name, root) in &spec.roots {
        let pool = pool(&pools, &root.archive, || format!("roots.{name}"), root.packages.first())?;
        let mut packages = Vec::new();
        for found in close(pool, name, root)? {
            names.extend([found.package.name.to_string(), found.package.source.to_string()]);
            let file = locked_package(found);
            packages.push(file.id());
            add(&mut files, file)?;
        }
        roots.push(LockedRoot { name: name.clone(), packages });
    }
    let mut moved = spec.clone();
    let mut notes = early_snapshots(indexes);
    let mut sources = Vec::new();
    for (name, source) in &spec.sources {
        let (SourceOrigin::Package(package) | SourceOrigin::Source(package)) = &source.origin;
        names.extend([name.to_string(), package.to_string()]);
        let pool = pool(&pools, &source.archive, || format!("sources.{name}"), Some(package))?;
        let wish = Wish::of(name, source, package, old, update);
        let locked = wish.lock(pool, source)?;
        if let Some(pin) = source.version.as_ref().filter(|pin| **pin != locked.version) {
            notes.push(Note::PinMoved { source: name.clone(), from: pin.clone(), to: locked.version.clone() });
            if let Some(source) = moved.sources.get_mut(name) {
                source.version = Some(locked.version.clone());
            }
        }
        sources.push(locked);
    }
    if let Update::Only(asked) = update
        && let Some(unknown) = asked.iter().find(|name| !names.contains(*name))
    {
        return Err(DebianError::UnknownUpdate { name: unknown.clone() });
    }
    let mut archives: Vec<LockedArchive> = indexes.archives.values().flatten().map(|suite| suite.locked.clone()).collect();
    archives.sort();
    let mut packages: Vec<LockedFile> = files.into_values().collect();
    packages.sort();
    let mut crates = crates;
    crates.sort();
    Ok(Resolution { lock: Lock { spec_sha256: moved.lock_digest(), archives, packages, roots, sources, crates }, notes })
}

fn pool<'p, 'i>(
    pools: &'p Pools<'i>,
    archive: &Name,
    wanted_by: impl FnOnce() -> String,
    package: Option<&PackageName>,
) -> Result<&'p Pool<'i>, DebianError> {
    pools.get(archive).ok_or_else(|| DebianError::NotListed {
        archive: archive.to_string(),
        path: format!("index for {} ({})", package.map_or("anything", |name| name.as_str()), wanted_by()),
    })
}

/// Adds a package that may be there already, because several roots have it.
fn add(files: &mut BTreeMap<String, LockedFile>, file: LockedFile) -> Result<(), DebianError> {
    let id = file.id();
    match files.get(&id) {
        Some(known) if known.sha256 != file.sha256 => {
            Err(DebianError::Ambiguous { id, first: known.archive.clone(), second: file.archive })
        }
        Some(_) => Ok(()),
        None => {
            files.insert(id, file);
            Ok(())
        }
    }
}

fn early_snapshots(indexes: &Indexes) -> Vec<Note> {
    let all = indexes.archives.values().flatten().map(|suite| &suite.locked);
    let early = all.filter(|locked| locked.snapshot.time() < locked.release_date);
    early
        .map(|locked| Note::SnapshotTooEarly {
            archive: locked.id.clone(),
            snapshot: locked.snapshot,
            release_date: locked.release_date,
        })
        .collect()
}

/// Which version of a source is wanted.
struct Wish<'a> {
    name: &'a Name,
    package: &'a PackageName,
    /// Exactly this one; the highest if `None`.
    exact: Option<(&'a Version, &'static str)>,
    /// Not lower than this.
    floor: Option<&'a Version>,
}

impl<'a> Wish<'a> {
    fn of(name: &'a Name, source: &'a Source, package: &'a PackageName, old: Option<&'a Lock>, update: Update<'_>) -> Wish<'a> {
        let mut wish = Wish { name, package, exact: None, floor: None };
        let named = update.names(name.as_str()) || update.names(package.as_str());
        match &source.version {
            // A pin moves up only: an archive that has nothing newer is no reason to go back.
            Some(pin) if named => wish.floor = Some(pin),
            Some(pin) => wish.exact = Some((pin, "correct `version` in the spec, or name the package after `--update`")),
            None if named || update == Update::All => {}
            None => {
                let locked = old.and_then(|lock| lock.sources.iter().find(|locked| locked.name == *name));
                let locked = locked.filter(|locked| locked.origin == source.origin);
                let remedy = "take a present one by naming the package after `--update`";
                wish.exact = locked.map(|locked| (&locked.version, remedy));
            }
        }
        wish
    }

    fn lock(&self, pool: &Pool<'_>, source: &Source) -> Result<LockedSource, DebianError> {
        let (version, suite, files) = match &source.origin {
            SourceOrigin::Package(package) => {
                let found = self.pick(pool, pool.binary_versions(package), |package: &BinaryPackage| &package.version)?;
                (&found.package.version, found.suite, vec![locked_package(found)])
            }
            SourceOrigin::Source(package) => {
                let found = self.pick(pool, pool.source_versions(package), |package: &SourcePackage| &package.version)?;
                let files = found.package.files.iter();
                let files = files.map(|(name, file)| locked_file(name, &found.package.version, "source", found.suite, file));
                (&found.package.version, found.suite, files.collect())
            }
        };
        Ok(LockedSource {
            name: self.name.clone(),
            origin: source.origin.clone(),
            version: version.clone(),
            archive: suite.id.clone(),
            files,
        })
    }

    /// The wanted one of a list that begins with the highest version.
    fn pick<'i, P>(
        &self,
        pool: &Pool<'_>,
        list: &[Found<'i, P>],
        version: impl Fn(&P) -> &Version,
    ) -> Result<Found<'i, P>, DebianError> {
        let Some(highest) = list.first() else {
            let (wanted_by, archive) = (format!("sources.{}", self.name), pool.archive.to_string());
            return Err(DebianError::NoPackage { wanted_by, archive, package: self.package.clone() });
        };
        let found = match (self.exact, self.floor) {
            (Some((exact, _)), _) => list.iter().find(|found| version(found.package) == exact),
            (None, Some(floor)) => Some(highest).filter(|found| version(found.package) >= floor),
            (None, None) => Some(highest),
        };
        let missing =
            self.exact.or(self.floor.map(|floor| (floor, "use a mirror or suite that has at least the pinned version")));
        match (found, missing) {
            (Some(found), _) => Ok(*found),
            (None, missing) => {
                let (wanted, remedy) = missing.unwrap_or((version(highest.package), ""));
                Err(DebianError::NoVersion {
                    wanted_by: format!("sources.{}", self.name).into(),
                    archive: pool.archive.to_string(),
                    package: self.package.clone(),
                    version: wanted.clone(),
                    available: list.iter().map(|found| version(found.package).clone()).collect(),
                    remedy: remedy.into(),
                })
            }
        }
    }
}

fn locked_package(found: Found<'_, BinaryPackage>) -> LockedFile {
    let BinaryPackage { name, version, arch, file, .. } = found.package;
    locked_file(name.as_str(), version, arch, found.suite, file)
}

fn locked_file(name: &str, version: &Version, arch: &str, suite: &LockedArchive, file: &PoolFile) -> LockedFile {
    LockedFile {
        name: name.to_owned(),
        version: version.clone(),
        arch: arch.to_owned(),
        archive: suite.id.clone(),
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256,
    }
}
