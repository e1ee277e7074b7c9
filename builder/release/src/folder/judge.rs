//! Judging a release's folder: every check runs, none stops another.

use sealstone_evidence::check::{Check, Refusal};

use super::cut::{differs, log_leaf, stated_differs};
use super::trust::Trust;
use super::{DOCUMENTS, Files, MANIFEST, PIN, PROOF, REBUILDS, STATEMENT, digests};
use crate::dsse::{Envelope, EnvelopeError};
use crate::hex::Sha256;
use crate::key::{KeyName, VerifierKey};
use crate::pin::Pin;
use crate::policy::ReleasePolicy;
use crate::statement::StatementError;
use crate::statement::manifest::Manifest;
use crate::statement::rebuild::Rebuild;
use crate::statement::release::Release;
use crate::time::Moment;
use crate::tlog::proof::{Proof, Witnesses};
use crate::verdict::Verdict;

/// Checks that must have passed.
const GENUINE: [&str; 5] = ["release.manifest", "release.files", "release.statement", "release.contents", "release.notices"];

/// Checks that must be there.
const ASKED: [&str; 6] =
    ["release.log", "release.demonstration", "release.validity", "release.superseded", "release.revoked", "release.rebuilds"];

/// What stands in a check that rests on a statement that isn't there.
const NO_STATEMENT: &str = "not known: no statement that could be believed";

/// A release to judge.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Every file of its folder.
    pub files: &'a Files,
    /// Notices of its publisher, by name.
    pub notices: &'a Files,
}

/// The verdict on a release by itself, without evidence of a machine.
pub fn verdict(case: Case<'_>, policy: &ReleasePolicy, at: Moment) -> Verdict {
    Verdict::new("release", at.unix(), &GENUINE, &ASKED, checks(case, policy, at))
}

/// Every check `release.*`. For a verdict on evidence as well, see [`Verdict::and`].
pub fn checks(case: Case<'_>, policy: &ReleasePolicy, at: Moment) -> Vec<Check> {
    let notices = case.notices.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let trust = Trust::new(&policy.keys, notices);
    let keys = trust.keys();
    let mut judge = Judge { files: case.files, policy, trust: &trust, keys: &keys, used: Vec::new() };
    let statement = judge.statement();
    let by = judge.names();
    let release = statement.as_ref().ok();
    let mut checks = judge.manifest();
    checks.push(match &statement {
        Ok(_) => said("release.statement", Ok(format!("{STATEMENT}, by {by}")), STATEMENT_WHY),
        Err(error) => said("release.statement", Err(error.clone()), STATEMENT_WHY),
    });
    checks.push(judge.contents(release));
    checks.push(notices_check(&trust));
    checks.push(judge.log(release));
    let rebuilds = judge.rebuilds(release);
    checks.push(judge.demonstration());
    checks.push(validity(release, at));
    checks.extend(judge.still_good(release));
    checks.push(rebuilds);
    checks
}

/// The release in a folder, if a policy's keys signed it: for whoever goes on to use it.
///
/// # Errors
/// What [`checks`] says under `release.statement`.
pub fn release(case: Case<'_>, policy: &ReleasePolicy) -> Result<Release, String> {
    let trust = Trust::new(&policy.keys, case.notices.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    let keys = trust.keys();
    Judge { files: case.files, policy, trust: &trust, keys: &keys, used: Vec::new() }.statement()
}

const STATEMENT_WHY: &str = "who released this is not known; name the publisher's key under release.keys of the policy";

struct Judge<'a> {
    files: &'a Files,
    policy: &'a ReleasePolicy,
    trust: &'a Trust,
    keys: &'a [VerifierKey],
    /// Names of keys that something rests on.
    used: Vec<KeyName>,
}

