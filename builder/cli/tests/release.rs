//! `sealstone release` from outside: keys, a release, a log with a witness, rotation, and every file of a folder changed.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealstone_release::dsse::Envelope;
use sealstone_release::folder::{PIN, STATEMENT};
use sealstone_release::hex::Sha256;
use sealstone_release::pin::{Contents, File, Image, Pin, SCHEMA, Source};
use sealstone_release::statement::rebuild::rebuild;
use sealstone_release::statement::release::Release;
use sealstone_release::time::Moment;

/// 2026-11-21T12:00:00Z
const NOW: u64 = 1_795_262_400;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `sealstone release` in the folder; returns exit code and output.
    fn run(&self, line: &str) -> (i32, String, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_sealstone"))
            .arg("release")
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    fn done(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.run(line);
        assert_eq!(code, 0, "{line}\n{stdout}{stderr}");
        stdout
    }

    fn refused(&self, line: &str, code: i32) -> String {
        let (found, stdout, stderr) = self.run(line);
        assert_eq!(found, code, "{line}\n{stdout}{stderr}");
        stdout + &stderr
    }

    fn verify(&self, folder: &str) -> String {
        format!("verify {folder} --at {NOW}")
    }

    /// The rebuild statement that `reproduce --attest` would write, had it built the same.
    fn rebuild(&self, folder: &str, key: &str) {
        let read = |path: PathBuf| fs::read(path).unwrap();
        let envelope = Envelope::parse(&read(self.path(folder).join(STATEMENT))).unwrap();
        let release = Release::unverified(&envelope).unwrap();
        let key = sealstone_publish::keys::read_signing(&self.path(key)).unwrap();
        let at = Moment::from_unix(NOW).unwrap();
        let statement = rebuild(&release, release.artefacts(), "sealstone, tested", at, &key).unwrap();
        fs::write(self.path("rebuild.json"), statement.to_text()).unwrap();
    }
}

/// An output folder as a build leaves it, of small files.
fn output(dir: &Path, version: &str) {
    let names =
        ["disk.raw", "firmware/OVMF.fd", "initrd", "provenance.json", "sbom.cdx.json", "source.tar", "uki.efi", "vmlinuz"];
    let mut files: Vec<(String, Vec<u8>)> =
        names.iter().map(|name| ((*name).to_owned(), format!("{name} {version}").into_bytes())).collect();
    let file = |name: &str| File::of(&files.iter().find(|(known, _)| known == name).unwrap().1);
    let image = Image {
        name: "inference".into(),
        version: version.into(),
        kernel: file("vmlinuz"),
        initrd: file("initrd"),
        cmdline: "quiet".into(),
        uki: file("uki.efi"),
        disk: file("disk.raw"),
    };
    let source = Source { spec_sha256: Sha256::of(b"spec"), lock_sha256: Sha256::of(b"lock") };
    let contents =
        Contents { schema: SCHEMA.into(), image, source, models: vec![], profiles: vec![], validity: None, supersedes: None };
    files.push((PIN.to_owned(), Pin::new(contents).unwrap().to_text().into_bytes()));
    files.sort();
    fs::create_dir_all(dir.join("firmware")).unwrap();
    let mut sums = String::new();
    for (name, bytes) in &files {
        fs::write(dir.join(name), bytes).unwrap();
        sums.push_str(&format!("{}  {name}\n", Sha256::of(bytes)));
    }
    fs::write(dir.join("SHA256SUMS"), sums).unwrap();
}

/// Keys `release`, `log`, `witness`, `rebuild`; a log with a witness; `measurements/v1.0.0`, entered, witnessed, rebuilt; and a
/// policy beside it that names the keys.
fn place() -> Place {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    output(&place.path("out"), "1.0.0");
    let mut keys = Vec::new();
    for (name, more) in [("release", ""), ("log", ""), ("rebuild", ""), ("witness", "--witness")] {
        keys.push(place.done(&format!("keygen --name example.com/{name} --out {name} {more}")).trim_end().to_owned());
    }
    place.done("log init measurements/log --key log");
    place.done(&format!(
        "sign out --key release --out measurements/v1.0.0 --not-before {} --days 30 --log measurements/log --log-key log",
        NOW - 10
    ));
    place.done("log cosign measurements/log --log-key log.pub --key witness --state witness.state");
    let proof = place.done("log prove measurements/log --release measurements/v1.0.0 --log-key log.pub");
    fs::write(place.path("proof"), proof).unwrap();
    place.rebuild("measurements/v1.0.0", "rebuild");
    place.done("add measurements/v1.0.0 --key release --proof proof --rebuild rebuild.json");
    let [release, log, rebuild, witness] = &keys[..] else { unreachable!() };
    let policy = format!(
        "schema: sealstone/policy/v1\nrelease:\n  keys: ['{release}']\n  logs: ['{log}']\n  \
         witnesses: {{quorum: 1, keys: ['{witness}']}}\n  rebuilds: {{quorum: 1, keys: ['{rebuild}']}}\n"
    );
    fs::write(place.path("measurements/policy.yaml"), policy).unwrap();
    place
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

#[test]
fn a_release_from_keys_to_verdict() {
    let place = place();
    let said = place.refused(&place.verify("measurements/v1.0.0"), 0);
    assert!(said.contains("accepted (release, at 2026-11-21T12:00:00Z)") && said.contains("publisher's own policy"), "{said}");
    // The same by name of the policy, from inside, and as JSON.
    let json = place.done(&format!("{} --policy measurements/policy.yaml --json", place.verify("measurements/v1.0.0/")));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["accepted"], &json["tee"]), (&true.into(), &"release".into()));
    // Nobody is trusted by default.
    fs::write(place.path("empty.yaml"), "schema: sealstone/policy/v1\n").unwrap();
    place.refused(&format!("{} --policy empty.yaml", place.verify("measurements/v1.0.0")), 10);
    // Validity.
    place.refused(&format!("verify measurements/v1.0.0 --at {}", NOW - 11), 12);
    place.refused(&format!("verify measurements/v1.0.0 --at {}", NOW + 31 * 86_400), 12);
    // Nothing is written over.
    place.refused("keygen --name example.com/again --out release", 3);
    place.refused("sign out --key release --out measurements/v1.0.0", 3);
    place.refused("log init measurements/log --key log", 3);
}

