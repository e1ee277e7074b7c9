//! A TPM quote's registers against a pin.
//!
//! A quote has one digest over all the registers that it covers. So the digest is computed anew from the pin's values, and
//! from the event log's only where the pin leaves a register to the platform; it must come out the same.

use std::collections::BTreeMap;

use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::transcript::Register;
use sealstone_evidence::tpm::{PcrValues, pcr_digest};

use super::super::tpm::{bank, reset_value};
use super::{Check, Found, Refusal, cause, folded, list, no_profile, profile};
use crate::evidence::TpmEvidence;
use crate::pin::{Pin, Profile, TpmProfile};

/// One check a register that the pin fixes.
const IDS: [&str; 24] = [
    "pin.pcr0",
    "pin.pcr1",
    "pin.pcr2",
    "pin.pcr3",
    "pin.pcr4",
    "pin.pcr5",
    "pin.pcr6",
    "pin.pcr7",
    "pin.pcr8",
    "pin.pcr9",
    "pin.pcr10",
    "pin.pcr11",
    "pin.pcr12",
    "pin.pcr13",
    "pin.pcr14",
    "pin.pcr15",
    "pin.pcr16",
    "pin.pcr17",
    "pin.pcr18",
    "pin.pcr19",
    "pin.pcr20",
    "pin.pcr21",
    "pin.pcr22",
    "pin.pcr23",
];
/// The quote's digest, computed from the pin.
const DIGEST: &str = "pin.pcr-digest";
/// Registers that the pin doesn't speak of.
const OTHERS: &str = "pin.other-pcrs";

/// So many combinations of alternatives are tried, where no log says which of them the machine has.
const MOST_COMBINATIONS: usize = 4096;

/// Register values by the event log, and whether the quote confirms them.
pub(in crate::verdict) type Replayed<'a> = (&'a PcrValues, bool);

/// `pin.profile`, one check a pinned register, the digest and the others, under the profile that fits best.
pub(in crate::verdict) fn tpm(pin: &Pin, body: &TpmEvidence, log: Option<Replayed<'_>>) -> Found {
    let tried = pin.contents().profiles.iter().filter_map(|profile| match profile {
        Profile::Tpm(tpm) => Some((profile, Comparison::new(profile, tpm, body, log).checks())),
        _ => None,
    });
    let best = tried.min_by_key(|(profile, checks)| {
        let agreeing = body.event_log.as_ref().map_or(0, |log| cause::agreeing(profile, log));
        (checks.iter().filter(|check| check.refused()).count(), std::cmp::Reverse(agreeing))
    });
    let Some((best, checks)) = best else {
        let why = "the pin has no tpm2 profile";
        let refuse = |id| Check::judge(id, Refusal::Measurement, false, list(&[]), "not compared", why);
        let checks = std::iter::once(no_profile(pin, "tpm2")).chain([DIGEST, OTHERS].map(refuse)).collect();
        return Found { profile: None, decided: vec![DIGEST, OTHERS], checks };
    };
    let refused: Vec<&str> = checks.iter().filter(|check| check.refused()).map(|check| check.id).collect();
    let log = body.event_log.as_ref();
    let found = match refused.as_slice() {
        [] => best.id().to_owned(),
        some => format!("nearest is {}, which differs in {}{}", best.id(), some.join(", "), cause::changed(best, log)),
    };
    // Named by the pin rather than by the checks that were made, so that one which wasn't made is missed.
    let Profile::Tpm(fixed) = best else { return Found { profile: None, decided: vec![DIGEST, OTHERS], checks } };
    let ids = fixed.launch.pcrs.keys().filter_map(|pcr| IDS.get(usize::from(pcr.get())).copied());
    let decided = ids.chain([DIGEST, OTHERS]).collect();
    let first = profile(refused.is_empty(), best.id().to_owned(), found);
    Found { profile: Some(best.id().to_owned()), decided, checks: std::iter::once(first).chain(checks).collect() }
}

struct Comparison<'a> {
    profile: &'a Profile,
    tpm: &'a TpmProfile,
    body: &'a TpmEvidence,
    log: Option<Replayed<'a>>,
    bank: Algorithm,
    /// Values of pinned registers, folded from the pin's events.
    pinned: BTreeMap<u8, Vec<Digest>>,
    /// The values that were hashed, and the digest that came of it.
    values: PcrValues,
    digest: Result<Vec<u8>, String>,
}

impl<'a> Comparison<'a> {
    fn new(profile: &'a Profile, tpm: &'a TpmProfile, body: &'a TpmEvidence, log: Option<Replayed<'a>>) -> Self {
        let pinned = folded(profile).into_iter().filter_map(|(register, values)| match register {
            Register::Pcr(number) => Some((number, values)),
            _ => None,
        });
        let (values, digest) = (PcrValues::new(), Err(String::new()));
        let mut comparison = Self { profile, tpm, body, log, bank: tpm.launch.bank, pinned: pinned.collect(), values, digest };
        comparison.search();
        comparison
    }

    fn checks(&self) -> Vec<Check> {
        let pcrs = self.pinned.iter().filter_map(|(number, values)| self.register(*number, values));
        pcrs.chain([self.whole(), self.others()]).collect()
    }

