//! The verdict: genuine? (checks of `sealstone-evidence`) and wanted? (checks here), in one list, worst first.
//!
//! [`appraise`] is the whole question, pin and all; [`snp`], [`tdx`] and [`tpm`] judge raw evidence without a pin.

mod appraise;
mod binding;
#[cfg(test)]
mod corpus;
mod endorsement;
mod pinned;
mod snp;
mod tdx;
mod tpm;

pub use appraise::{appraise, appraise_endorsed};
pub use binding::Binding;
pub use endorsement::Endorsement;
pub use sealstone_evidence::check::{Check, Outcome, Refusal};
pub use snp::snp;
pub use tdx::tdx;
pub use tpm::tpm;

use sealstone_evidence::check::printable;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::hex::{Bytes, Sha256};

/// Value of the field `schema`.
pub const SCHEMA: &str = "sealstone/verdict/v1";

/// The check that every other one ran.
const COMPLETE: &str = "verdict.complete";

/// Whether evidence is accepted, and every check that this rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    tee: &'static str,
    at: u64,
    pinned: Option<Pinned>,
    checks: Vec<Check>,
}

/// The pin that a verdict was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Its id.
    pub pin: Sha256,
    /// The profile that fits, or fits best; none if it has none for the evidence's technology.
    pub profile: Option<String>,
}

impl Verdict {
    /// Puts checks together. `genuine` names those that must be there and have passed, `asked` those that must be there:
    /// whatever is missing refuses, so that no mistake in a list of checks can lead to an accept.
    pub(crate) fn new(tee: &'static str, at: u64, genuine: &[&str], asked: &[&str], mut checks: Vec<Check>) -> Self {
        let once = |id: &&&str| checks.iter().filter(|check| check.id == **id).count() == 1;
        let skipped = |id: &&&str| checks.iter().any(|check| check.id == **id && check.outcome == Outcome::NotAsked);
        let missing = genuine.iter().chain(asked).filter(|id| !once(id));
        let missing: Vec<_> = missing.chain(genuine.iter().filter(skipped)).copied().collect();
        checks.push(Check::judge(
            COMPLETE,
            Refusal::Signature,
            missing.is_empty(),
            format!("{} checks that must run", genuine.len() + asked.len()),
            if missing.is_empty() { "all ran".to_owned() } else { format!("not once: {}", missing.join(", ")) },
            "nothing is accepted on the strength of a check that didn't run; this is a mistake of this program",
        ));
        // Stable: within one outcome the order in which the checks stand in the documentation.
        checks.sort_by_key(|check| check.outcome);
        Self { tee, at, pinned: None, checks }
    }

    /// The pin that it was made with, if it was made by [`appraise`].
    pub fn pinned(&self) -> Option<&Pinned> {
        self.pinned.as_ref()
    }

    /// This verdict and another one on the same question, such as that on the release which the pin is from: every check of
    /// both, and whatever either refuses is refused.
    #[must_use]
    pub fn and(mut self, other: Verdict) -> Self {
        // Both say that they are complete; one line is enough, unless one of them isn't.
        let said = self.checks.iter().any(|check| check.id == COMPLETE);
        self.checks.extend(other.checks.into_iter().filter(|check| !(said && check.id == COMPLETE && check.passed())));
        self.checks.sort_by_key(|check| check.outcome);
        self
    }

    /// Every check, worst first.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whether nothing refuses.
    pub fn is_accepted(&self) -> bool {
        self.refusal().is_none()
    }

    /// The worst refusal.
    pub fn refusal(&self) -> Option<Refusal> {
        self.checks.iter().find_map(|check| match check.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::NotAsked | Outcome::Passed => None,
        })
    }

    /// Exit code of the command line: 0, or the worst refusal's.
    pub fn exit_code(&self) -> u8 {
        self.refusal().map_or(0, Refusal::exit_code)
    }

    /// One line a check, worst first; then what it comes to.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let word = match check.outcome {
                Outcome::Refused(_) => "REFUSED",
                Outcome::NotAsked => "not asked",
                Outcome::Passed => "ok",
            };
            text.push_str(&format!("{word:<9}  {:<28}  ", check.id));
            text.push_str(&printable(&match check.outcome {
                Outcome::Refused(_) => format!("expected {}; found {}; {}", check.expected, check.found, check.why),
                Outcome::NotAsked | Outcome::Passed => check.found.clone(),
            }));
            text.push('\n');
        }
        let at = sealstone_evidence::time::show(self.at);
        text.push_str(&match self.refusal() {
            None => format!("accepted ({}, at {at})\n", self.tee),
            Some(refusal) => format!("refused: {} ({}, at {at})\n", name(refusal), self.tee),
        });
        text
    }
}

fn name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Signature => "signature",
        Refusal::Measurement => "measurement",
        Refusal::Policy => "policy",
        Refusal::Transparency => "transparency",
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("accepted", &self.is_accepted())?;
        map.serialize_entry("exit_code", &self.exit_code())?;
        map.serialize_entry("tee", self.tee)?;
        map.serialize_entry("at", &self.at)?;
        if let Some(Pinned { pin, profile }) = &self.pinned {
            map.serialize_entry("pin", pin)?;
            map.serialize_entry("profile", profile)?;
        }
        map.serialize_entry("checks", &self.checks.iter().map(Line).collect::<Vec<_>>())?;
        map.end()
    }
}

