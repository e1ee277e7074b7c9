//! Inputs that differ, each with the steps that it goes into.

use std::collections::{BTreeMap, BTreeSet};

use sealstone_bom::provenance::{Provenance, Resource, Role};
use serde::Serialize;

use crate::places::places;
use crate::side::Side;

/// What kind of input it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The source of the kernel, a firmware or the stub.
    Source,
    /// An option of the kernel's configuration.
    KernelOption,
    /// A package of the root that actions run in.
    Package,
    /// A crate.
    Crate,
    /// A file of the source tree.
    File,
    /// The script of an action: another version of sealstone.
    Recipe,
    /// A word of the kernel's command line.
    Cmdline,
    /// A field of the measured configuration.
    Setting,
    /// The spec or lock, of which nothing more is known than its digest.
    Spec,
}

/// One input that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// What kind of input it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What it was; `None` if it wasn't there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is; `None` if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The steps that it goes into: actions, `cmdline`, `config`, `assembly`, or `any`.
    pub used_by: BTreeSet<String>,
}

/// The step that writes the measured configuration.
pub(crate) const CONFIG: &str = "config";
/// The step that writes the command line.
pub(crate) const CMDLINE: &str = "cmdline";
/// Of an input that is known by its digest alone: whatever step.
pub(crate) const ANY: &str = "any";
const KERNEL: &str = "kernel";

/// Every input that differs, by kind and name.
pub fn changes(a: &Side, b: &Side) -> Vec<Change> {
    let mut all = Vec::new();
    all.extend(kernel_options(a, b));
    all.extend(cmdline(a, b));
    all.extend(settings(a, b));
    match (&a.provenance, &b.provenance) {
        (Some(x), Some(y)) => {
            let listed = resources(x, y);
            let explained = !all.is_empty() || listed.iter().any(|change| change.kind != Kind::File);
            let options = all.iter().any(|change| change.kind == Kind::KernelOption);
            // The spec, the lock and the fragments say what is said above in other words.
            let spec = x.predicate.build_definition.external_parameters.spec.as_str();
            let lock = lock_of(spec);
            all.extend(listed.into_iter().filter(|change| match change.kind {
                Kind::File if change.name == spec || change.name == lock => !explained,
                Kind::File if change.name.ends_with(".config") && change.used_by.contains(KERNEL) => !options,
                _ => true,
            }));
        }
        _ if all.is_empty() => all.extend(by_digest(a, b)),
        _ => {}
    }
    all.sort();
    all
}

/// Whether the spec is known to differ.
pub(crate) fn spec_differs(a: &Side, b: &Side) -> bool {
    let of = |side: &Side| side.pin.as_ref().map(|pin| pin.contents().source.spec_sha256);
    matches!((of(a), of(b)), (Some(x), Some(y)) if x != y)
}

fn lock_of(spec: &str) -> String {
    spec.rsplit_once('.').map_or_else(|| spec.to_owned(), |(stem, _)| format!("{stem}.lock"))
}

fn one(kind: Kind, name: impl Into<String>, before: Option<String>, after: Option<String>, step: &str) -> Change {
    Change { kind, name: name.into(), before, after, used_by: BTreeSet::from([step.to_owned()]) }
}

fn kernel_options(a: &Side, b: &Side) -> Vec<Change> {
    let (Some(x), Some(y)) = (&a.config, &b.config) else { return Vec::new() };
    let show = |value: Option<sealstone_kconfig::Value>| value.map(|value| value.to_string());
    let changes = sealstone_kconfig::diff(x, y).into_iter();
    changes.map(|c| one(Kind::KernelOption, c.name.to_string(), show(c.before), show(c.after), KERNEL)).collect()
}

/// Words that came and went; `name=old` and `name=new` are one change.
fn cmdline(a: &Side, b: &Side) -> Vec<Change> {
    let (Some(x), Some(y)) = (a.cmdline(), b.cmdline()) else { return Vec::new() };
    if x == y {
        return Vec::new();
    }
    let name = |word: &str| word.split_once('=').map_or(word, |(name, _)| name).to_owned();
    let words = |line: &str| -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        line.split(' ').for_each(|word| all.entry(name(word)).or_default().push(word.to_owned()));
        all
    };
    let (left, right) = (words(&x), words(&y));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    let show = |words: Option<&Vec<String>>| words.map(|words| words.join(" "));
    let all: Vec<Change> =
        differing.map(|name| one(Kind::Cmdline, name, show(left.get(name)), show(right.get(name)), CMDLINE)).collect();
    match all.is_empty() {
        true => vec![one(Kind::Cmdline, "order of words", Some(x), Some(y), CMDLINE)],
        false => all,
    }
}