    /// Registers of the pinned bank that the quote covers.
    fn covered(&self) -> impl Iterator<Item = u8> + '_ {
        let id = self.bank.tpm_id();
        self.body.attest.selections.iter().filter(move |s| s.bank == id).flat_map(|s| s.registers.iter().copied())
    }

    fn logged(&self, number: u8) -> Option<Digest> {
        let (values, _) = self.log?;
        Digest::from_bytes(values.get(&(bank(self.bank), number))?).ok()
    }

    /// Looks for a choice among the pin's values that gives the quote's digest. The first is kept if none does.
    fn search(&mut self) {
        let mut base = self.log.map(|(values, _)| values.clone()).unwrap_or_default();
        let listed = |number: u8| self.tpm.launch.unpinned.contains(&number);
        for number in self.covered().filter(|number| !listed(*number)).collect::<Vec<_>>() {
            base.insert((bank(self.bank), number), reset_value(number, self.bank));
        }
        // Where the log has one of the pin's values, that is the one to try: it is the pin's all the same.
        let choices: Vec<(u8, Vec<Digest>)> = self
            .pinned
            .iter()
            .map(|(number, values)| match self.logged(*number).filter(|value| values.contains(value)) {
                Some(value) => (*number, vec![value]),
                None => (*number, values.clone()),
            })
            .collect();
        let combinations = choices.iter().try_fold(1_usize, |all, (_, values)| all.checked_mul(values.len()));
        let tried = combinations.unwrap_or(usize::MAX).clamp(1, MOST_COMBINATIONS);
        for combination in 0..tried {
            let (mut values, mut rest) = (base.clone(), combination);
            for (number, list) in &choices {
                let Some(value) = list.get(rest.checked_rem(list.len()).unwrap_or(0)) else { continue };
                rest = rest.checked_div(list.len()).unwrap_or(0);
                values.insert((bank(self.bank), *number), value.as_bytes().to_vec());
            }
            let digest = pcr_digest(&self.body.attest, &self.body.signature, &values);
            let hit = digest.as_ref().is_ok_and(|digest| *digest == self.body.attest.pcr_digest);
            if combination == 0 || hit {
                (self.values, self.digest) = (values, digest);
            }
            if hit {
                break;
            }
        }
    }

    fn holds(&self) -> bool {
        self.digest.as_ref().is_ok_and(|digest| *digest == self.body.attest.pcr_digest)
    }

    fn register(&self, number: u8, values: &[Digest]) -> Option<Check> {
        let id = IDS.get(usize::from(number))?;
        let covered = self.covered().any(|other| other == number);
        let (holds, found) = match (covered, self.holds(), self.logged(number), self.log) {
            (false, ..) => (false, "not covered by the quote".to_owned()),
            // The quote's digest is that of the pin's values.
            (true, true, ..) => match self.values.get(&(bank(self.bank), number)) {
                Some(value) => (true, data_encoding::HEXLOWER.encode(value)),
                None => (false, "not known".to_owned()),
            },
            (true, false, Some(value), Some((_, true))) => (values.contains(&value), value.to_string()),
            (true, false, Some(value), _) => (false, format!("not known; the log, which isn't the quote's, says {value}")),
            (true, false, None, _) => (false, "not known: there is no event log".to_owned()),
        };
        let why = if holds {
            String::new()
        } else {
            cause::of_register(self.profile, Register::Pcr(number), self.body.event_log.as_ref())
        };
        Some(Check::judge(id, Refusal::Measurement, holds, list(values), found, why))
    }

    fn whole(&self) -> Check {
        let expected = match &self.digest {
            Ok(digest) => data_encoding::HEXLOWER.encode(digest),
            Err(problem) => format!("not known: the quote covers {problem} and which the pin leaves to the platform"),
        };
        let found = data_encoding::HEXLOWER.encode(&self.body.attest.pcr_digest);
        let why = "with the pin's values, and the log's where the pin leaves a register to the platform, the digest is another";
        Check::judge(DIGEST, Refusal::Measurement, self.holds(), expected, found, why)
    }

    /// A register that is neither pinned nor left to the platform must never have been extended.
    fn others(&self) -> Check {
        let spoken_of = |number: &u8| self.pinned.contains_key(number) || self.tpm.launch.unpinned.contains(number);
        let others: Vec<u8> = self.covered().filter(|number| !spoken_of(number)).collect();
        let names = others.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let expected = format!("registers that the pin doesn't speak of ({names}) as after a reset");
        let confirmed = self.log.is_some_and(|(_, confirmed)| confirmed);
        let reset = |number: u8| self.logged(number).is_some_and(|value| value.as_bytes() == reset_value(number, self.bank));
        let changed: Vec<String> = others.iter().filter(|number| !reset(**number)).map(u8::to_string).collect();
        let (holds, found) = match (self.holds(), confirmed) {
            (true, _) => (true, "as after a reset".to_owned()),
            (false, true) if changed.is_empty() => (true, "as after a reset".to_owned()),
            (false, true) => (false, format!("extended: {}", changed.join(", "))),
            (false, false) => (false, "not known: there is no event log that the quote confirms".to_owned()),
        };
        Check::judge(OTHERS, Refusal::Measurement, holds, expected, found, "something was measured that the pin doesn't know")
    }
}
