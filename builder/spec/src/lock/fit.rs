//! Whether a lock still belongs to a spec.

use std::collections::BTreeSet;
use std::fmt;

use super::Lock;
use crate::spec::{SourceOrigin, Spec};

/// A lock that was resolved for another spec: what it lists may not be what the spec asks for. `sealstone lock` renews it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// What differs, in sentences without a full stop; at least one.
    pub reasons: Vec<String>,
}

impl std::error::Error for Stale {}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lock doesn't belong to the spec any more: {}; run `sealstone lock`", self.reasons.join("; "))
    }
}

impl Lock {
    /// Whether the lock was resolved for this spec, as far as the spec decides a lock
    /// ([`Spec::lock_digest`]).
    ///
    /// # Errors
    /// What differs. The digest decides; the reasons are found by comparing what both say.
    pub fn matches(&self, spec: &Spec) -> Result<(), Stale> {
        if self.spec_sha256 == spec.lock_digest() {
            return Ok(());
        }
        let mut reasons = Vec::new();
        archives(self, spec, &mut reasons);
        roots(self, spec, &mut reasons);
        sources(self, spec, &mut reasons);
        if reasons.is_empty() {
            // For instance a package that was dropped from a list: the lock doesn't say which were asked for by name.
            reasons.push("a detail of `archives`, `roots` or `sources` has changed".to_owned());
        }
        Err(Stale { reasons })
    }
}

fn archives(lock: &Lock, spec: &Spec, reasons: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for (name, archive) in &spec.archives {
        let others = archive.also.iter().map(|also| (Spec::also_id(name, also), also.repository, &also.suite));
        for (id, repository, suite) in std::iter::once((name.to_string(), archive.repository, &archive.suite)).chain(others) {
            match lock.archive(&id) {
                None => reasons.push(format!("archive {id} isn't in the lock")),
                Some(locked) if (locked.repository, &locked.suite) != (repository, suite) => reasons.push(format!(
                    "archive {id} is {repository} {suite} in the spec and {} {} in the lock",
                    locked.repository, locked.suite
                )),
                Some(locked) if locked.snapshot != archive.snapshot => reasons.push(format!(
                    "archive {id} has the snapshot {} in the spec and {} in the lock",
                    archive.snapshot, locked.snapshot
                )),
                Some(_) => {}
            }
            ids.insert(id);
        }
    }
    let gone = lock.archives.iter().filter(|archive| !ids.contains(&archive.id));
    reasons.extend(gone.map(|archive| format!("archive {} isn't in the spec", archive.id)));
}

fn roots(lock: &Lock, spec: &Spec, reasons: &mut Vec<String>) {
    for (name, root) in &spec.roots {
        let Some(locked) = lock.roots.iter().find(|locked| locked.name == *name) else {
            reasons.push(format!("root {name} isn't in the lock"));
            continue;
        };
        let has: BTreeSet<&str> = locked.packages.iter().map(|id| id.split_once('=').map_or(id.as_str(), |(n, _)| n)).collect();
        let missing = root.packages.iter().filter(|package| !has.contains(package.as_str()));
        reasons.extend(missing.map(|package| format!("root {name} lacks the package {package}")));
        let excluded = root.exclude.iter().filter(|package| has.contains(package.as_str()));
        reasons.extend(excluded.map(|package| format!("root {name} contains {package}, which the spec excludes")));
    }
    let gone = lock.roots.iter().filter(|root| !spec.roots.contains_key(&root.name));
    reasons.extend(gone.map(|root| format!("root {} isn't in the spec", root.name)));
}

fn sources(lock: &Lock, spec: &Spec, reasons: &mut Vec<String>) {
    for (name, source) in &spec.sources {
        let Some(locked) = lock.sources.iter().find(|locked| locked.name == *name) else {
            reasons.push(format!("source {name} isn't in the lock"));
            continue;
        };
        if locked.origin != source.origin {
            let (SourceOrigin::Package(asked) | SourceOrigin::Source(asked)) = &source.origin;
            let (SourceOrigin::Package(had) | SourceOrigin::Source(had)) = &locked.origin;
            reasons.push(format!("source {name} is {asked} in the spec and {had} in the lock"));
        } else if let Some(version) = source.version.as_ref().filter(|version| **version != locked.version) {
            reasons.push(format!("source {name} is {version} in the spec and {} in the lock", locked.version));
        }
    }
    let gone = lock.sources.iter().filter(|source| !spec.sources.contains_key(&source.name));
    reasons.extend(gone.map(|source| format!("source {} isn't in the spec", source.name)));
}
