//! Locks: one text, nothing else taken; whether they fit a spec; what changed between two.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stand outside of the test functions")]

use proptest::prelude::*;
use sealstone_spec::{
    Lock, LockedArchive, LockedCrate, LockedFile, LockedRoot, LockedSource, Repository, Sha256, SourceOrigin, Spec, lock,
};

fn file(name: &str, version: &str, arch: &str) -> LockedFile {
    LockedFile {
        name: name.to_owned(),
        version: version.parse().unwrap(),
        arch: arch.to_owned(),
        archive: "main".to_owned(),
        path: format!("pool/main/{name}_{version}").parse().unwrap(),
        size: 10,
        sha256: Sha256::of(format!("{name} {version}").as_bytes()),
    }
}

fn example() -> Lock {
    let archive = LockedArchive {
        id: "main".to_owned(),
        repository: Repository::Debian,
        suite: "bookworm".to_owned(),
        snapshot: "20260712T000000Z".parse().unwrap(),
        release_date: "2026-07-11T10:16:37Z".parse().unwrap(),
        release_sha256: Sha256::of(b"release"),
    };
    Lock {
        spec_sha256: Sha256::of(b"spec"),
        archives: vec![archive],
        packages: vec![file("aa", "1.0", "all"), file("bb", "2", "amd64")],
        roots: vec![LockedRoot { name: "build".parse().unwrap(), packages: vec!["bb=2".into(), "aa=1.0".into()] }],
        sources: vec![LockedSource {
            name: "code".parse().unwrap(),
            origin: SourceOrigin::Source("code".parse().unwrap()),
            version: "1-1".parse().unwrap(),
            archive: "main".to_owned(),
            files: vec![file("code_1.orig.tar.xz", "1-1", "source")],
        }],
        crates: vec![LockedCrate { name: "krate".into(), version: "0.1.0+x".into(), sha256: Sha256::of(b"krate") }],
    }
}

#[test]
fn the_text_is_stable_and_read_back() {
    let text = example().to_text();
    assert_eq!(Lock::parse("a.lock", &text), Ok(example()));
    assert!(text.starts_with("{\n  \"schema\": \"sealstone/lock/v1\",\n  \"spec_sha256\": \""), "{text}");
    assert!(text.contains("\n    {\"name\": \"bb\", \"version\": \"2\", \"arch\": \"amd64\", "), "one package a line");
    let mut shuffled = example();
    shuffled.packages.reverse();
    assert_eq!(shuffled.to_text(), text, "the order of the value doesn't matter");
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed["packages"][1]["size"], 10, "an independent reader of JSON agrees");
}

/// Damages the text and returns the first message without the file's name.
fn broken(from: &str, to: &str) -> String {
    let text = example().to_text();
    assert!(text.contains(from), "`{from}` is in {text}");
    match Lock::parse("a.lock", &text.replacen(from, to, 1)) {
        Ok(_) => panic!("`{from}` -> `{to}` was taken"),
        Err(error) => error.to_string().lines().next().unwrap_or_default().trim_start_matches("a.lock:").to_owned(),
    }
}

#[test]
fn what_is_refused() {
    let renew = "restore the file from version control, or write it anew with `sealstone lock`";
    let digest = Sha256::of(b"krate").to_string();
    for (from, to, expected) in [
        ("\"size\": 10", "\"size\": 0", "packages[0].size: 0 is out of range; use a number from 1 to 68719476736".to_owned()),
        ("\"size\": 10", "\"size\": \"10\"", "packages[0].size: expected a whole number, such as 8080, found `10`; write a whole number, such as 8080".to_owned()),
        ("\"size\": 10", "\"sise\": 10", "packages[0].size: the field is missing; add `size:`".to_owned()),
        (&digest, &digest.to_uppercase(), format!("crates[0].sha256: `{}…` isn't a SHA-256 digest; write 64 lower-case hexadecimal digits (this has 64 characters)", &digest.to_uppercase()[..60])),
        ("\"aa=1.0\"", "\"aa=1.1\"", format!("packages[0]: no root contains `aa=1.0`; {renew}")),
        ("\"bb=2\",", "\"bb=2\", \"cc=3\",", format!("roots[0].packages[1]: `cc=3` isn't in `packages`; {renew}")),
        ("\"bb=2\",", "\"bb=2\", \"bb=2\",", "roots[0].packages[1]: `bb=2` is listed twice, first on line 13; keep one of them".to_owned()),
        ("\"name\": \"bb\", \"version\": \"2\"", "\"name\": \"aa\", \"version\": \"1.0\"", "packages[1]: `aa=1.0` is listed twice, first on line 8; keep one of them".to_owned()),
        ("\"name\": \"aa\"", "\"name\": \"zz\"", format!("packages: the list isn't sorted: `zz=1.0` stands before `bb=2`; {renew}")),
        ("\"archive\": \"main\"", "\"archive\": \"other\"", format!("packages[0].archive: `other` isn't in `archives`; {renew}")),
        ("pool/main/aa_1.0", "pool/../aa_1.0", "packages[0].path: `pool/../aa_1.0` contains `..`; write the path from the root's top".to_owned()),
        ("\"arch\": \"all\"", "\"arch\": \"arm64\"", "packages[0].arch: `arm64` isn't one of the known values; use `amd64` or `all`".to_owned()),
        ("lock/v1", "lock/v2", "schema: this is `sealstone/lock/v2`, and this program reads `sealstone/lock/v1`; use the version of sealstone that wrote the lock, or write it anew with `sealstone lock`".to_owned()),
        ("\"crates\": [", "\"crates\":  [", format!("the content is a lock, but the line isn't spelled the one way a lock is; don't edit or reformat locks; {renew}")),
        ("\"schema\":", "schema:", format!("the content is a lock, but the line isn't spelled the one way a lock is; don't edit or reformat locks; {renew}")),
        ("}\n", "} # why\n", format!("the content is a lock, but the line isn't spelled the one way a lock is; don't edit or reformat locks; {renew}")),
        ("{\n", "{\n  \"schema\": \"sealstone/lock/v1\",\n", "schema: the key is given twice, first on line 2; keep one of them".to_owned()),
    ] {
        let message = broken(from, to);
        let place_and_text = message.splitn(3, ':').collect::<Vec<_>>();
        assert!(place_and_text[..2].iter().all(|number| number.parse::<usize>().is_ok()), "{message}");
        assert_eq!(place_and_text[2].trim_start(), expected, "{from} -> {to}");
    }
}