/// A check in JSON.
struct Line<'a>(&'a Check);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Check { id, outcome, expected, found, why } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        match outcome {
            Outcome::Refused(refusal) => {
                map.serialize_entry("outcome", "refused")?;
                map.serialize_entry("refusal", name(*refusal))?;
                map.serialize_entry("exit_code", &refusal.exit_code())?;
            }
            Outcome::NotAsked => map.serialize_entry("outcome", "not-asked")?,
            Outcome::Passed => map.serialize_entry("outcome", "passed")?,
        }
        map.serialize_entry("expected", expected)?;
        map.serialize_entry("found", found)?;
        map.serialize_entry("why", why)?;
        map.end()
    }
}

/// A check that a value is one of those listed; without a list it isn't asked.
fn one_of<const N: usize>(
    id: &'static str,
    refusal: Refusal,
    accepted: Option<&[Bytes<N>]>,
    found: &[u8; N],
    why: &'static str,
) -> Check {
    let found = Bytes::new(*found);
    let Some(accepted) = accepted else {
        return Check::not_asked(id, found.to_string(), why);
    };
    let expected = match accepted {
        [] => "none at all".to_owned(),
        list => list.iter().map(Bytes::to_string).collect::<Vec<_>>().join(" or "),
    };
    Check::judge(id, refusal, accepted.contains(&found), expected, found.to_string(), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENUINE: [&str; 2] = ["a.signature", "a.chain"];
    const ASKED: [&str; 2] = ["a.measurement", "a.debug"];

    fn checks() -> Vec<Check> {
        let pass = |id, refusal| Check::judge(id, refusal, true, "", "", "");
        vec![
            pass("a.signature", Refusal::Signature),
            pass("a.chain", Refusal::Signature),
            Check::not_asked("a.measurement", "", ""),
            pass("a.debug", Refusal::Policy),
        ]
    }

    #[test]
    fn nothing_is_accepted_without_every_check() {
        assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, checks()).exit_code(), 0);
        for gone in 0..checks().len() {
            let mut less = checks();
            less.remove(gone);
            assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, less).exit_code(), 10, "without {gone}");
            let mut twice = checks();
            twice.push(twice[gone].clone());
            assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, twice).exit_code(), 10, "{gone} twice");
        }
        for skipped in 0..GENUINE.len() {
            let mut list = checks();
            list[skipped].outcome = Outcome::NotAsked;
            assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, list).exit_code(), 10, "{skipped} not asked");
        }
        assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, Vec::new()).exit_code(), 10);
    }

    #[test]
    fn two_verdicts_are_as_strict_as_the_stricter() {
        let good = || Verdict::new("t", 0, &GENUINE, &ASKED, checks());
        let other = |outcome| {
            let mut check = Check::judge("b.log", Refusal::Transparency, true, "", "", "");
            check.outcome = outcome;
            Verdict::new("u", 0, &[], &["b.log"], vec![check])
        };
        let both = good().and(other(Outcome::Passed));
        assert_eq!((both.exit_code(), both.checks().len()), (0, checks().len() + 2), "one says that all ran");
        assert_eq!(good().and(other(Outcome::Refused(Refusal::Transparency))).exit_code(), 13);
        assert_eq!(other(Outcome::Refused(Refusal::Transparency)).and(good()).checks()[0].id, "b.log");
        let incomplete = Verdict::new("u", 0, &["missing"], &[], vec![]);
        assert_eq!(good().and(incomplete.clone()).exit_code(), 10);
        assert_eq!(incomplete.and(good()).exit_code(), 10);
    }

    /// What evidence says is shown, and can't pass for what the verdict says.
    #[test]
    fn a_line_is_a_line_whatever_is_found() {
        let mut list = checks();
        list[1] = Check::judge(
            "a.chain",
            Refusal::Signature,
            false,
            "AMD",
            "X\r\naccepted (t, at 1970-01-01T00:00:00Z)\n\u{1b}[8m",
            "",
        );
        let verdict = Verdict::new("t", 0, &GENUINE, &ASKED, list);
        let text = verdict.to_text();
        assert_eq!(text.lines().count(), verdict.checks().len() + 1, "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("X\\u{d}\\u{a}accepted"), "{text}");
    }

    #[test]
    fn the_worst_comes_first_and_decides() {
        let mut list = checks();
        list[3].outcome = Outcome::Refused(Refusal::Policy);
        assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, list.clone()).exit_code(), 12);
        list[2].outcome = Outcome::Refused(Refusal::Measurement);
        assert_eq!(Verdict::new("t", 0, &GENUINE, &ASKED, list.clone()).exit_code(), 11);
        list[1].outcome = Outcome::Refused(Refusal::Signature);
        let verdict = Verdict::new("t", 0, &GENUINE, &ASKED, list);
        assert_eq!((verdict.exit_code(), verdict.refusal()), (10, Some(Refusal::Signature)));
        let order: Vec<_> = verdict.checks().iter().map(|check| check.id).collect();
        assert_eq!(order, ["a.chain", "a.measurement", "a.debug", "a.signature", "verdict.complete"]);
        assert!(verdict.to_text().ends_with("refused: signature (t, at 1970-01-01T00:00:00Z)\n"), "{}", verdict.to_text());
    }
}
