//! What changed between two locks, in sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Lock, LockedFile};
use crate::spec::SourceOrigin;
use crate::value::Sha256;

/// One difference between two locks. `Display` gives a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Change {
    /// Something is there that wasn't.
    Added {
        /// `archive`, `package`, `root`, `source` or `crate`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its version; of an archive the date of its index.
        version: String,
    },
    /// Something is no longer there.
    Removed {
        /// As for [`Change::Added`].
        kind: &'static str,
        /// Its name.
        name: String,
        /// The version it had.
        version: String,
    },
    /// Another version.
    Moved {
        /// As for [`Change::Added`].
        kind: &'static str,
        /// Its name.
        name: String,
        /// The old version.
        from: String,
        /// The new version.
        to: String,
    },
    /// The same name and version, but other bytes: an archive never does that, so it deserves a close look.
    Replaced {
        /// As for [`Change::Added`].
        kind: &'static str,
        /// Its name.
        name: String,
        /// The version of both.
        version: String,
        /// The old digest.
        from: Sha256,
        /// The new digest.
        to: Sha256,
    },
    /// A root has other packages or another unpack order.
    Root {
        /// Its name.
        name: String,
        /// Packages that it gained, by name.
        gained: Vec<String>,
        /// Packages that it lost, by name.
        lost: Vec<String>,
    },
}

/// What one has to do to `old` to get `new`: archives, packages, roots, sources, crates, each by name.
pub fn diff(old: &Lock, new: &Lock) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&mut changes, "archive", &archives(old), &archives(new));
    compare(&mut changes, "package", &packages(old), &packages(new));
    changes.extend(roots(old, new));
    compare(&mut changes, "source", &sources(old), &sources(new));
    compare(&mut changes, "crate", &crates(old), &crates(new));
    changes
}

/// Versions of each name, with the digest that stands for the content.
type Table = BTreeMap<String, BTreeMap<String, Sha256>>;

fn table(entries: impl Iterator<Item = (String, String, Sha256)>) -> Table {
    let mut table = Table::new();
    for (name, version, digest) in entries {
        table.entry(name).or_default().insert(version, digest);
    }
    table
}

fn archives(lock: &Lock) -> Table {
    table(lock.archives.iter().map(|archive| {
        let version = format!("{} {} of {}", archive.repository, archive.suite, archive.release_date);
        (archive.id.clone(), version, archive.release_sha256)
    }))
}

fn packages(lock: &Lock) -> Table {
    table(lock.packages.iter().map(|file| (file.name.clone(), file.version.to_string(), file.sha256)))
}

fn sources(lock: &Lock) -> Table {
    table(lock.sources.iter().map(|source| {
        let package = match &source.origin {
            SourceOrigin::Package(package) | SourceOrigin::Source(package) => package,
        };
        (source.name.to_string(), format!("{package} {}", source.version), digest_of(&source.files))
    }))
}

fn digest_of(files: &[LockedFile]) -> Sha256 {
    let digests: Vec<String> = files.iter().map(|file| format!("{} {}\n", file.sha256, file.name)).collect();
    match files {
        [file] => file.sha256,
        _ => Sha256::of(digests.concat().as_bytes()),
    }
}

fn crates(lock: &Lock) -> Table {
    table(lock.crates.iter().map(|krate| (krate.name.clone(), krate.version.clone(), krate.sha256)))
}

fn compare(changes: &mut Vec<Change>, kind: &'static str, old: &Table, new: &Table) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let none = BTreeMap::new();
    for name in names {
        let (before, after) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        let gone: Vec<&String> = before.keys().filter(|version| !after.contains_key(*version)).collect();
        let come: Vec<&String> = after.keys().filter(|version| !before.contains_key(*version)).collect();
        if let ([from], [to]) = (gone.as_slice(), come.as_slice()) {
            let (from, to) = ((*from).clone(), (*to).clone());
            changes.push(Change::Moved { kind, name: name.clone(), from, to });
        } else {
            let removed = |version: &String| Change::Removed { kind, name: name.clone(), version: version.clone() };
            let added = |version: &String| Change::Added { kind, name: name.clone(), version: version.clone() };
            changes.extend(gone.into_iter().map(removed));
            changes.extend(come.into_iter().map(added));
        }
        for (version, from) in before {
            if let Some(to) = after.get(version).filter(|to| *to != from) {
                let (name, version) = (name.clone(), version.clone());
                changes.push(Change::Replaced { kind, name, version, from: *from, to: *to });
            }
        }
    }
}

fn roots(old: &Lock, new: &Lock) -> Vec<Change> {
    let names = |lock: &Lock| lock.roots.iter().map(|root| root.name.clone()).collect::<BTreeSet<_>>();
    let content = |lock: &Lock, name| {
        let root = lock.roots.iter().find(|root| root.name == name);
        root.map(|root| root.packages.clone()).unwrap_or_default()
    };
    let bare = |ids: &[String]| -> BTreeSet<String> {
        ids.iter().map(|id| id.split_once('=').map_or(id.as_str(), |(name, _)| name).to_owned()).collect()
    };
    let order = |ids: &[String]| -> Vec<String> {
        ids.iter().map(|id| id.split_once('=').map_or(id.as_str(), |(name, _)| name).to_owned()).collect()
    };
    let all: BTreeSet<_> = names(old).union(&names(new)).cloned().collect();
    let mut changes = Vec::new();
    for name in all {
        let (before, after) = (content(old, name.clone()), content(new, name.clone()));
        let (had, has) = (bare(&before), bare(&after));
        // A mere change of version is told once, with the package.
        if order(&before) != order(&after) {
            let gained = has.difference(&had).cloned().collect();
            let lost = had.difference(&has).cloned().collect();
            changes.push(Change::Root { name: name.to_string(), gained, lost });
        }
    }
    changes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { kind, name, version } => write!(f, "{kind} {name} {version} added"),
            Change::Removed { kind, name, version } => write!(f, "{kind} {name} {version} removed"),
            Change::Moved { kind, name, from, to } => write!(f, "{kind} {name} {from} -> {to}"),
            Change::Replaced { kind, name, version, from, to } => {
                write!(f, "{kind} {name} {version} has other bytes under the same version: sha256 {from} -> {to}")
            }
            Change::Root { name, gained, lost } => {
                write!(f, "root {name}")?;
                match (gained.as_slice(), lost.as_slice()) {
                    ([], []) => write!(f, " is unpacked in another order"),
                    ([], lost) => write!(f, " loses {}", lost.join(", ")),
                    (gained, []) => write!(f, " gains {}", gained.join(", ")),
                    (gained, lost) => write!(f, " gains {}; loses {}", gained.join(", "), lost.join(", ")),
                }
            }
        }
    }
}
