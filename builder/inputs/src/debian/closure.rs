//! The packages of a root: those that are asked for, and what they depend on, in the order in which they are unpacked.
//!
//! `Depends` and `Pre-Depends` are followed. `Recommends` aren't: a root holds what is needed and nothing else.
//! `Conflicts` and `Breaks` aren't looked at: nothing is configured in a root, and files that collide are noticed when it
//! is unpacked. A dependency on an excluded package counts as fulfilled if nothing else can fulfil it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sealstone_spec::{Name, PackageName, Root};

use super::choose::{Found, Pool};
use super::error::DebianError;
use super::index::BinaryPackage;
use super::relation::Relation;

type Candidate<'i> = Found<'i, BinaryPackage>;

/// The packages of a root in unpack order: dependencies before what depends on them, otherwise by name.
pub(super) fn close<'i>(pool: &Pool<'i>, name: &Name, root: &Root) -> Result<Vec<Candidate<'i>>, DebianError> {
    let mut closure = Closure {
        pool,
        root: name,
        excluded: root.exclude.iter().collect(),
        chosen: BTreeMap::new(),
        edges: BTreeMap::new(),
        queue: VecDeque::new(),
    };
    // All that is asked for counts as chosen before any dependency is looked at, so that it wins over alternatives; and
    // sorted, so that the order in the spec decides nothing.
    for package in root.packages.iter().collect::<BTreeSet<_>>() {
        let candidate = pool.candidate(package)?.ok_or_else(|| DebianError::NoPackage {
            wanted_by: format!("roots.{name}.packages"),
            archive: pool.archive.to_string(),
            package: package.clone(),
        })?;
        closure.choose(candidate);
    }
    while let Some(candidate) = closure.queue.pop_front() {
        closure.follow(candidate)?;
    }
    Ok(closure.order())
}

struct Closure<'p, 'i> {
    pool: &'p Pool<'i>,
    root: &'p Name,
    excluded: BTreeSet<&'p PackageName>,
    chosen: BTreeMap<&'i PackageName, Candidate<'i>>,
    /// What each chosen package depends on.
    edges: BTreeMap<&'i PackageName, BTreeSet<&'i PackageName>>,
    queue: VecDeque<Candidate<'i>>,
}

impl<'i> Closure<'_, 'i> {
    fn choose(&mut self, candidate: Candidate<'i>) {
        if self.chosen.insert(&candidate.package.name, candidate).is_none() {
            self.queue.push_back(candidate);
        }
    }

    fn follow(&mut self, candidate: Candidate<'i>) -> Result<(), DebianError> {
        for group in &candidate.package.depends {
            if let Some(dependency) = self.fulfil(candidate.package, group)? {
                self.choose(dependency);
                self.edges.entry(&candidate.package.name).or_default().insert(&dependency.package.name);
            }
        }
        Ok(())
    }

    /// The package that fulfils a group of alternatives; `None` if only excluded ones could.
    fn fulfil(&self, package: &BinaryPackage, group: &[Relation]) -> Result<Option<Candidate<'i>>, DebianError> {
        let mut excluded = false;
        let mut first = None;
        for relation in group {
            excluded |= self.excluded.contains(&relation.name);
            let real = self.pool.candidate(&relation.name)?.filter(|found| relation.allows(&found.package.version));
            for candidate in real.into_iter().chain(self.pool.providers(relation)?) {
                let name = &candidate.package.name;
                if self.chosen.contains_key(name) {
                    return Ok(Some(candidate));
                }
                if self.excluded.contains(name) {
                    excluded = true;
                } else if first.is_none() {
                    first = Some(candidate);
                }
            }
        }
        if first.is_some() || excluded {
            return Ok(first);
        }
        let shown: Vec<String> = group.iter().map(Relation::to_string).collect();
        Err(DebianError::Unsatisfiable {
            root: self.root.to_string(),
            package: package.name.clone(),
            dependency: shown.join(" | "),
            archive: self.pool.archive.to_string(),
        })
    }

    /// Depth first by name, each package after its dependencies. A cycle is entered at the package that the walk meets
    /// first. Iterative: the depth is the archive's to choose.
    fn order(&self) -> Vec<Candidate<'i>> {
        let none = BTreeSet::new();
        let edges = |name: &PackageName| self.edges.get(name).unwrap_or(&none).iter().copied().collect::<VecDeque<_>>();
        let mut seen: BTreeSet<&PackageName> = BTreeSet::new();
        let mut ordered = Vec::new();
        for start in self.chosen.keys().copied() {
            let mut path = Vec::new();
            if seen.insert(start) {
                path.push((start, edges(start)));
            }
            while let Some((name, rest)) = path.last_mut() {
                match rest.pop_front() {
                    Some(next) if seen.insert(next) => path.push((next, edges(next))),
                    Some(_) => {}
                    None => {
                        ordered.extend(self.chosen.get(*name).copied());
                        path.pop();
                    }
                }
            }
        }
        ordered
    }
}
