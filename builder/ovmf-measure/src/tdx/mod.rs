//! TDX measurement registers: MRTD at build time, RTMR0 to RTMR3 at run time (Intel TDX Module 1.5 base architecture,
//! chapter 12; Intel TDX Virtual Firmware Design Guide, chapter 8; EDK2 `OvmfPkg/Tcg/TdTcg2Dxe`).

mod hob;
mod mrtd;
mod rtmr0;

pub use hob::td_hob;
pub use mrtd::mrtd;

use crate::boot::{Boot, BootError, BootProfile, RtbSeparator, Step, constant, steps};
use crate::digest::{Algorithm, Digest};
use crate::firmware::{Firmware, FirmwareError};
use crate::transcript::{ControlledBy, Event, Input, Kind, Op, Register, Transcript};

/// What is launched.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The firmware file, whole (code and variable store).
    pub firmware: &'a [u8],
    /// What is booted; without it only MRTD (and RTMR0) are predicted.
    pub boot: Option<Boot<'a>>,
    /// How VMM and firmware behave.
    pub profile: &'a BootProfile,
    /// The VM's RAM in bytes. RTMR0 needs it.
    pub memory: Option<u64>,
    /// The ACPI tables that the VMM offers. RTMR0 needs them where the profile says that they are measured.
    pub acpi: Option<AcpiTables>,
}

/// SHA-384 of the three fw_cfg files with ACPI tables. They depend on QEMU's version and every device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcpiTables {
    /// `etc/table-loader`.
    pub loader: Digest,
    /// `etc/acpi/rsdp`.
    pub rsdp: Digest,
    /// `etc/acpi/tables`.
    pub tables: Digest,
}

/// Predicts MRTD, RTMR1 to RTMR3, and RTMR0 where memory (and ACPI tables) are given. A register that the transcript
/// doesn't mention isn't predicted.
pub fn measure(request: &Request<'_>) -> Result<Transcript, TdxError> {
    let firmware = Firmware::parse(request.firmware)?;
    let mut events = vec![mrtd_event(&firmware, request.profile)?];
    let steps = match &request.boot {
        Some(_) if !request.profile.rtmrs => return Err(TdxError::NoRtmrs(request.profile.id.clone())),
        Some(boot) => steps(boot, Algorithm::Sha384, request.profile, request.memory)?,
        None => Vec::new(),
    };
    let rtmr0 = rtmr0::events(&firmware, request)?;
    let open = rtmr0.is_empty();
    events.extend(rtmr0);
    if request.boot.is_some() {
        events.extend(run_time(steps, request.profile));
        // A partition table that isn't known leaves a hole in RTMR1.
        if matches!(request.boot, Some(Boot::Uki(_))) {
            events.retain(|event| event.register != Register::Rtmr(1));
        }
        let how = "left to the application, which doesn't use it";
        events.push(Event::untouched(Register::Rtmr(3), Algorithm::Sha384, how));
    }
    if open {
        events.retain(|event| event.register != Register::Rtmr(0));
    }
    Ok(Transcript { algorithm: Algorithm::Sha384, events })
}

fn mrtd_event(firmware: &Firmware<'_>, profile: &BootProfile) -> Result<Event, TdxError> {
    let digest = mrtd(firmware, profile.page_order)?;
    let how = "SHA-384 over every page that the VMM adds and every 256 bytes that it extends, by the TDVF metadata";
    let event = Event::extend(Register::Mrtd, Kind::TdBuild, digest, Input::Firmware, ControlledBy::Firmware, how);
    Ok(Event { op: Op::Set, ..event.sized(firmware.bytes()) })
}

/// PCRs become RTMRs (UEFI 2.10, section 38.4.1). What only a TPM gets (the UKI stub's PCR 11) is left out: the stubs that
/// have a profile measure into a TPM alone.
fn run_time(steps: Vec<Step>, profile: &BootProfile) -> Vec<Event> {
    let mut events = Vec::new();
    for step in steps {
        match step {
            Step::Measured(event) => events.extend(rtmr_event(event)),
            Step::ReadyToBoot => events.extend(ready_to_boot(profile)),
        }
    }
    events
}

fn rtmr_event(event: Event) -> Option<Event> {
    let rtmr = match (event.register, event.kind) {
        (Register::Pcr(11..), _) => return None,
        (Register::Pcr(1 | 7), _) => 0,
        (Register::Pcr(2..=6), _) => 1,
        (Register::Pcr(8..=10), _) => 2,
        _ => return None,
    };
    Some(Event { register: Register::Rtmr(rtmr), ..event })
}

fn ready_to_boot(profile: &BootProfile) -> [Event; 2] {
    let sha384 = Algorithm::Sha384;
    let action = "Calling EFI Application from Boot Option";
    let separator = match profile.rtb_separator {
        RtbSeparator::Rtmr0 => Register::Rtmr(0),
        RtbSeparator::Rtmr1 => Register::Rtmr(1),
    };
    [
        constant(Register::Rtmr(1), sha384, Kind::EfiAction, action.as_bytes(), &format!("the text {action:?}")),
        constant(separator, sha384, Kind::Separator, &[0; 4], "four zero bytes: pre-boot is over"),
    ]
}

/// Why a TD's registers can't be predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TdxError {
    /// The firmware file is unusable for TDX; the cause says in what way.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The boot is refused.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The profile's firmware extends no RTMRs, so nothing would bind what is booted.
    #[error(
        "profile {0:?}: its firmware extends no RTMRs, so a quote says nothing about kernel, initrd and cmdline; \
             use OVMF 2024.05 or later, or measure without a boot for MRTD alone"
    )]
    NoRtmrs(String),
    /// Memory that QEMU couldn't give a TD.
    #[error("memory of {0} bytes: give a multiple of 1 MiB that holds the firmware's sections, at most 16 TiB")]
    Memory(u64),
    /// A TDVF section lies outside RAM, or the TD HOB doesn't fit.
    #[error("firmware's TDVF sections don't fit the machine's memory: {0}")]
    Layout(&'static str),
}