#[test]
fn a_changed_byte_of_any_file_refuses() {
    let place = place();
    let folder = place.path("measurements/v1.0.0");
    let files = files_below(&folder);
    assert_eq!(files.len(), 8, "{files:?}");
    for file in &files {
        let whole = fs::read(file).unwrap();
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(file, changed).unwrap();
            place.refused(&place.verify("measurements/v1.0.0"), 10);
        }
        fs::remove_file(file).unwrap();
        place.refused(&place.verify("measurements/v1.0.0"), 10);
        fs::write(file, whole).unwrap();
    }
    fs::write(folder.join("added"), "x").unwrap();
    place.refused(&place.verify("measurements/v1.0.0"), 10);
    fs::remove_file(folder.join("added")).unwrap();
    place.done(&place.verify("measurements/v1.0.0"));
}

#[test]
fn a_newer_release_supersedes_and_the_log_goes_on() {
    let place = place();
    fs::copy(place.path("measurements/log/checkpoint"), place.path("before")).unwrap();
    output(&place.path("next"), "1.1.0");
    place.done(&format!(
        "sign next --key release --out measurements/v1.1.0 --not-before {NOW} --supersedes measurements/v1.0.0 \
         --log measurements/log --log-key log"
    ));
    let said = place.refused(&place.verify("measurements/v1.0.0"), 12);
    assert!(said.contains("release.superseded"), "{said}");
    // The new one lacks a rebuild statement and a witness still: what it says is exactly that.
    let said = place.refused(&place.verify("measurements/v1.1.0"), 12);
    let refused: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("REFUSED")?.split_whitespace().next()).collect();
    assert_eq!(refused, ["release.rebuilds", "release.log"]);
    let said = place.done("log check measurements/log --log-key log.pub --since before --since measurements/v1.0.0/tlog-proof");
    assert!(said.starts_with("example.com/log 2 "), "{said}");
    assert_eq!(place.done("log append measurements/log --release measurements/v1.1.0 --key log").trim(), "1", "not twice");
    // A log that begins again is another log, whatever it is called.
    fs::remove_dir_all(place.path("measurements/log")).unwrap();
    place.done("log init measurements/log --key log");
    place.done("log append measurements/log --release measurements/v1.1.0 --key log");
    place.refused("log check measurements/log --log-key log.pub --since before", 13);
    place.refused("log cosign measurements/log --log-key log.pub --key witness --state witness.state", 13);
}

#[test]
fn keys_rotate_and_are_revoked() {
    let place = place();
    place.done("keygen --name example.com/release-2 --out release2");
    let notice = "notice key-rotated --key release --new-key release2 --out measurements/notices/rotated.json";
    place.done(&format!("{notice} --keep measurements/v1.0.0"));
    place.done(&place.verify("measurements/v1.0.0"));
    fs::remove_file(place.path("measurements/notices/rotated.json")).unwrap();
    place.done(notice);
    place.refused(&place.verify("measurements/v1.0.0"), 10);
    fs::remove_file(place.path("measurements/notices/rotated.json")).unwrap();
    place.done("notice key-revoked --key release --reason stolen --out measurements/notices/stolen.json");
    let said = place.refused(&place.verify("measurements/v1.0.0"), 10);
    assert!(said.contains("stolen"), "{said}");
    fs::remove_file(place.path("measurements/notices/stolen.json")).unwrap();
    let revoked = "notice revoked --release measurements/v1.0.0 --reason leaks --key release --out measurements/notices/r.json";
    place.done(revoked);
    assert!(place.refused(&place.verify("measurements/v1.0.0"), 12).contains("leaks"));
}

#[test]
fn manual_and_completions() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let sealstone = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sealstone")).args(arguments).current_dir(place.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(sealstone(&["completions", shell]).contains("keygen"), "{shell}");
    }
    sealstone(&["man", "man"]);
    let page = fs::read_to_string(place.path("man/sealstone-release-sign.1")).unwrap();
    assert!(page.contains(".TH sealstone-release-sign 1") && page.contains("supersedes"), "{page}");
    assert!(place.path("man/sealstone.1").is_file() && !place.path("man/sealstone-man.1").exists());
}
