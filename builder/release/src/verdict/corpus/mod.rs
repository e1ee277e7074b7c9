//! Evidence that must be refused, each piece wrong in one thing: what is damaged, which check says so, with which exit code.
//!
//! Whatever is signed is signed rightly after it was made wrong, by roots that only tests have (`sealstone_evidence::testing`),
//! so that each check is seen to refuse on its own rather than behind a broken signature. The undamaged samples are accepted,
//! without which no refusal here would mean anything.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "failing loudly is right in tests")]

mod document;
mod endorsed;
mod pins;
mod removed;
mod sample;
mod snp;
mod snp_signed;
mod tdx;
mod tdx_signed;
mod tpm;

use std::collections::BTreeSet;

use super::appraise::{Roots, collect};
use super::{Binding, Endorsement, Verdict};
use crate::evidence::Evidence;
use crate::pin::Pin;
use crate::policy::Policy;

/// What must come of a case.
enum Expect {
    /// This check refuses, and this is the exit code.
    Refused(&'static str, u8),
    /// It can't even be read: exit code 3.
    Unreadable,
    /// Either: which of the two depends on the very bit.
    Either(&'static str, u8),
}

/// One damage.
struct Case {
    name: String,
    expect: Expect,
    found: Result<Verdict, String>,
}

impl Case {
    fn check(&self) {
        let name = &self.name;
        let refusing = |id: &str, code: u8, verdict: &Verdict| {
            let refused: Vec<_> = verdict.checks().iter().filter(|check| check.refused()).map(|check| check.id).collect();
            assert!(refused.contains(&id), "{name}: {id} doesn't refuse, but {refused:?}");
            assert_eq!(verdict.exit_code(), code, "{name}: {refused:?}");
            assert!(!verdict.is_accepted(), "{name}");
        };
        match (&self.expect, &self.found) {
            (Expect::Refused(id, code) | Expect::Either(id, code), Ok(verdict)) => refusing(id, *code, verdict),
            (Expect::Unreadable | Expect::Either(..), Err(_)) => {}
            (Expect::Refused(id, _), Err(error)) => panic!("{name}: {id} should refuse, but it can't be read: {error}"),
            (Expect::Unreadable, Ok(verdict)) => panic!("{name}: it could be read: {}", verdict.to_text()),
        }
    }
}

/// What a client would do with texts: exit code 3 is an `Err`.
fn judge(roots: Roots, pin: &str, evidence: &[u8], policy: &str, binding: &Binding, at: u64) -> Result<Verdict, String> {
    judge_endorsed(roots, pin, evidence, policy, binding, &Endorsement::NotAsked, at)
}

/// The same after an exchange with the TPM.
fn judge_endorsed(
    roots: Roots,
    pin: &str,
    evidence: &[u8],
    policy: &str,
    binding: &Binding,
    endorsement: &Endorsement,
    at: u64,
) -> Result<Verdict, String> {
    let pin = Pin::parse(pin).map_err(|e| e.to_string())?;
    let evidence = Evidence::parse(evidence).map_err(|e| e.to_string())?;
    let policy = Policy::parse("policy", &format!("schema: sealstone/policy/v1\n{policy}")).map_err(|e| e.to_string())?;
    let at = crate::time::Moment::from_unix(at).ok_or("no moment")?;
    Ok(collect(roots, &pin, &evidence, &policy, binding, endorsement, at).verdict(&pin, &evidence, at))
}

/// Flips one bit.
fn flip(bytes: &mut [u8], at: usize, bit: u8) {
    bytes[at] ^= 1 << bit;
}

#[test]
fn every_case_refuses_and_there_are_enough_of_them() {
    let families: [(&str, Vec<Case>); 8] = [
        ("snp, damaged", snp::cases()),
        ("snp, rightly signed", snp_signed::cases()),
        ("tdx, damaged", tdx::cases()),
        ("tdx, rightly signed", tdx_signed::cases()),
        ("tpm", tpm::cases()),
        ("tpm, after an exchange", endorsed::cases()),
        ("documents", document::cases()),
        ("pins", pins::cases()),
    ];
    let mut names = BTreeSet::new();
    for (family, cases) in families {
        println!("{family}: {} cases", cases.len());
        for case in cases {
            case.check();
            assert!(names.insert(format!("{family}: {}", case.name)), "{} stands there twice", case.name);
        }
    }
    println!("{} cases in all", names.len());
    assert!(names.len() >= 150, "{}", names.len());
}
