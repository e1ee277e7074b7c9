//! From indexes to locks.

use std::collections::BTreeSet;

use sealstone_spec::{LockedCrate, Version};

use super::*;
use crate::debian::{Note, Resolution, Update, resolve};

const SECURITY: &str = "{archive: debian-security, suite: testing-security}";

fn run(spec: &Spec, packages: &str, old: Option<&Lock>, update: Update<'_>) -> Result<Resolution, DebianError> {
    let key = TestKey::new(1);
    let code = deb("code", "1.0", "");
    let archive = Archive::new().suite(&key, "debian", "testing-suite", &format!("{packages}{code}"), "");
    let indexes = load(spec, &key, &archive, None)?;
    resolve(spec, &indexes, vec![], old, update)
}

/// `build`'s packages in unpack order, without versions.
fn order(resolution: &Resolution) -> Vec<&str> {
    let ids = resolution.lock.roots[0].packages.iter();
    ids.map(|id| id.split_once('=').map_or(id.as_str(), |(name, _)| name)).collect()
}

#[test]
fn dependencies() {
    let lib = deb("lib", "1.0", "");
    for (what, wanted, exclude, packages, expected) in [
        ("nothing but what is asked for", "tool", "", vec![deb("tool", "1", ""), lib.clone()], "tool"),
        ("dependencies first", "tool", "", vec![deb("tool", "1", "Depends: lib\n"), lib.clone()], "lib tool"),
        ("pre-dependencies too", "tool", "", vec![deb("tool", "1", "Pre-Depends: lib\n"), lib.clone()], "lib tool"),
        ("recommendations aren't followed", "tool", "", vec![deb("tool", "1", "Recommends: lib\n"), lib.clone()], "tool"),
        (
            "across several steps",
            "aa",
            "",
            vec![deb("aa", "1", "Depends: bb\n"), deb("bb", "1", "Depends: cc\n"), deb("cc", "1", "")],
            "cc bb aa",
        ),
        (
            "the first alternative that exists",
            "tool",
            "",
            vec![deb("tool", "1", "Depends: gone | lib | lib2\n"), lib.clone(), deb("lib2", "1", "")],
            "lib tool",
        ),
        (
            "an alternative that is asked for wins",
            "tool, lib2",
            "",
            vec![deb("tool", "1", "Depends: lib | lib2\n"), lib.clone(), deb("lib2", "1", "")],
            "lib2 tool",
        ),
        (
            "an alternative that fits the version",
            "tool",
            "",
            vec![deb("tool", "1", "Depends: lib (>= 2) | lib2 (<< 2)\n"), lib.clone(), deb("lib2", "1", "")],
            "lib2 tool",
        ),
        (
            "the first provider by name",
            "tool",
            "",
            vec![deb("tool", "1", "Depends: virt\n"), deb("zz", "1", "Provides: virt\n"), deb("bb", "1", "Provides: virt\n")],
            "bb tool",
        ),
        (
            "a provider that is asked for wins",
            "tool, zz",
            "",
            vec![deb("tool", "1", "Depends: virt\n"), deb("zz", "1", "Provides: virt\n"), deb("bb", "1", "Provides: virt\n")],
            "zz tool",
        ),
        (
            "a real package before providers",
            "tool",
            "",
            vec![deb("tool", "1", "Depends: lib\n"), lib.clone(), deb("aa", "1", "Provides: lib\n")],
            "lib tool",
        ),
        (
            "a versioned provider",
            "tool",
            "",
            vec![
                deb("tool", "1", "Depends: virt (>= 2)\n"),
                deb("aa", "1", "Provides: virt\n"),
                deb("bb", "1", "Provides: virt (= 2)\n"),
            ],
            "bb tool",
        ),
        ("excluded", "tool", "lib", vec![deb("tool", "1", "Depends: lib\n"), lib.clone()], "tool"),
        ("excluded without being there", "tool", "lib", vec![deb("tool", "1", "Depends: lib\n")], "tool"),
        (
            "excluded provider",
            "tool",
            "bb",
            vec![deb("tool", "1", "Depends: virt\n"), deb("zz", "1", "Provides: virt\n"), deb("bb", "1", "Provides: virt\n")],
            "zz tool",
        ),
        (
            "excluded alternative",
            "tool",
            "lib",
            vec![deb("tool", "1", "Depends: lib | lib2\n"), lib.clone(), deb("lib2", "1", "")],
            "lib2 tool",
        ),
        (
            "a cycle",
            "aa, cc",
            "",
            vec![deb("aa", "1", "Depends: bb\n"), deb("bb", "1", "Depends: aa\n"), deb("cc", "1", "Depends: aa\n")],
            "bb aa cc",
        ),
        ("itself", "aa", "", vec![deb("aa", "1", "Depends: aa\n")], "aa"),
        ("architecture qualifiers", "tool", "", vec![deb("tool", "1", "Depends: lib:any (>= 1)\n"), lib.clone()], "lib tool"),
        (
            "the order of the spec decides nothing",
            "zz, lib, aa",
            "",
            vec![deb("zz", "1", ""), lib.clone(), deb("aa", "1", "")],
            "aa lib zz",
        ),
        ("the highest version", "tool", "", vec![deb("tool", "2", "Depends: lib\n"), deb("tool", "10", ""), lib], "tool"),
    ] {
        let resolution = run(&spec(wanted, exclude, "package: code", ""), &packages.concat(), None, Update::All);
        let resolution = resolution.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(order(&resolution).join(" "), expected, "{what}");
        let text = resolution.lock.to_text();
        assert_eq!(Lock::parse("test.lock", &text), Ok(resolution.lock), "{what}: the lock can be read back");
    }
}

