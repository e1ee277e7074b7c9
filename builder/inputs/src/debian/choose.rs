//! Which version of a package an archive gives. Every name has one candidate: the locked version while it is to be kept,
//! the highest one of all the archive's suites otherwise.

use std::collections::{BTreeMap, BTreeSet};

use sealstone_spec::{Lock, LockedArchive, LockedFile, Name, PackageName, Spec, Version};

use super::error::DebianError;
use super::index::{BinaryPackage, SourcePackage};
use super::relation::Relation;
use super::resolve::Update;
use super::suite::Suite;

/// A package together with the suite that has it.
#[derive(Debug)]
pub(super) struct Found<'i, P> {
    pub(super) package: &'i P,
    pub(super) suite: &'i LockedArchive,
}

// Derived, these would ask for the same of `P`.
impl<P> Clone for Found<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Found<'_, P> {}

/// What one archive has.
pub(super) struct Pool<'i> {
    pub(super) archive: &'i Name,
    /// Each list: highest version first, and of equal ones the earlier suite's.
    binaries: BTreeMap<&'i PackageName, Vec<Found<'i, BinaryPackage>>>,
    sources: BTreeMap<&'i PackageName, Vec<Found<'i, SourcePackage>>>,
    /// Names of packages of which some version provides the key.
    providers: BTreeMap<&'i PackageName, BTreeSet<&'i PackageName>>,
    /// Versions that the present lock has.
    locked: BTreeMap<&'i str, &'i Version>,
    update: Update<'i>,
}

impl<'i> Pool<'i> {
    pub(super) fn new(archive: &'i Name, suites: &'i [Suite], old: Option<&'i Lock>, update: Update<'i>) -> Pool<'i> {
        let mut pool = Pool {
            archive,
            binaries: BTreeMap::new(),
            sources: BTreeMap::new(),
            providers: BTreeMap::new(),
            locked: BTreeMap::new(),
            update,
        };
        for Suite { locked, packages, sources } in suites {
            for package in packages {
                pool.binaries.entry(&package.name).or_default().push(Found { package, suite: locked });
                for provided in &package.provides {
                    pool.providers.entry(&provided.name).or_default().insert(&package.name);
                }
            }
            for package in sources {
                pool.sources.entry(&package.name).or_default().push(Found { package, suite: locked });
            }
        }
        // Stable sorts: among equal versions the earlier suite stays first.
        pool.binaries.values_mut().for_each(|list| list.sort_by(|a, b| b.package.version.cmp(&a.package.version)));
        pool.sources.values_mut().for_each(|list| list.sort_by(|a, b| b.package.version.cmp(&a.package.version)));
        let ids: BTreeSet<&str> = suites.iter().map(|suite| suite.locked.id.as_str()).collect();
        let files = old.into_iter().flat_map(|lock| &lock.packages);
        let mine = files.filter(|file: &&LockedFile| ids.contains(file.archive.as_str()));
        pool.locked = mine.map(|file| (file.name.as_str(), &file.version)).collect();
        pool
    }

    /// The candidate of a name. `None` if no suite has a package of that name.
    ///
    /// # Errors
    /// [`DebianError::NoVersion`] if the locked version is to be kept and no suite has it any more.
    pub(super) fn candidate(&self, name: &PackageName) -> Result<Option<Found<'i, BinaryPackage>>, DebianError> {
        let Some(list) = self.binaries.get(name) else { return Ok(None) };
        let Some(highest) = list.first().copied() else { return Ok(None) };
        let renewed = self.update.renews(name.as_str()) || self.update.renews(highest.package.source.as_str());
        let Some(version) = self.locked.get(name.as_str()).filter(|_| !renewed) else { return Ok(Some(highest)) };
        let kept = list.iter().find(|found| found.package.version == **version);
        kept.copied().map(Some).ok_or_else(|| DebianError::NoVersion {
            wanted_by: "keeping the locked version".into(),
            archive: self.archive.to_string(),
            package: name.clone(),
            version: (*version).clone(),
            available: list.iter().map(|found| found.package.version.clone()).collect(),
            remedy: format!("take a present one with `sealstone lock --update {name}`").into(),
        })
    }

    /// Packages whose candidate provides what `wanted` asks for, by name.
    pub(super) fn providers(&self, wanted: &Relation) -> Result<Vec<Found<'i, BinaryPackage>>, DebianError> {
        let mut found = Vec::new();
        for name in self.providers.get(&wanted.name).into_iter().flatten() {
            let candidate = self.candidate(name)?;
            found.extend(candidate.filter(|c| c.package.provides.iter().any(|entry| wanted.allows_provided(entry))));
        }
        Ok(found)
    }

    /// All versions of a binary package, highest first.
    pub(super) fn binary_versions(&self, name: &PackageName) -> &[Found<'i, BinaryPackage>] {
        self.binaries.get(name).map_or(&[], Vec::as_slice)
    }

    /// All versions of a source package, highest first.
    pub(super) fn source_versions(&self, name: &PackageName) -> &[Found<'i, SourcePackage>] {
        self.sources.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The pools of a spec's archives.
pub(super) type Pools<'i> = BTreeMap<&'i Name, Pool<'i>>;

/// One pool for each archive that the spec has and that was loaded.
pub(super) fn pools<'i>(spec: &Spec, indexes: &'i super::suite::Indexes, old: Option<&'i Lock>, update: Update<'i>) -> Pools<'i> {
    let wanted = indexes.archives.iter().filter(|(name, _)| spec.archives.contains_key(*name));
    wanted.map(|(name, suites)| (name, Pool::new(name, suites, old, update))).collect()
}
