//! Why a register isn't what the pin says, as far as the machine's event log tells. The log is the machine's word: it
//! explains a refusal and never takes one back.

use std::collections::BTreeSet;

use ovmf_measure::eventlog::{EventLog, first_divergence};
use ovmf_measure::transcript::{Event, Input, Op, Register, Transcript};

use crate::pin::Profile;

/// The first event of `register` that differs from the prediction, and its likely cause; without a log, what usually does it.
pub(super) fn of_register(profile: &Profile, register: Register, log: Option<&EventLog>) -> String {
    let events: Vec<Event> = profile.events().iter().filter(|event| event.register == register).cloned().collect();
    let transcript = Transcript { algorithm: profile.algorithm(), events };
    match log.map(|log| first_divergence(&transcript, log)) {
        Some(Some(divergence)) => divergence.to_string(),
        Some(None) => "the event log says what the pin says, but the register doesn't: the log isn't this boot's".to_owned(),
        None => format!("without an event log: likely {}", usual(register)),
    }
}

/// `; changed: initrd, command line; first difference: …`, or nothing.
pub(super) fn changed(profile: &Profile, log: Option<&EventLog>) -> String {
    let Some(log) = log else { return String::new() };
    let transcript = Transcript { algorithm: profile.algorithm(), events: profile.events().to_vec() };
    let Some(first) = first_divergence(&transcript, log) else { return String::new() };
    let files = files(&transcript, log);
    let files: Vec<&str> = files.into_iter().collect();
    let named = if files.is_empty() { String::new() } else { format!("; changed: {}", files.join(", ")) };
    format!("{named}; first difference: {first}")
}

/// How many predicted events the log has in their places: of two profiles that differ, the better guess has more.
pub(super) fn agreeing(profile: &Profile, log: &EventLog) -> usize {
    let transcript = Transcript { algorithm: profile.algorithm(), events: profile.events().to_vec() };
    pairs(&transcript, log).filter(|(_, agrees)| *agrees).count()
}

/// The files that differing events are digests of. A UKI differs whenever something in it does, so it is named only if no
/// section is.
fn files(transcript: &Transcript, log: &EventLog) -> BTreeSet<&'static str> {
    let differing = pairs(transcript, log).filter(|(_, agrees)| !agrees);
    let mut files: BTreeSet<&'static str> = differing.filter_map(|(event, _)| file(event)).collect();
    if files.len() > 1 {
        files.remove("uki.efi");
    }
    files
}

/// Every predicted event with whether the log has the same in its place.
fn pairs<'a>(transcript: &'a Transcript, log: &'a EventLog) -> impl Iterator<Item = (&'a Event, bool)> {
    let registers: BTreeSet<Register> = transcript.events.iter().map(|event| event.register).collect();
    registers.into_iter().flat_map(move |register| {
        let expected = transcript.of(register).filter(|event| event.op == Op::Extend);
        let found = log.events.iter().filter(move |event| event.register == register && event.is_measured());
        let algorithm = transcript.algorithm;
        expected.zip(found).map(move |(expected, found)| {
            (expected, found.digest(algorithm).is_some_and(|digest| expected.accepts(digest.as_bytes())))
        })
    })
}

/// The file of the output folder that an event is a digest of. A UKI's events name the section in their source.
fn file(event: &Event) -> Option<&'static str> {
    let how = event.source.how.as_str();
    match event.source.input {
        Input::Kernel => Some("vmlinuz"),
        Input::Initrd => Some("initrd"),
        Input::Cmdline => Some("cmdline"),
        Input::Disk => Some("disk.raw"),
        Input::Uki if how.contains(".linux") => Some("vmlinuz"),
        Input::Uki if how.contains(".initrd") => Some("initrd"),
        Input::Uki if how.contains(".cmdline") => Some("cmdline"),
        Input::Uki => Some("uki.efi"),
        Input::Firmware => Some("firmware"),
        _ => None,
    }
}

fn usual(register: Register) -> &'static str {
    match register {
        Register::Launch => "another firmware, kernel, initrd or command line",
        Register::Mrtd => "another firmware, or a host whose KVM builds a TD in another order (page_order)",
        Register::Rtmr(0) => "another memory size, other ACPI tables or devices",
        Register::Rtmr(1) | Register::Pcr(4) => {
            "another kernel or UKI, or QEMU rewrote the kernel's header for another memory size"
        }
        Register::Pcr(5) => "another partition table",
        Register::Rtmr(2) | Register::Pcr(9) => "another command line or initrd",
        Register::Pcr(11) => "another section of the UKI",
        _ => "something was measured that the pin doesn't know",
    }
}
