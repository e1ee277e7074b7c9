//! The releases in `measurements/`: each is accepted by the policy beside it, and refused when any byte of any file is another.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "failing loudly is right in tests")]

use std::path::{Path, PathBuf};

use sealstone_publish::folder;
use sealstone_release::folder::judge::{Case, verdict};
use sealstone_release::folder::{Files, PIN};
use sealstone_release::pin::Pin;
use sealstone_release::policy::{Policy, ReleasePolicy};
use sealstone_release::time::Moment;

/// Bytes that are tried of a longer file; of a shorter one every byte is. `SEALSTONE_EVERY_BYTE=1` tries every byte of all.
const TRIED: usize = 100;

fn measurements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../measurements")
}

fn releases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(measurements()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = entries.filter(|path| path.join(PIN).is_file()).collect();
    all.sort();
    all
}

/// A release with all that it is judged by.
struct Released {
    files: Files,
    notices: Files,
    /// The end of its validity: a test must not begin to fail on some day.
    at: Moment,
}

impl Released {
    fn read(dir: &Path) -> Self {
        let files = folder::read(dir).unwrap();
        let notices = measurements().join("notices");
        let notices = if notices.is_dir() { folder::read(&notices).unwrap() } else { Files::new() };
        let pin = Pin::parse(std::str::from_utf8(&files[PIN]).unwrap()).unwrap();
        Self { files, notices, at: pin.contents().validity.as_ref().unwrap().not_after }
    }

    /// Exit code, and the checks that refuse.
    fn judge(&self, policy: &ReleasePolicy) -> (u8, Vec<&'static str>) {
        let verdict = verdict(Case { files: &self.files, notices: &self.notices }, policy, self.at);
        (verdict.exit_code(), verdict.checks().iter().filter(|check| check.refused()).map(|check| check.id).collect())
    }
}

fn policy() -> (String, ReleasePolicy) {
    let file = measurements().join("policy.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let policy = Policy::parse("measurements/policy.yaml", &text).unwrap().release;
    (text, policy)
}

#[test]
fn a_changed_byte_of_any_file_refuses() {
    let (_, policy) = policy();
    let releases = releases();
    if releases.is_empty() {
        println!("SKIPPED a_changed_byte_of_any_file_refuses: there is no release in measurements/");
    }
    for dir in releases {
        let mut released = Released::read(&dir);
        let accepted = released.judge(&policy);
        // A superseded or revoked release of ours refuses as it is, and no change may mend that.
        assert!(accepted == (0, vec![]) || accepted.0 == 12, "{}: {accepted:?}", dir.display());
        let paths: Vec<String> = released.files.keys().cloned().collect();
        for path in paths {
            let length = released.files[&path].len();
            let step = if std::env::var_os("SEALSTONE_EVERY_BYTE").is_some() { 1 } else { 1 + length / TRIED };
            for at in (0..length).step_by(step).chain(length.checked_sub(1)) {
                released.files.get_mut(&path).unwrap()[at] ^= 1;
                let (code, refused) = released.judge(&policy);
                assert_eq!(code, 10, "{}/{path}, byte {at}: {refused:?}", dir.display());
                released.files.get_mut(&path).unwrap()[at] ^= 1;
            }
            let whole = released.files.remove(&path).unwrap();
            assert_eq!(released.judge(&policy).0, 10, "{} without {path}", dir.display());
            released.files.insert(path, whole);
        }
        released.files.insert("added".into(), Vec::new());
        assert_eq!(released.judge(&policy).0, 10, "{} with another file", dir.display());
        released.files.remove("added");
        assert_eq!(released.judge(&policy), accepted, "{}", dir.display());
    }
}

/// What a client that names these keys, and nothing else, gets to hear of releases under demonstration keys; and one that names nobody.
#[test]
fn other_policies_refuse_demonstration_keys() {
    let (text, _) = policy();
    let strict = text.lines().filter(|line| !line.contains("allow_demonstration")).collect::<Vec<_>>().join("\n");
    let strict = Policy::parse("strict", &strict).unwrap().release;
    for dir in releases() {
        let released = Released::read(&dir);
        let (code, refused) = released.judge(&strict);
        assert!(code == 12 && refused.contains(&"release.demonstration"), "{}: {refused:?}", dir.display());
        assert_eq!(released.judge(&ReleasePolicy::default()).0, 10, "{}", dir.display());
    }
}
