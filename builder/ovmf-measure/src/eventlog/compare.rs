//! The first event of a log that isn't what was predicted, and why that is likely.

use std::fmt;

use serde::Serialize;

use super::kinds::EFI_ACTION;
use super::{EventLog, LogEvent, event_type_name};
use crate::digest::{Digest, to_hex};
use crate::transcript::{Event, Input, Kind, Op, Register, Transcript};

/// Why an event differs, as far as its kind tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// The VM was started with another cmdline (or its initrd argument was added elsewhere).
    OtherCmdline,
    /// Another initrd.
    OtherInitrd,
    /// Another kernel, or the VMM rewrote its setup header.
    OtherKernel,
    /// Another UKI: its stub or any section.
    OtherUki,
    /// Another partition table.
    OtherDisk,
    /// Another firmware build or variable store.
    OtherFirmware,
    /// Another memory size, or a VMM that lays memory out differently.
    OtherMemory,
    /// Other ACPI tables: another QEMU or other devices.
    OtherAcpi,
    /// Other boot entries: another firmware or more disks and network cards.
    OtherBootEntries,
    /// Firmware tried another boot option first; the host decides which devices there are and their order.
    EarlierBootAttempt,
    /// The firmware or VMM measures in another order or other constants: another profile.
    OtherProfile,
    /// The log has events that weren't predicted.
    ExtraEvent,
    /// The log ends before the prediction does.
    MissingEvent,
    /// The log hasn't got the bank that was predicted.
    OtherBank,
}

impl Cause {
    /// A sentence for people.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::OtherCmdline => "the kernel got another command line (or firmware adds `initrd=initrd` elsewhere)",
            Self::OtherInitrd => "the kernel loaded another initrd",
            Self::OtherKernel => "another kernel was booted, or QEMU rewrote its setup header (memory size, profile)",
            Self::OtherUki => "another UKI was booted: its stub or one of its sections differs",
            Self::OtherDisk => "the disk's partition table differs",
            Self::OtherFirmware => "another firmware build, or other variables in its store",
            Self::OtherMemory => "the machine has another memory size, or another VMM laid it out",
            Self::OtherAcpi => "the host offered other ACPI tables: another QEMU, or other devices or vCPUs",
            Self::OtherBootEntries => "firmware made other boot entries: another build, or other disks or network cards",
            Self::EarlierBootAttempt => {
                "firmware tried another boot option first: the host must offer no other bootable device (QEMU \
                 `-nodefaults`, or `bootindex=0` on the disk)"
            }
            Self::OtherProfile => "firmware or VMM don't behave as the profile says",
            Self::ExtraEvent => "something was measured that the prediction doesn't have",
            Self::MissingEvent => "the boot ended, or the log was taken, before everything was measured",
            Self::OtherBank => "the log has no digests of the predicted bank",
        }
    }
}

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The register.
    pub register: Register,
    /// Position among the register's events, from 0.
    pub index: usize,
    /// What was predicted there; `None` if the log goes on where the prediction ends.
    pub expected: Option<Event>,
    /// Type and digest that the log has there; `None` if it ends.
    pub found: Option<Found>,
    /// Likely cause.
    pub cause: Cause,
}

/// What the log has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Name of the event's type.
    pub event_type: String,
    /// Digest in the predicted bank.
    pub digest: Option<Digest>,
    /// The event's data if it is printable text, else its first bytes in hex. Written by the guest: for reading only.
    pub data: String,
    /// Where the event begins in the log, in bytes.
    pub offset: usize,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, event {}: ", self.register, self.index)?;
        match &self.expected {
            Some(event) => write!(f, "expected {} ({})", event.digest, event.source.how)?,
            None => f.write_str("expected no further event")?,
        }
        match &self.found {
            Some(found) => {
                let digest = found.digest.map_or_else(|| "no digest".to_owned(), |digest| digest.to_string());
                write!(f, "; the log has {digest} ({} {:?})", found.event_type, found.data)?;
            }
            None => f.write_str("; the log ends")?,
        }
        write!(f, ". Likely: {}", self.cause.explanation())
    }
}

