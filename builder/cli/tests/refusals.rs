//! What the program says and how it ends when something is wrong: one table, run against the real binary.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealstone_spec::Sha256;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A copy of what a build reads of the repository, to be damaged.
fn tree() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for folder in ["image", "kernel-config"] {
        copy_folder(&Path::new(REPOSITORY).join(folder), &copy.path().join(folder));
    }
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == "target" {
        } else if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs the program in `dir`, where nothing can be fetched: no mirror but an empty folder, and no home.
fn sealstone(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealstone"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/nonexistent")
        .env("HOME", dir.join("home"))
        .env("http_proxy", "http://127.0.0.1:9")
        .env("https_proxy", "http://127.0.0.1:9")
        .output()
        .unwrap()
}

fn edit(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{} no longer has {from:?}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn bad_input_is_named_and_nothing_is_left() {
    type Damage = fn(&Path);
    let cases: &[(&str, Damage, i32, &[&str])] = &[
        (
            "a misspelt field",
            |t| edit(t.join("image/inference.yaml"), "  epoch:", "  epcoh:"),
            3,
            &["image/inference.yaml", "epcoh", "epoch"],
        ),
        (
            "a duplicate key",
            |t| edit(t.join("image/inference.yaml"), "attestation: required", "attestation: required\nattestation: insecure"),
            3,
            &["image/inference.yaml", "attestation"],
        ),
        (
            "a wrong type",
            |t| edit(t.join("image/inference.yaml"), "port: 8080", "port: http"),
            3,
            &["image/inference.yaml", "network.port", "http"],
        ),
        (
            "a damaged digest in the lock",
            |t| edit(t.join("image/inference.lock"), "\"sha256\": \"", "\"sha256\": \"zz"),
            3,
            &["image/inference.lock", "sha256"],
        ),
        (
            "a lock that belongs to another spec",
            |t| edit(t.join("image/inference.yaml"), "acpica-tools, ", ""),
            3,
            &["image/inference.lock", "sealstone lock"],
        ),
        ("no lock", |t| fs::remove_file(t.join("image/inference.lock")).unwrap(), 3, &["there is no lock", "sealstone lock"]),
        (
            "an option without a reason",
            |t| edit(t.join("kernel-config/net.config"), "#:", "# "),
            3,
            &["kernel-config/net.config"],
        ),
        (
            "an option that was not granted",
            |t| edit(t.join("kernel-config/resolved.config"), "CONFIG_EROFS_FS=y", "# CONFIG_EROFS_FS is not set"),
            3,
            &["kernel-config/resolved.config", "EROFS_FS"],
        ),
        (
            "an option that makes builds differ",
            |t| edit(t.join("kernel-config/resolved.config"), "# CONFIG_MODULES is not set", "CONFIG_MODULES=y"),
            3,
            &["kernel-config/resolved.config", "MODULES"],
        ),
        (
            "a model without its pack",
            |t| edit(t.join("image/inference.yaml"), "generate: {kind: tiny, seed: 1}", "file: m.gguf"),
            3,
            &["image/inference.yaml", "model tiny", "--locked takes nothing on trust", "sealstone pack"],
        ),
        ("an empty store and no mirror within reach", |_| (), 1, &["no mirror gave", "edk2", "snapshot"]),
    ];
    for (what, damage, code, said) in cases {
        let tree = tree();
        damage(tree.path());
        let output = sealstone(tree.path(), &["build", "--locked", "--store", "store", "--progress=none"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{what}: {error}");
        for word in *said {
            assert!(error.contains(word), "{what}: the error does not say {word:?}: {error}");
        }
        assert!(output.stdout.is_empty(), "{what}: standard output is data, and there is none");
        assert!(!tree.path().join("out").exists(), "{what}: left an output folder");
    }
}

#[test]
fn usage_errors_end_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["build", "--no-such-option"][..], &["frobnicate"], &["build", "-j", "0"]] {
        assert_eq!(sealstone(dir.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_spec_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = sealstone(dir.path(), &["build", "nothing.yaml"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("nothing.yaml"), "{error}");
}

#[test]
fn doctor_finds_damaged_objects_and_removes_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let (good, bad) = (Sha256::of(b"good"), Sha256::of(b"bad"));
    let place = |digest: &Sha256| store.join("objects").join(&digest.to_string()[..2]).join(digest.to_string());
    for (digest, content) in [(good, "good"), (bad, "other")] {
        fs::create_dir_all(place(&digest).parent().unwrap()).unwrap();
        fs::write(place(&digest), content).unwrap();
    }
    let said = |arguments: &[&str]| String::from_utf8(sealstone(dir.path(), arguments).stdout).unwrap();
    let store_argument = store.to_str().unwrap();
    let first = said(&["doctor", "--objects", "--store", store_argument]);
    assert!(first.contains(&format!("LACK objects of the store: 1 whole, 1 damaged and removed: {bad}")), "{first}");
    assert!(place(&good).exists() && !place(&bad).exists());
    let second = said(&["doctor", "--objects", "--store", store_argument]);
    assert!(second.contains("ok   objects of the store: 1 whole"), "{second}");
}
