//! Registers against a pin. Expected values are recomputed from the pin's events here, whatever the pin's `launch` says
//! besides, and fail closed: a register that the pin doesn't speak of refuses, or must never have been extended.

mod cause;
mod snp;
mod tdx;
mod tpm;

pub(super) use snp::snp;
pub(super) use tdx::{IDS as TDX, tdx};
pub(super) use tpm::tpm;

use std::collections::BTreeMap;

use ovmf_measure::digest::Digest;
use ovmf_measure::transcript::{Register, registers};

use super::{Check, Refusal};
use crate::pin::{Pin, Profile};

/// What came of comparing with a pin.
pub(super) struct Found {
    /// The profile that fits, or fits best.
    pub(super) profile: Option<String>,
    /// Checks that the pin asks for, and that therefore must be decided.
    pub(super) decided: Vec<&'static str>,
    /// All of them.
    pub(super) checks: Vec<Check>,
}

/// The check `pin.profile`.
fn profile(holds: bool, expected: String, found: String) -> Check {
    let why = "the machine doesn't run what the pin says, or not on a platform that the pin speaks of";
    Check::judge("pin.profile", Refusal::Measurement, holds, expected, found, why)
}

/// The check `pin.profile`, of a pin that has none for this technology.
fn no_profile(pin: &Pin, tee: &str) -> Check {
    let has: Vec<String> = pin.contents().profiles.iter().map(|p| format!("{} ({})", p.id(), p.tee())).collect();
    let found = if has.is_empty() { "no profile at all".to_owned() } else { has.join(", ") };
    profile(false, format!("a profile for {tee}"), found)
}

/// The registers of a profile, folded from its events. (A pin's events fold, or it would not have been read; if they
/// didn't, the empty map would refuse every register.)
fn folded(profile: &Profile) -> BTreeMap<Register, Vec<Digest>> {
    registers(profile.events()).unwrap_or_default()
}

fn list(values: &[Digest]) -> String {
    match values {
        [] => "nothing: the pin doesn't say".to_owned(),
        list => list.iter().map(Digest::to_string).collect::<Vec<_>>().join(" or "),
    }
}