/// Compares every register that `predicted` mentions with `log`, in the order in which the prediction measures.
/// `None`: the log has exactly the predicted events in these registers. Others aren't looked at.
///
/// A log is written by the guest: that it agrees means nothing until its replay equals a quote's registers.
pub fn first_divergence(predicted: &Transcript, log: &EventLog) -> Option<Divergence> {
    let mut registers: Vec<Register> = Vec::new();
    for event in &predicted.events {
        if !registers.contains(&event.register) {
            registers.push(event.register);
        }
    }
    let mut divergences: Vec<(usize, Divergence)> =
        registers.into_iter().filter_map(|register| diverges(predicted, log, register)).collect();
    // The earliest event of the prediction comes first: what differs later may follow from it.
    divergences.sort_by_key(|(position, _)| *position);
    divergences.into_iter().next().map(|(_, divergence)| divergence)
}

fn diverges(predicted: &Transcript, log: &EventLog, register: Register) -> Option<(usize, Divergence)> {
    let algorithm = predicted.algorithm;
    // `Set` stands for a value that no log has: MRTD, or a register that nothing extends.
    let expected: Vec<(usize, &Event)> =
        predicted.events.iter().enumerate().filter(|(_, event)| event.register == register && event.op == Op::Extend).collect();
    let found: Vec<&LogEvent> = log.events.iter().filter(|e| e.register == register && e.is_measured()).collect();
    for index in 0..expected.len().max(found.len()) {
        let (want, have) = (expected.get(index), found.get(index));
        let digest = have.and_then(|event| event.digest(algorithm));
        if let (Some((_, event)), Some(digest)) = (want, digest)
            && event.accepts(digest.as_bytes())
        {
            continue;
        }
        let cause = match (want, have) {
            (_, Some(_)) if digest.is_none() => Cause::OtherBank,
            (None, _) => Cause::ExtraEvent,
            (Some(_), None) => Cause::MissingEvent,
            (Some((_, event)), Some(have)) => cause(event, have),
        };
        let position = want.map_or(usize::MAX, |(position, _)| *position);
        let found = have.map(|event| describe(event, digest));
        let expected = want.map(|(_, event)| (*event).clone());
        return Some((position, Divergence { register, index, expected, found, cause }));
    }
    None
}

fn cause(expected: &Event, found: &LogEvent) -> Cause {
    if found.event_type == EFI_ACTION && found.data.starts_with(b"Returning from EFI Application") {
        return Cause::EarlierBootAttempt;
    }
    if kind_name(expected.kind) != event_type_name(found.event_type) {
        return Cause::OtherProfile;
    }
    match (expected.kind, expected.source.input) {
        (_, Input::Cmdline) => Cause::OtherCmdline,
        (_, Input::Initrd) => Cause::OtherInitrd,
        (_, Input::Kernel) => Cause::OtherKernel,
        (Kind::Gpt, _) | (_, Input::Disk) => Cause::OtherDisk,
        (_, Input::Uki) => Cause::OtherUki,
        (_, Input::Firmware) => Cause::OtherFirmware,
        (_, Input::Memory) => Cause::OtherMemory,
        (_, Input::Acpi) => Cause::OtherAcpi,
        (Kind::VariableBoot, _) => Cause::OtherBootEntries,
        _ => Cause::OtherProfile,
    }
}

fn kind_name(kind: Kind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn describe(event: &LogEvent, digest: Option<Digest>) -> Found {
    /// Enough to recognise an event by.
    const SHOWN: usize = 64;
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ' || *byte == 0;
    let shown = &event.data[..event.data.len().min(SHOWN)];
    let data = if shown.iter().all(printable) && shown.iter().any(u8::is_ascii_graphic) {
        shown.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
    } else {
        to_hex(shown)
    };
    Found { event_type: event_type_name(event.event_type), digest, data, offset: event.offset }
}