#[test]
fn what_cannot_be_resolved() {
    let one = deb("tool", "1", "Depends: lib (>= 2) | virt\n") + &deb("lib", "1", "");
    for (wanted, sources, expected) in [
        ("gone", "package: code", "roots.build.packages: the archive main has no package gone; correct the name, or the archive"),
        (
            "tool",
            "package: code",
            "root build: tool depends on `lib (>= 2) | virt`, which nothing in the archive main fulfils; exclude tool, or add the suite that has it to `archives.main.also`",
        ),
        ("lib", "package: gone", "sources.code: the archive main has no package gone; correct the name, or the archive"),
        (
            "lib",
            "package: code, version: 1.1",
            "sources.code: the archive main has no code 1.1, only 1.0; correct `version` in the spec, or name the package after `--update`",
        ),
        ("lib", "source: code", "sources.code: the archive main has no package code; correct the name, or the archive"),
    ] {
        let error = run(&spec(wanted, "", sources, ""), &one, None, Update::All).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn source_packages_give_tarballs() {
    let key = TestKey::new(1);
    let line = |name: &str| format!(" {} 7 {name}\n", Sha256::of(name.as_bytes()));
    let names =
        ["code_1-1.dsc", "code_1.orig.tar.gz", "code_1.orig-more.tar.xz", "code_1.orig.tar.gz.asc", "code_1-1.debian.tar.xz"];
    let checksums: String = names.iter().map(|name| line(name)).collect();
    let text = format!("Package: code\nVersion: 1-1\nDirectory: pool/main/c/code\nChecksums-Sha256:\n{checksums}\n");
    let text = format!("{text}{}", text.replace("1-1\n", "1-0\n"));
    let archive = Archive::new().suite(&key, "debian", "testing-suite", &deb("tool", "1", ""), &text);
    let spec = spec("tool", "", "source: code", "");
    let resolution = resolve(&spec, &load(&spec, &key, &archive, None).unwrap(), vec![], None, Update::All).unwrap();
    let [source] = resolution.lock.sources.as_slice() else { panic!("one source") };
    assert_eq!((source.version.as_str(), source.archive.as_str()), ("1-1", "main"));
    let files: Vec<_> = source.files.iter().map(|file| (file.name.as_str(), file.path.as_str())).collect();
    assert_eq!(
        files,
        [
            ("code_1-1.debian.tar.xz", "pool/main/c/code/code_1-1.debian.tar.xz"),
            ("code_1.orig-more.tar.xz", "pool/main/c/code/code_1.orig-more.tar.xz"),
            ("code_1.orig.tar.gz", "pool/main/c/code/code_1.orig.tar.gz"),
        ]
    );
}

/// Old: tool 1, lib 1, both from the source package `lib`'s and `tool`'s own. New: both at 2.
fn two_generations() -> (Spec, Lock, String) {
    let spec = spec("tool", "", "package: code", "");
    let first = deb("tool", "1", "Depends: lib\n") + &deb("lib", "1", "Source: lib-src (1)\n");
    let second = deb("tool", "2", "Depends: lib\n") + &deb("lib", "2", "Source: lib-src (1)\n");
    let old = run(&spec, &first, None, Update::All).unwrap().lock;
    (spec, old, format!("{first}{second}"))
}

#[test]
fn what_an_update_moves() {
    let (spec, old, packages) = two_generations();
    for (names, expected) in [
        (None, "lib=1 tool=1"),
        (Some("lib"), "lib=2 tool=1"),
        (Some("lib-src"), "lib=2 tool=1"),
        (Some("tool lib"), "lib=2 tool=2"),
        (Some("code"), "lib=1 tool=1"),
    ] {
        let names: Option<BTreeSet<String>> = names.map(|names| names.split(' ').map(str::to_owned).collect());
        let update = names.as_ref().map_or(Update::Keep, Update::Only);
        let resolution = run(&spec, &packages, Some(&old), update).unwrap();
        assert_eq!(resolution.lock.roots[0].packages.join(" "), expected, "{update:?}");
        assert_eq!(resolution.lock.packages == old.packages, expected == "lib=1 tool=1");
    }
    let all = run(&spec, &packages, Some(&old), Update::All).unwrap().lock;
    assert_eq!(all.roots[0].packages, ["lib=2", "tool=2"]);
    let changes: Vec<String> = sealstone_spec::lock::diff(&old, &all).iter().map(ToString::to_string).collect();
    assert_eq!(changes[1..], ["package lib 1 -> 2", "package tool 1 -> 2"], "after the archive's own change");
    let unknown: BTreeSet<String> = ["nobody".to_owned()].into();
    let error = run(&spec, &packages, Some(&old), Update::Only(&unknown)).unwrap_err();
    assert!(error.to_string().starts_with("nothing that is locked is called nobody;"), "{error}");
}

#[test]
fn a_locked_version_that_has_gone_is_not_replaced_silently() {
    let (spec, old, _) = two_generations();
    let second = deb("tool", "2", "Depends: lib\n") + &deb("lib", "1", "");
    let error = run(&spec, &second, Some(&old), Update::Keep).unwrap_err();
    assert_eq!(
        error.to_string(),
        "keeping the locked version: the archive main has no tool 1, only 2; take a present one with `sealstone lock --update tool`"
    );
}

/// A source in the main suite at 1.0 and in the security suite at `fixed`.
fn with_security(pin: &str, fixed: &str) -> (Spec, Indexes) {
    let key = TestKey::new(1);
    let spec = spec("tool", "", &format!("package: code{pin}"), SECURITY);
    let main = deb("tool", "1", "") + &deb("code", "1.0", "");
    let archive = Archive::new().suite(&key, "debian", "testing-suite", &main, "").suite(
        &key,
        "debian-security",
        "testing-security",
        &deb("code", fixed, ""),
        "",
    );
    let indexes = load(&spec, &key, &archive, None).unwrap_or_else(|error| panic!("{error}"));
    (spec, indexes)
}

#[test]
fn a_fix_from_the_security_suite_moves_the_pin() {
    let (spec, indexes) = with_security(", version: 1.0", "1.0+deb1");
    let kept = resolve(&spec, &indexes, vec![], None, Update::All).unwrap();
    assert_eq!((kept.lock.sources[0].version.as_str(), kept.notes.as_slice()), ("1.0", &[][..]), "a pin stays by itself");
    assert_eq!(kept.lock.matches(&spec), Ok(()));

    let names: BTreeSet<String> = ["code".to_owned()].into();
    let moved = resolve(&spec, &indexes, vec![], Some(&kept.lock), Update::Only(&names)).unwrap();
    let version = |text: &str| text.parse::<Version>().unwrap();
    let source = "code".parse().unwrap();
    assert_eq!(moved.notes, [Note::PinMoved { source, from: version("1.0"), to: version("1.0+deb1") }]);
    assert_eq!(
        (moved.lock.sources[0].version.as_str(), moved.lock.sources[0].archive.as_str()),
        ("1.0+deb1", "main+testing-security")
    );
    assert!(moved.lock.matches(&spec).is_err(), "the spec has to follow");
    assert_eq!(moved.lock.matches(&with_security(", version: 1.0+deb1", "1.0+deb1").0), Ok(()));
    assert_eq!(Lock::parse("test.lock", &moved.lock.to_text()).as_ref(), Ok(&moved.lock));
}

#[test]
fn an_unpinned_source_takes_the_highest_version_of_all_suites() {
    for (fixed, expected, archive) in [("2.0", "2.0", "main+testing-security"), ("0.9", "1.0", "main")] {
        let (spec, indexes) = with_security("", fixed);
        let lock = resolve(&spec, &indexes, vec![], None, Update::Keep).unwrap().lock;
        assert_eq!((lock.sources[0].version.as_str(), lock.sources[0].archive.as_str()), (expected, archive));
    }
}

#[test]
fn a_pin_never_moves_down() {
    let (spec, indexes) = with_security(", version: 3.0", "2.0");
    let names: BTreeSet<String> = ["code".to_owned()].into();
    let error = resolve(&spec, &indexes, vec![], None, Update::Only(&names)).unwrap_err();
    assert!(error.to_string().contains("has no code 3.0, only 2.0, 1.0;"), "{error}");
}

#[test]
fn a_snapshot_before_the_index_is_noted() {
    let key = TestKey::new(1);
    let spec = spec("tool", "", "package: tool", "");
    let mut archive = Archive::new();
    let head = "Codename: testing-suite\nDate: Sun, 12 Jul 2026 00:00:01 UTC\n";
    archive.add_suite(&key, "debian", "testing-suite", head, &deb("tool", "1", ""), "");
    let notes = resolve(&spec, &load(&spec, &key, &archive, None).unwrap(), vec![], None, Update::All).unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0]
            .to_string()
            .starts_with("the index of main is of 2026-07-12T00:00:01Z, but the spec's snapshot is 20260712T000000Z"),
        "{}",
        notes[0]
    );
}

#[test]
fn crates_are_sorted_into_the_lock() {
    let krate = |name: &str| LockedCrate { name: name.to_owned(), version: "1.0.0".to_owned(), sha256: Sha256::of(b"") };
    let key = TestKey::new(1);
    let spec = spec("tool", "", "package: tool", "");
    let archive = Archive::new().suite(&key, "debian", "testing-suite", &deb("tool", "1", ""), "");
    let indexes = load(&spec, &key, &archive, None).unwrap();
    let lock = resolve(&spec, &indexes, vec![krate("zz"), krate("aa")], None, Update::All).unwrap().lock;
    assert_eq!(lock.crates, [krate("aa"), krate("zz")]);
}
