//! TPM PCRs of a boot with OVMF (TCG PC Client Platform Firmware Profile 1.06; EDK2 `SecurityPkg/Tcg/Tcg2Dxe`).
//!
//! PCRs 0 to 3, 6 and 7 are the platform's: its firmware, option ROMs and Secure Boot keys. They aren't predicted, and
//! the transcript doesn't mention them.

use crate::boot::{Boot, BootError, BootProfile, Step, constant, steps};
use crate::digest::Algorithm;
use crate::transcript::{Event, Kind, Register, Transcript};

/// The PCRs that a direct boot determines.
const DIRECT: [u8; 6] = [4, 5, 8, 9, 11, 12];
/// The PCRs that a UKI determines without the disk that it is on.
const UKI_ALONE: [u8; 5] = [4, 8, 9, 11, 12];

/// What boots, where, and into which bank.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is booted.
    pub boot: Boot<'a>,
    /// The bank.
    pub bank: Algorithm,
    /// How VMM and firmware behave.
    pub profile: &'a BootProfile,
    /// The VM's RAM in bytes, if known; it matters for direct boots below 2.75 GiB only.
    pub memory: Option<u64>,
}

/// Predicts PCRs 4, 5, 8, 9, 11 and 12 (without 5 for a UKI whose disk isn't given).
pub fn measure(request: &Request<'_>) -> Result<Transcript, BootError> {
    let predicted: &[u8] = match request.boot {
        Boot::Uki(_) => &UKI_ALONE,
        Boot::Direct(_) | Boot::Disk(_) => &DIRECT,
    };
    let mut events = Vec::new();
    for step in steps(&request.boot, request.bank, request.profile, request.memory)? {
        match step {
            Step::Measured(event) => events.push(event),
            Step::ReadyToBoot => events.extend(ready_to_boot(request.bank)),
        }
    }
    events.retain(|event| matches!(event.register, Register::Pcr(n) if predicted.contains(&n)));
    for pcr in predicted.iter().copied().map(Register::Pcr) {
        if !events.iter().any(|event| event.register == pcr) {
            events.push(Event::untouched(pcr, request.bank, "nothing in this boot measures into it"));
        }
    }
    Ok(Transcript { algorithm: request.bank, events })
}

/// What firmware measures right before the first boot attempt, as far as PCRs 4 and 5 are concerned.
fn ready_to_boot(bank: Algorithm) -> [Event; 3] {
    let action = "Calling EFI Application from Boot Option";
    let how = "four zero bytes: pre-boot is over";
    [
        constant(Register::Pcr(4), bank, Kind::EfiAction, action.as_bytes(), &format!("the text {action:?}")),
        constant(Register::Pcr(4), bank, Kind::Separator, &[0; 4], how),
        constant(Register::Pcr(5), bank, Kind::Separator, &[0; 4], how),
    ]
}
