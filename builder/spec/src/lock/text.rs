//! The canonical text of a lock.

use serde_json::json;

use super::{Lock, LockedArchive, LockedCrate, LockedFile, LockedRoot, LockedSource, SCHEMA};
use crate::spec::SourceOrigin;

pub(super) fn lock(lock: &Lock) -> String {
    let fields = [
        format!("\"schema\": {}", json!(SCHEMA)),
        format!("\"spec_sha256\": {}", json!(lock.spec_sha256)),
        format!("\"archives\": {}", list(1, sorted(&lock.archives).into_iter().map(archive))),
        format!("\"packages\": {}", list(1, sorted(&lock.packages).into_iter().map(file))),
        format!("\"roots\": {}", list(1, sorted(&lock.roots).into_iter().map(root))),
        format!("\"sources\": {}", list(1, sorted(&lock.sources).into_iter().map(source))),
        format!("\"crates\": {}", list(1, sorted(&lock.crates).into_iter().map(krate))),
    ];
    format!("{{\n  {}\n}}\n", fields.join(",\n  "))
}

fn sorted<T: Ord>(items: &[T]) -> Vec<&T> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort();
    items
}

/// A list with one item a line; `depth` is the level of indentation that it stands at.
fn list(depth: usize, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return "[]".to_owned();
    }
    let (inner, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    format!("[\n{inner}{}\n{outer}]", items.join(&format!(",\n{inner}")))
}

/// An object on one line.
fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
    format!("{{{}}}", fields.join(", "))
}

fn string(value: impl ToString) -> String {
    json!(value.to_string()).to_string()
}

fn archive(archive: &LockedArchive) -> String {
    let LockedArchive { id, repository, suite, snapshot, release_date, release_sha256 } = archive;
    object(&[
        ("id", string(id)),
        ("archive", string(repository)),
        ("suite", string(suite)),
        ("snapshot", string(snapshot)),
        ("release_date", string(release_date)),
        ("release_sha256", string(release_sha256)),
    ])
}

fn file(file: &LockedFile) -> String {
    let LockedFile { name, version, arch, archive, path, size, sha256 } = file;
    object(&[
        ("name", string(name)),
        ("version", string(version)),
        ("arch", string(arch)),
        ("archive", string(archive)),
        ("path", string(path)),
        ("size", size.to_string()),
        ("sha256", string(sha256)),
    ])
}

fn root(root: &LockedRoot) -> String {
    let LockedRoot { name, packages } = root;
    object(&[("name", string(name)), ("packages", list(2, packages.iter().map(string)))])
}

fn source(source: &LockedSource) -> String {
    let LockedSource { name, origin, version, archive, files } = source;
    let (kind, package) = match origin {
        SourceOrigin::Package(package) => ("package", package),
        SourceOrigin::Source(package) => ("source", package),
    };
    object(&[
        ("name", string(name)),
        (kind, string(package)),
        ("version", string(version)),
        ("archive", string(archive)),
        ("files", list(2, sorted(files).into_iter().map(file))),
    ])
}

fn krate(krate: &LockedCrate) -> String {
    let LockedCrate { name, version, sha256 } = krate;
    object(&[("name", string(name)), ("version", string(version)), ("sha256", string(sha256))])
}