#[test]
fn differences_are_told_in_sentences() {
    let (old, mut new) = (example(), example());
    assert_eq!(lock::diff(&old, &old), []);
    new.packages = vec![file("aa", "1.1", "all"), file("bb", "2", "amd64"), file("cc", "3", "all")];
    new.packages[1].sha256 = Sha256::of(b"other");
    new.roots[0].packages = vec!["cc=3".into(), "bb=2".into(), "aa=1.1".into()];
    new.crates = vec![];
    new.sources[0].version = "1-2".parse().unwrap();
    let shown: Vec<String> = lock::diff(&old, &new).iter().map(ToString::to_string).collect();
    let (from, to) = (old.packages[1].sha256, new.packages[1].sha256);
    assert_eq!(
        shown,
        [
            "package aa 1.0 -> 1.1".to_owned(),
            format!("package bb 2 has other bytes under the same version: sha256 {from} -> {to}"),
            "package cc 3 added".to_owned(),
            "root build gains cc".to_owned(),
            "source code code 1-1 -> code 1-2".to_owned(),
            "crate krate 0.1.0+x removed".to_owned(),
        ]
    );
    new = example();
    new.roots[0].packages.reverse();
    assert_eq!(lock::diff(&old, &new)[0].to_string(), "root build is unpacked in another order");
}

#[test]
fn a_stale_lock_says_why() {
    let spec = Spec::parse("image/inference.yaml", include_str!("example.yaml")).unwrap();
    let mut lock = example();
    let message = lock.matches(&spec).unwrap_err().to_string();
    for part in [
        "archive bookworm isn't in the lock",
        "archive main isn't in the spec",
        "root build lacks the package gcc",
        "root run isn't in the lock",
        "source linux isn't in the lock",
        "source code isn't in the spec",
        "run `sealstone lock`",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    lock.spec_sha256 = spec.lock_digest();
    assert_eq!(lock.matches(&spec), Ok(()));
}

prop_compose! {
    fn locks()(versions in prop::collection::btree_map("[a-z][a-z0-9+.-]{1,5}", "[0-9][0-9a-z.+~]{0,5}", 0..8), crates in prop::collection::btree_map("[a-zA-Z_]{1,6}", "[0-9]\\.[0-9]", 0..5), size in 1..1_000_000_u64, seed in any::<[u8; 4]>()) -> Lock {
        let mut lock = example();
        lock.spec_sha256 = Sha256::of(&seed);
        lock.packages = versions.iter().map(|(name, version)| LockedFile { size, ..file(name, version, "amd64") }).collect();
        lock.packages.sort();
        lock.roots[0].packages = lock.packages.iter().rev().map(LockedFile::id).collect();
        lock.crates = crates.iter().map(|(name, version)| LockedCrate { name: name.clone(), version: version.clone(), sha256: Sha256::of(&seed) }).collect();
        lock.crates.sort();
        lock
    }
}

proptest! {
    #[test]
    fn texts_round_trip(lock in locks()) {
        prop_assert_eq!(Lock::parse("a.lock", &lock.to_text()), Ok(lock));
    }

    #[test]
    fn a_changed_byte_is_never_taken_for_the_same_lock(lock in locks(), position in any::<prop::sample::Index>(), byte in 32..127_u8) {
        let mut bytes = lock.to_text().into_bytes();
        let index = position.index(bytes.len());
        prop_assume!(bytes[index] != byte);
        bytes[index] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(other) = Lock::parse("a.lock", &text) {
            prop_assert_ne!(&other, &lock);
            prop_assert_eq!(other.to_text(), text);
        }
    }
}
