//! A TD's registers against a pin.

use ovmf_measure::digest::Digest;
use ovmf_measure::eventlog::EventLog;
use ovmf_measure::transcript::Register;
use sealstone_evidence::tdx::TdBody;

use super::{Check, Found, Refusal, cause, folded, list, no_profile, profile};
use crate::pin::{Pin, Profile, TdxProfile};

/// One check a register.
pub(in crate::verdict) const IDS: [&str; 5] = ["pin.mrtd", "pin.rtmr0", "pin.rtmr1", "pin.rtmr2", "pin.rtmr3"];
const REGISTERS: [Register; 5] = [Register::Mrtd, Register::Rtmr(0), Register::Rtmr(1), Register::Rtmr(2), Register::Rtmr(3)];

/// `pin.profile` and one check a register, under the profile that fits best.
pub(in crate::verdict) fn tdx(pin: &Pin, body: &TdBody, log: Option<&EventLog>) -> Found {
    let tried = pin.contents().profiles.iter().filter_map(|profile| match profile {
        Profile::Tdx(tdx) => Some((profile, compare(profile, tdx, body, log))),
        _ => None,
    });
    let best = tried.min_by_key(|(_, checks)| checks.iter().filter(|check| check.refused()).count());
    let Some((best, checks)) = best else {
        let refuse = |id| Check::judge(id, Refusal::Measurement, false, list(&[]), "not compared", "the pin has no tdx profile");
        let checks = std::iter::once(no_profile(pin, "tdx")).chain(IDS.map(refuse)).collect();
        return Found { profile: None, decided: IDS.to_vec(), checks };
    };
    let refused: Vec<&str> = checks.iter().filter(|check| check.refused()).map(|check| check.id).collect();
    let found = match refused.as_slice() {
        [] => best.id().to_owned(),
        some => format!("nearest is {}, which differs in {}{}", best.id(), some.join(", "), cause::changed(best, log)),
    };
    // Named by the pin rather than by the checks that were made, so that one which wasn't made is missed.
    let Profile::Tdx(fixed) = best else { return Found { profile: None, decided: IDS.to_vec(), checks } };
    let decided = IDS.into_iter().zip(open(fixed)).filter(|(_, is_open)| !is_open).map(|(id, _)| id).collect();
    let first = profile(refused.is_empty(), best.id().to_owned(), found);
    Found { profile: Some(best.id().to_owned()), decided, checks: std::iter::once(first).chain(checks).collect() }
}

/// `null` in the pin, and only that, leaves a register open.
fn open(profile: &TdxProfile) -> [bool; 5] {
    let launch = &profile.launch;
    [false, launch.rtmr0.is_none(), launch.rtmr1.is_none(), launch.rtmr2.is_none(), launch.rtmr3.is_none()]
}

fn compare(profile: &Profile, tdx: &TdxProfile, body: &TdBody, log: Option<&EventLog>) -> Vec<Check> {
    let found = [body.mr_td, body.rtmr[0], body.rtmr[1], body.rtmr[2], body.rtmr[3]].map(Digest::Sha384);
    let expected = folded(profile);
    let mut checks = Vec::new();
    for (((id, register), is_open), found) in IDS.into_iter().zip(REGISTERS).zip(open(tdx)).zip(found) {
        let values = expected.get(&register).map_or(&[][..], Vec::as_slice);
        if is_open && values.is_empty() {
            checks.push(Check::not_asked(
                id,
                format!("{found}: the pin leaves it open"),
                "the host's and firmware's, not the image's",
            ));
            continue;
        }
        let holds = values.contains(&found);
        let why = if holds { String::new() } else { cause::of_register(profile, register, log) };
        checks.push(Check::judge(id, Refusal::Measurement, holds, list(values), found.to_string(), why));
    }
    checks
}