impl Judge<'_> {
    fn file(&self, path: &str) -> Result<&[u8], String> {
        self.files.get(path).map(Vec::as_slice).ok_or_else(|| format!("{path} is missing"))
    }

    fn envelope(&self, path: &str) -> Result<Envelope, String> {
        Envelope::parse(self.file(path)?).map_err(|e| format!("{path}: {e}"))
    }

    fn names(&self) -> String {
        self.used.iter().map(KeyName::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The keys among `by` that are believed about the pin; at least one.
    fn believed(&mut self, by: &[&VerifierKey], pin: &Sha256) -> Result<(), String> {
        let (good, bad): (Vec<_>, Vec<_>) =
            by.iter().map(|key| (key, self.trust.believes(key, pin))).partition(|(_, b)| b.is_ok());
        self.used.extend(good.iter().map(|(key, _)| key.name().clone()));
        match bad.into_iter().find_map(|(_, why)| why.err()) {
            Some(why) if good.is_empty() => Err(why),
            _ => Ok(()),
        }
    }

    fn statement(&mut self) -> Result<Release, String> {
        let envelope = self.envelope(STATEMENT)?;
        let keys = self.keys;
        let (release, by) = Release::verify(&envelope, keys).map_err(|e| format!("{STATEMENT}: {e}"))?;
        self.believed(&by, &release.pin().id())?;
        Ok(release)
    }

    /// That the list of files is signed, and that these are the files.
    fn manifest(&mut self) -> Vec<Check> {
        const WHY: &str = "the folder is not as its publisher left it";
        let keys = self.keys;
        let read = self.envelope(MANIFEST).and_then(|envelope| {
            let (manifest, by) = Manifest::verify(&envelope, keys).map_err(|e| format!("{MANIFEST}: {e}"))?;
            self.believed(&by, manifest.pin())?;
            Ok(manifest)
        });
        let Ok(manifest) = &read else {
            let error = read.map(|_| String::new());
            let files = Err("not known: no list that could be believed".to_owned());
            return vec![said("release.manifest", error, WHY), said("release.files", files, WHY)];
        };
        let found = digests(self.files.iter().filter(|(path, _)| *path != MANIFEST));
        let files = match differs(manifest.files(), &found) {
            None => Ok(format!("{} files, each as signed", found.len())),
            Some(difference) => Err(difference),
        };
        vec![said("release.manifest", Ok(MANIFEST.to_owned()), WHY), said("release.files", files, WHY)]
    }

    /// That the files that never change are those of the statement, which is what the log shows.
    fn contents(&self, release: Option<&Release>) -> Check {
        const WHY: &str = "pin, bill of materials, provenance or sources are not those that were released";
        let result = release.ok_or_else(|| NO_STATEMENT.to_owned()).and_then(|release| {
            if let Some(difference) = stated_differs(self.files, release) {
                return Err(difference);
            }
            for needed in DOCUMENTS {
                self.file(needed)?;
            }
            let text = std::str::from_utf8(self.file(PIN)?).map_err(|_| format!("{PIN} is not UTF-8"))?;
            let pin = Pin::parse(text).map_err(|e| format!("{PIN}: {e}"))?;
            if pin != *release.pin() {
                return Err(format!("{PIN} is not the pin in {STATEMENT}"));
            }
            let pin_of_list = self
                .envelope(MANIFEST)
                .ok()
                .and_then(|envelope| Manifest::verify(&envelope, self.keys).ok().map(|(manifest, _)| *manifest.pin()));
            match pin_of_list {
                Some(other) if other != pin.id() => Err(format!("{MANIFEST} is of pin {other}, this is {}", pin.id())),
                _ => Ok(format!("pin {}", pin.id())),
            }
        });
        said("release.contents", result, WHY)
    }

    fn log(&mut self, release: Option<&Release>) -> Check {
        const ID: &str = "release.log";
        const WHY: &str = "nobody else can see that this was released, so it may be an image for you alone";
        if !self.files.contains_key(PROOF) && self.policy.allow_unlogged {
            return Check::not_asked(ID, "no proof, which the policy allows", WHY);
        }
        let (policy, release) = (self.policy, release.ok_or_else(|| NO_STATEMENT.to_owned()));
        let result = release.and_then(|release| {
            let text = std::str::from_utf8(self.file(PROOF)?).map_err(|_| format!("{PROOF} is not UTF-8"))?;
            let proof = Proof::parse(text).map_err(|e| format!("{PROOF}: {e}"))?;
            let leaf = log_leaf(release, self.file(STATEMENT)?);
            let witnesses = Witnesses { keys: &policy.witnesses.keys, quorum: policy.witnesses.quorum };
            let shown = proof.verify(leaf, &policy.logs, witnesses).map_err(|e| e.to_string())?;
            self.used.push(shown.log.name().clone());
            self.used.extend(shown.witnesses.iter().map(|(key, _)| key.name().clone()));
            let (index, size, log) = (proof.index, shown.checkpoint.size, shown.log.name());
            Ok(format!("entry {index} of {size} in {log}, {} witnesses", shown.witnesses.len()))
        });
        let (holds, found) = split(result);
        let asked = format!(
            "a proof of one of {} logs, {} of {} witnesses",
            policy.logs.len(),
            policy.witnesses.quorum,
            policy.witnesses.keys.len()
        );
        Check::judge(ID, Refusal::Transparency, holds, asked, found, WHY)
    }

    /// That enough of the rebuilders whom the policy names got the same.
    fn rebuilds(&mut self, release: Option<&Release>) -> Check {
        const WHY: &str = "too few others built it again: one builder could have put in anything";
        let policy = &self.policy.rebuilds;
        let asked = format!("statements of {} of {} keys", policy.quorum, policy.keys.len());
        let result = release.ok_or_else(|| NO_STATEMENT.to_owned()).and_then(|release| {
            let mut by: Vec<&VerifierKey> = Vec::new();
            for path in self.files.keys().filter(|path| path.starts_with(REBUILDS)) {
                let Some(signers) = rebuild(&self.envelope(path)?, &policy.keys, release).map_err(|e| format!("{path}: {e}"))?
                else {
                    continue;
                };
                by.extend(signers);
            }
            by.sort_by_key(|key| *key.bytes());
            by.dedup_by_key(|key| *key.bytes());
            self.used.extend(by.iter().map(|key| key.name().clone()));
            let names: Vec<&str> = by.iter().map(|key| key.name().as_str()).collect();
            let found = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            if by.len() >= policy.quorum { Ok(found) } else { Err(found) }
        });
        let (holds, found) = split(result);
        Check::judge("release.rebuilds", Refusal::Policy, holds, asked, found, WHY)
    }

    /// Runs after every check that believes a key.
    fn demonstration(&self) -> Check {
        const WHY: &str = "the private half of a demonstration key is public: anybody can sign with it";
        let mut names: Vec<&str> = self.used.iter().filter(|name| name.is_demonstration()).map(KeyName::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let holds = names.is_empty() || self.policy.allow_demonstration;
        let expected = if self.policy.allow_demonstration { "any keys, as the policy says" } else { "no demonstration keys" };
        Check::judge("release.demonstration", Refusal::Policy, holds, expected, found, WHY)
    }

    fn still_good(&self, release: Option<&Release>) -> [Check; 2] {
        let Some(release) = release else {
            let unknown =
                |id| Check::judge(id, Refusal::Policy, false, "a pin that is not", NO_STATEMENT, "its pin is not known");
            return ["release.superseded", "release.revoked"].map(unknown);
        };
        let id = release.pin().id();
        let by = self.trust.superseded(&id);
        let found = by.map_or_else(|| "no notice says so".to_owned(), |by| format!("pin {by} took its place"));
        let why = "a newer release took its place; use that";
        let superseded = Check::judge("release.superseded", Refusal::Policy, by.is_none(), "not superseded", found, why);
        let revoked = match self.trust.revoked(&id) {
            Some(reason) => Some(format!("revoked: {reason}")),
            None => self.policy.refused_pins.contains(&id).then(|| "the policy refuses this pin".to_owned()),
        };
        let holds = revoked.is_none();
        let found = revoked.unwrap_or_else(|| "no notice says so".to_owned());
        let why = "its publisher or the policy took it back";
        [superseded, Check::judge("release.revoked", Refusal::Policy, holds, "not revoked", found, why)]
    }
}

/// Who of `keys` signed a rebuild statement; `None` if nobody known did, so that it counts for nothing.
fn rebuild<'k>(
    envelope: &Envelope,
    keys: &'k [VerifierKey],
    release: &Release,
) -> Result<Option<Vec<&'k VerifierKey>>, StatementError> {
    match Rebuild::verify(envelope, keys) {
        Ok((rebuild, by)) => rebuild.is_of(release).map(|()| Some(by)),
        Err(StatementError::Envelope(EnvelopeError::Unknown(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn notices_check(trust: &Trust) -> Check {
    const WHY: &str = "a notice that can't be right may have been one against this release";
    let result = if trust.problems().is_empty() { Ok("none is damaged".to_owned()) } else { Err(trust.problems().join("; ")) };
    said("release.notices", result, WHY)
}

fn validity(release: Option<&Release>, at: Moment) -> Check {
    const ID: &str = "release.validity";
    const WHY: &str = "past its time, or before it: whether it is still good is for a newer release to say";
    let Some(release) = release else { return Check::judge(ID, Refusal::Policy, false, "a time", NO_STATEMENT, WHY) };
    let Some(validity) = release.pin().contents().validity else {
        return Check::judge(ID, Refusal::Policy, false, "a time of validity", "none", WHY);
    };
    let holds = (validity.not_before..=validity.not_after).contains(&at);
    let expected = format!("between {} and {}", validity.not_before, validity.not_after);
    Check::judge(ID, Refusal::Policy, holds, expected, at.to_string(), WHY)
}

fn said(id: &'static str, result: Result<String, String>, why: &'static str) -> Check {
    Check::genuine(id, "as signed by a key that the policy names", result, why)
}

fn split(result: Result<String, String>) -> (bool, String) {
    match result {
        Ok(found) => (true, found),
        Err(found) => (false, found),
    }
}
