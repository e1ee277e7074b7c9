//! From the text of a lock to [`Lock`].

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::{Lock, LockedArchive, LockedCrate, LockedFile, LockedRoot, LockedSource, SCHEMA};
use crate::error::{Problem, ProblemKind, SpecError};
use crate::reader::{Cursor, Fields, shorten};
use crate::spec::{Repository, SourceOrigin};
use crate::tree;
use crate::value::{Name, PackageName};

/// What mends a lock, whatever is wrong with it.
const RENEW: &str = "restore the file from version control, or write it anew with `sealstone lock`";

pub(super) fn lock(file: &str, text: &str) -> Result<Lock, SpecError> {
    let mut found = Vec::new();
    let root = tree::parse(text, &mut found);
    let problems = RefCell::new(found);
    let lock = root.and_then(|node| read(&Cursor::root(&node, &problems)));
    let mut problems = problems.into_inner();
    if let (Some(lock), true) = (&lock, problems.is_empty()) {
        problems.extend(not_canonical(text, &lock.to_text()));
    }
    match lock {
        Some(lock) if problems.is_empty() => Ok(lock),
        _ => {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(SpecError { file: file.to_owned(), problems })
        }
    }
}

/// The first line that isn't written as it should be.
fn not_canonical(found: &str, expected: &str) -> Option<Problem> {
    if found == expected {
        return None;
    }
    let same = found.split('\n').zip(expected.split('\n')).take_while(|(a, b)| a == b).count();
    Some(Problem {
        line: same + 1,
        column: 1,
        field: String::new(),
        kind: ProblemKind::NotCanonical,
        what: "the content is a lock, but the line isn't spelled the one way a lock is".to_owned(),
        remedy: format!("don't edit or reformat locks; {RENEW}"),
    })
}

fn read(cursor: &Cursor<'_>) -> Option<Lock> {
    let fields = cursor.fields(&["schema", "spec_sha256", "archives", "packages", "roots", "sources", "crates"])?;
    let schema = fields.need("schema", |c| match c.text()? {
        SCHEMA => Some(()),
        other => c.refuse(
            ProblemKind::Schema,
            format!("this is `{}`, and this program reads `{SCHEMA}`", shorten(other)),
            "use the version of sealstone that wrote the lock, or write it anew with `sealstone lock`",
        ),
    });
    let spec_sha256 = fields.need("spec_sha256", Cursor::value);
    let archives = fields.need("archives", |c| ordered(c, |a: &LockedArchive| a.id.clone(), archive));
    let packages = fields.need("packages", |c| ordered(c, LockedFile::id, |c| file(c, &["amd64", "all"])));
    let roots = fields.need("roots", |c| ordered(c, |r: &LockedRoot| r.name.to_string(), root));
    let sources = fields.need("sources", |c| ordered(c, |s: &LockedSource| s.name.to_string(), source));
    let crates = fields.need("crates", |c| ordered(c, |k: &LockedCrate| format!("{}={}", k.name, k.version), krate));
    schema?;
    let lock = Lock {
        spec_sha256: spec_sha256?,
        archives: archives?,
        packages: packages?,
        roots: roots?,
        sources: sources?,
        crates: crates?,
    };
    check_names(&fields, &lock);
    Some(lock)
}

/// A list in ascending order of its items, no two with the same key.
fn ordered<T: Ord>(cursor: &Cursor<'_>, key: impl Fn(&T) -> String, read: impl Fn(&Cursor<'_>) -> Option<T>) -> Option<Vec<T>> {
    let items = cursor.unique_list(&key, read)?;
    match items.windows(2).find(|pair| pair[0] > pair[1]) {
        None => Some(items),
        Some(pair) => cursor.refuse(
            ProblemKind::Order,
            format!("the list isn't sorted: `{}` stands before `{}`", key(&pair[0]), key(&pair[1])),
            RENEW,
        ),
    }
}

fn archive(cursor: &Cursor<'_>) -> Option<LockedArchive> {
    let fields = cursor.fields(&["id", "archive", "suite", "snapshot", "release_date", "release_sha256"])?;
    let (id, suite) = (fields.need("id", word), fields.need("suite", word));
    let repository = fields.need("archive", |c| c.choice(Repository::WORDS));
    let (snapshot, release_date) = (fields.need("snapshot", Cursor::value), fields.need("release_date", Cursor::value));
    let release_sha256 = fields.need("release_sha256", Cursor::value);
    Some(LockedArchive {
        id: id?,
        repository: repository?,
        suite: suite?,
        snapshot: snapshot?,
        release_date: release_date?,
        release_sha256: release_sha256?,
    })
}

