//! `sealstone pack` at the command line: what it prints, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn pack(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealstone"));
    command.arg("pack").args(arguments).current_dir(dir).output().unwrap()
}

#[test]
fn a_pack_is_made_checked_and_refused_when_damaged() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    fs::write(dir.join("m.gguf"), vec![7; 20_000]).unwrap();
    let made = pack(dir, &["m.gguf", "--name", "small", "--out", "small.pack", "--json"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let report: Value = serde_json::from_slice(&made.stdout).unwrap();
    let field = |name: &str| report[name].as_str().unwrap().to_string();
    assert_eq!((field("name"), field("main")), ("small".into(), "m.gguf".into()));
    for said in ["  - name: small\n    file: m.gguf\n    pack:\n", &field("root"), &field("salt"), &report["size"].to_string()] {
        assert!(field("spec").contains(said), "{said} in {}", field("spec"));
    }

    let sound = pack(dir, &["--check", "small.pack", "--root", &field("root"), "--json"]);
    let found: Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert_eq!((&found["root"], &found["salt"], &found["size"]), (&report["root"], &report["salt"], &report["size"]));

    let other = pack(dir, &["--check", "small.pack", "--root", &field("salt")]);
    assert_eq!(other.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&other.stderr).contains("dm-verity root is"));

    let mut bad = fs::read(dir.join("small.pack")).unwrap();
    bad[16_000] ^= 1;
    fs::write(dir.join("bad.pack"), bad).unwrap();
    let damaged = pack(dir, &["--check", "bad.pack"]);
    assert_eq!(damaged.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&damaged.stderr).contains("data block 3 isn't what its digest says"));
}

#[test]
fn what_is_refused_and_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    fs::write(dir.join("m.gguf"), "1").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    std::os::unix::fs::symlink("m.gguf", dir.join("link")).unwrap();
    for (arguments, code, said) in [
        (vec!["m.gguf", "--name", "llama-3.1", "--out", "p"], 2, "isn't the name of a model"),
        (vec!["m.gguf", "--out", "p"], 2, "--name"),
        (vec!["--check", "m.gguf", "--name", "x"], 2, "cannot be used with"),
        (vec!["link", "--name", "x", "--out", "p"], 3, "symbolic link"),
        (vec!["/dev/null", "--name", "x", "--out", "p"], 3, "device"),
        (vec!["empty", "--name", "x", "--out", "p"], 3, "is empty"),
        (vec!["m.gguf", "--name", "x", "--out", "p", "--main", "n.gguf"], 3, "no such file goes into the pack"),
        (vec!["gone", "--name", "x", "--out", "p"], 1, "looking at gone"),
        (vec!["--check", "m.gguf"], 3, "no pack has that length"),
    ] {
        let ended = pack(dir, &arguments);
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(ended.stdout.is_empty(), "{arguments:?}");
    }
    let mut left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["empty", "link", "m.gguf"]);
}