fn settings(a: &Side, b: &Side) -> Vec<Change> {
    let (Some(x), Some(y)) = (a.files.get("config.json"), b.files.get("config.json")) else { return Vec::new() };
    let found = places(x, y, [None, None]);
    let name = |place: &str| place.trim_start_matches("JSON /").to_owned();
    found.into_iter().map(|p| one(Kind::Setting, name(&p.place), p.before, p.after, CONFIG)).collect()
}

fn by_digest(a: &Side, b: &Side) -> Vec<Change> {
    let (Some(x), Some(y)) = (&a.pin, &b.pin) else { return Vec::new() };
    let (x, y) = (x.contents().source, y.contents().source);
    let both = [("spec", x.spec_sha256, y.spec_sha256), ("lock", x.lock_sha256, y.lock_sha256)];
    let differing = both.into_iter().filter(|(_, before, after)| before != after);
    differing.map(|(name, before, after)| one(Kind::Spec, name, Some(before.to_string()), Some(after.to_string()), ANY)).collect()
}

/// What both statements list, grouped so that another version is one change and not two.
fn resources(a: &Provenance, b: &Provenance) -> Vec<Change> {
    let (left, right) = (grouped(a.inputs()), grouped(b.inputs()));
    let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let mut all = Vec::new();
    for key in names {
        let (before, after) = (left.get(key), right.get(key));
        let digests = |group: Option<&Group>| group.map(|group| group.digests.clone());
        if digests(before) == digests(after) {
            continue;
        }
        let mut used_by = BTreeSet::new();
        for group in [before, after].into_iter().flatten() {
            used_by.extend(group.used_by.iter().cloned());
        }
        let same_versions = before.map(|g| &g.versions) == after.map(|g| &g.versions);
        let show = |group: Option<&Group>| {
            group.map(|group| match same_versions {
                true => group.digests.iter().cloned().collect::<Vec<_>>().join(" "),
                false => group.versions.iter().cloned().collect::<Vec<_>>().join(", "),
            })
        };
        let (kind, name) = key.clone();
        all.push(Change { kind, name, before: show(before), after: show(after), used_by });
    }
    all
}

#[derive(Default)]
struct Group {
    versions: BTreeSet<String>,
    digests: BTreeSet<String>,
    used_by: BTreeSet<String>,
}

fn grouped(list: &[Resource]) -> BTreeMap<(Kind, String), Group> {
    let mut all: BTreeMap<(Kind, String), Group> = BTreeMap::new();
    for resource in list {
        let rest = resource.name.split_once('/').map_or(resource.name.as_str(), |(_, rest)| rest);
        let (kind, name, version) = match resource.annotations.role {
            Some(Role::Package) => split(Kind::Package, rest, '='),
            Some(Role::Crate) => split(Kind::Crate, rest, ' '),
            // `<source>/<file>=<version>`: all files of a source are one.
            Some(Role::Source) => {
                let (name, file) = rest.split_once('/').unwrap_or((rest, ""));
                (Kind::Source, name, file.rsplit_once('=').map_or("", |(_, version)| version))
            }
            Some(Role::Recipe) => (Kind::Recipe, rest, ""),
            Some(Role::File) | None => (Kind::File, rest, ""),
        };
        let group = all.entry((kind, name.to_owned())).or_default();
        group.digests.insert(resource.digest.sha256.to_string());
        group.used_by.extend(resource.annotations.used_by.iter().cloned());
        if !version.is_empty() {
            group.versions.insert(version.to_owned());
        }
    }
    all
}

fn split(kind: Kind, text: &str, at: char) -> (Kind, &str, &str) {
    let (name, version) = text.rsplit_once(at).unwrap_or((text, ""));
    (kind, name, version)
}
