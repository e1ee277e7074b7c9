//! The releases that stand in this repository, judged by the program itself: whole they are accepted, changed anywhere refused, and
//! under a policy that doesn't ask for demonstration keys refused as well.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealstone_release::pin::Pin;
use sealstone_release::policy::Policy;

fn measurements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../measurements")
}

fn releases() -> Vec<PathBuf> {
    let all = fs::read_dir(measurements()).unwrap().map(|entry| entry.unwrap().path());
    let mut releases: Vec<PathBuf> = all.filter(|path| path.join("pin.json").is_file()).collect();
    releases.sort();
    releases
}

/// Runs `sealstone release` and returns exit code and output.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sealstone")).arg("release").args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

/// A moment in which the release is valid.
fn within(release: &Path) -> String {
    let pin = Pin::parse(&fs::read_to_string(release.join("pin.json")).unwrap()).unwrap();
    pin.contents().validity.unwrap().not_before.unix().to_string()
}

fn verify(release: &Path, at: &str, more: &[&str]) -> (i32, String) {
    run(&[&["verify", release.to_str().unwrap(), "--at", at], more].concat())
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files_below(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// Copies the folder of releases, so that files can be changed beside the same policy and notices.
fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

#[test]
fn the_policy_beside_them_names_the_demonstration_keys_and_no_others() {
    let text = fs::read_to_string(measurements().join("policy.yaml")).unwrap();
    let policy = Policy::parse("policy.yaml", &text).unwrap().release;
    let named = [&policy.keys, &policy.logs, &policy.witnesses.keys, &policy.rebuilds.keys];
    for (keys, file) in named.into_iter().zip(["release", "log", "witness", "rebuild"]) {
        let file = measurements().join(format!("keys/demonstration-{file}.key.pub"));
        let key = sealstone_publish::keys::read_verifier(&file).unwrap();
        assert_eq!(keys.as_slice(), std::slice::from_ref(&key), "{}", file.display());
        assert!(key.name().is_demonstration());
        let private = sealstone_publish::keys::read_signing(&file.with_extension("")).unwrap();
        assert_eq!(*private.verifier(), key, "both halves are published, as their README says");
    }
}

#[test]
fn every_file_of_every_release_is_bound() {
    let releases = releases();
    if releases.is_empty() {
        println!("SKIPPED every_file_of_every_release_is_bound: there is no release in measurements/ yet");
    }
    for release in releases {
        let at = within(&release);
        let (code, said) = verify(&release, &at, &[]);
        // A release that a later one took the place of says that, and nothing else.
        let refused: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("REFUSED")?.split_whitespace().next()).collect();
        assert!(code == 0 || refused == ["release.superseded"], "{}: {said}", release.display());
        let tmp = tempfile::tempdir().unwrap();
        copy(&measurements(), tmp.path());
        let copied = tmp.path().join(release.file_name().unwrap());
        for file in files_below(&copied) {
            let whole = fs::read(&file).unwrap();
            for place in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
                let mut changed = whole.clone();
                changed[place] ^= 1;
                fs::write(&file, changed).unwrap();
                assert_eq!(verify(&copied, &at, &[]).0, 10, "{}, byte {place}", file.display());
            }
            fs::write(&file, [whole.as_slice(), b"\n"].concat()).unwrap();
            assert_eq!(verify(&copied, &at, &[]).0, 10, "{} with a byte more", file.display());
            fs::write(&file, whole).unwrap();
        }
        fs::write(copied.join("added"), "x").unwrap();
        assert_eq!(verify(&copied, &at, &[]).0, 10, "with a file more");
    }
}

#[test]
fn a_policy_that_does_not_ask_for_them_refuses_demonstration_keys() {
    let text = fs::read_to_string(measurements().join("policy.yaml")).unwrap();
    let strict = text.replace("allow_demonstration: true", "allow_demonstration: false");
    assert_ne!(strict, text);
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("strict.yaml");
    fs::write(&file, strict).unwrap();
    for release in releases() {
        let (code, said) = verify(&release, &within(&release), &["--policy", file.to_str().unwrap()]);
        assert!(code == 12 && said.contains("release.demonstration"), "{said}");
    }
}

#[test]
fn the_log_is_whole_and_continues_what_every_release_saw() {
    let log = measurements().join("log");
    if !log.is_dir() {
        println!("SKIPPED the_log_is_whole_and_continues_what_every_release_saw: there is no log in measurements/ yet");
        return;
    }
    let key = measurements().join("keys/demonstration-log.key.pub");
    let mut arguments = vec!["log".to_owned(), "check".into(), log.display().to_string()];
    arguments.extend(["--log-key".to_owned(), key.display().to_string()]);
    for release in releases() {
        arguments.extend(["--since".to_owned(), release.join("tlog-proof").display().to_string()]);
    }
    let (code, said) = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, 0, "{said}");
}