fn file(cursor: &Cursor<'_>, archs: &[&str]) -> Option<LockedFile> {
    let fields = cursor.fields(&["name", "version", "arch", "archive", "path", "size", "sha256"])?;
    let (name, version) = (fields.need("name", word), fields.need("version", Cursor::value));
    let choices: Vec<(&str, &str)> = archs.iter().map(|arch| (*arch, *arch)).collect();
    let arch = fields.need("arch", |c| c.choice(&choices));
    let (archive, path) = (fields.need("archive", word), fields.need("path", Cursor::value));
    let size = fields.need("size", |c| c.integer_in(1, MAX_SIZE));
    let sha256 = fields.need("sha256", Cursor::value);
    Some(LockedFile {
        name: name?,
        version: version?,
        arch: arch?.to_owned(),
        archive: archive?,
        path: path?,
        size: size?,
        sha256: sha256?,
    })
}

/// No package or tarball of an archive is near 64 GiB; a larger size is a mistake that would fill the disk first.
const MAX_SIZE: u64 = 64 << 30;

fn root(cursor: &Cursor<'_>) -> Option<LockedRoot> {
    let fields = cursor.fields(&["name", "packages"])?;
    let name = fields.need("name", Cursor::value::<Name>);
    let packages = fields.need("packages", |c| c.unique_list(String::clone, word));
    Some(LockedRoot { name: name?, packages: packages? })
}

fn source(cursor: &Cursor<'_>) -> Option<LockedSource> {
    let fields = cursor.fields(&["name", "package", "source", "version", "archive", "files"])?;
    let (name, version) = (fields.need("name", Cursor::value), fields.need("version", Cursor::value));
    let archive = fields.need("archive", word);
    let package = fields.may("package", |c| c.value::<PackageName>().map(SourceOrigin::Package));
    let source = fields.may("source", |c| c.value::<PackageName>().map(SourceOrigin::Source));
    let origin = match (package?, source?) {
        (Some(origin), None) | (None, Some(origin)) => origin,
        _ => return cursor.refuse(ProblemKind::MissingField, "needs one of `package` and `source`", RENEW),
    };
    let arch: &[&str] = match origin {
        SourceOrigin::Package(_) => &["amd64", "all"],
        SourceOrigin::Source(_) => &["source"],
    };
    let files = fields.need("files", |c| match ordered(c, |f: &LockedFile| f.name.clone(), |c| file(c, arch))? {
        files if files.is_empty() => c.refuse(ProblemKind::BadValue, "a source has no files", RENEW),
        files => Some(files),
    });
    Some(LockedSource { name: name?, origin, version: version?, archive: archive?, files: files? })
}

fn krate(cursor: &Cursor<'_>) -> Option<LockedCrate> {
    let fields = cursor.fields(&["name", "version", "sha256"])?;
    let (name, version) = (fields.need("name", word), fields.need("version", word));
    let sha256 = fields.need("sha256", Cursor::value);
    Some(LockedCrate { name: name?, version: version?, sha256: sha256? })
}

/// A text that may become part of a message, a path or an argument: printable ASCII without spaces, slashes or quotes.
fn word(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"+-._~=:".contains(&b);
    if !text.is_empty() && text.len() <= 256 && text.bytes().all(fine) && !text.starts_with(['.', '-']) {
        return Some(text.to_owned());
    }
    cursor.refuse(ProblemKind::BadValue, format!("`{}` has characters that don't belong here", shorten(text)), RENEW)
}

/// Names that have to stand elsewhere in the lock.
fn check_names(fields: &Fields<'_>, lock: &Lock) {
    let archives: BTreeSet<&str> = lock.archives.iter().map(|archive| archive.id.as_str()).collect();
    let packages: BTreeSet<String> = lock.packages.iter().map(LockedFile::id).collect();
    let used: BTreeSet<&String> = lock.roots.iter().flat_map(|root| &root.packages).collect();
    each(fields, "packages", |at| known_archive(at, &archives));
    each(fields, "packages", |at| {
        let id = format!("{}={}", at.find("name")?.text()?, at.find("version")?.text()?);
        if used.contains(&id) {
            return Some(());
        }
        at.refuse(ProblemKind::Dangling, format!("no root contains `{id}`"), RENEW)
    });
    each(fields, "sources", |at| {
        known_archive(at, &archives);
        at.find("files")?.list(|file| {
            known_archive(file, &archives);
            Some(())
        })?;
        Some(())
    });
    each(fields, "roots", |at| {
        at.find("packages")?.list(|item| match item.text()? {
            id if packages.contains(id) => Some(()),
            id => item.refuse(ProblemKind::Dangling, format!("`{}` isn't in `packages`", shorten(id)), RENEW),
        })?;
        Some(())
    });
}

/// Visits every item of a list. What the visitor returns only lets it use `?`.
fn each(fields: &Fields<'_>, list: &str, visit: impl Fn(&Cursor<'_>) -> Option<()>) {
    if let Some(cursor) = fields.find(list) {
        cursor.list(|item| {
            visit(item);
            Some(())
        });
    }
}

fn known_archive(at: &Cursor<'_>, archives: &BTreeSet<&str>) -> Option<()> {
    let cursor = at.find("archive")?;
    match cursor.text()? {
        name if archives.contains(name) => Some(()),
        name => cursor.refuse(ProblemKind::Dangling, format!("`{}` isn't in `archives`", shorten(name)), RENEW),
    }
}
