//! What a pin covers: which file goes into which register. And what it doesn't: registers left open, and what the host may
//! choose without any register showing it.

use std::collections::{BTreeMap, BTreeSet};

use ovmf_measure::transcript::{ControlledBy, Event, Input, Kind, Register};
use sealstone_release::pin::{Boot, Firmware, KernelHeader, Profile};

use super::terms;

/// File or setting → the registers that it goes into.
pub(crate) fn measured(profile: &Profile) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, BTreeSet<Register>> = BTreeMap::new();
    for event in profile.events() {
        for name in inputs(profile, event) {
            all.entry(name).or_default().insert(event.register);
        }
    }
    all.into_iter().map(|(name, registers)| (name, registers.iter().map(ToString::to_string).collect())).collect()
}

/// The files and settings that an event's digest is a function of.
fn inputs(profile: &Profile, event: &Event) -> Vec<String> {
    let files: &[&str] = match (event.kind, event.source.input) {
        // One page holds the hashes of all three.
        (Kind::KernelHashes, _) => &["vmlinuz", "initrd", "cmdline"],
        // QEMU writes the initrd's address and size into the header of the kernel that is measured.
        (_, Input::Kernel) if headers(profile).contains(&KernelHeader::Patched) => &["vmlinuz", "size of initrd", "memory"],
        (_, Input::Kernel) => &["vmlinuz"],
        (_, Input::Initrd) => &["initrd"],
        (_, Input::Cmdline) => &["cmdline"],
        (_, Input::Uki) => &["uki.efi"],
        (_, Input::Disk) => &["disk.raw (partition table)"],
        (_, Input::VcpuType) => &["CPU model, vCPUs"],
        (_, Input::Memory) => &["memory"],
        (_, Input::Acpi) => &["ACPI tables"],
        (_, Input::Firmware) => return vec![firmware_name(profile)],
        _ => &[],
    };
    files.iter().map(ToString::to_string).collect()
}

/// The kernel headers that the profile accepts.
fn headers(profile: &Profile) -> &[KernelHeader] {
    match profile {
        Profile::Tdx(profile) => &profile.params.kernel_header,
        Profile::Tpm(profile) => &profile.params.kernel_header,
        _ => &[],
    }
}

/// The firmware's file name.
pub(crate) fn firmware_name(profile: &Profile) -> String {
    match profile {
        Profile::Snp(profile) => profile.firmware.name.clone(),
        Profile::Tdx(profile) => profile.firmware.name.clone(),
        Profile::Tpm(profile) => match &profile.firmware {
            Firmware::File(file) => file.name.clone(),
            Firmware::Packaged(file) => file.name.clone(),
        },
        _ => "firmware".into(),
    }
}

/// Sentences, each about something that may change although every pinned register stays the same.
pub(crate) fn not_covered(profile: &Profile) -> Vec<String> {
    let mut all = match profile {
        Profile::Snp(_) => vec![
            "The launch digest ends before the first instruction runs. Memory size, devices, disks, network and ACPI tables are \
             the host's and are not measured."
                .to_owned(),
            "The number of vCPUs is the host's choice: every number has a launch digest of its own that follows from this pin, \
             and a verifier accepts any of them unless its policy says otherwise."
                .into(),
            "Guest policy (debugging, migration), firmware versions of the processor and its identity stand elsewhere in the \
             report; `sealstone verify` checks them."
                .into(),
        ],
        Profile::Tdx(tdx) => {
            let launch = &tdx.launch;
            let registers = [&launch.rtmr0, &launch.rtmr1, &launch.rtmr2, &launch.rtmr3];
            let mut all: Vec<String> = (0u8..)
                .zip(registers)
                .filter(|(_, values)| values.is_none())
                .map(|(number, _)| format!("RTMR{number} is left open: {}.", open_rtmr(number)))
                .collect();
            all.push("Memory size and number of vCPUs are the host's choice; MRTD does not depend on them.".into());
            all.push("Attributes of the TD (debugging) and the TDX module's version stand elsewhere in the quote; `sealstone verify` checks them.".into());
            all
        }
        Profile::Tpm(tpm) => {
            let pinned: Vec<u8> = tpm.launch.pcrs.keys().map(|pcr| pcr.get()).collect();
            let mut all: Vec<String> =
                tpm.launch.unpinned.iter().map(|pcr| format!("PCR {pcr} is left open: {}.", open_pcr(*pcr))).collect();
            let neither: Vec<String> = (0..24)
                .filter(|pcr| !pinned.contains(pcr) && !tpm.launch.unpinned.contains(pcr))
                .map(|pcr| pcr.to_string())
                .collect();
            all.push(format!(
                "PCRs {} are neither pinned nor left open: a quote that selects one is refused.",
                neither.join(", ")
            ));
            all.push("A TPM says what was booted, not who watches: memory is only protected from the host together with SEV-SNP or TDX.".into());
            all
        }
        _ => vec!["This version does not know this technology.".into()],
    };
    all.extend(not_measured(profile));
    all.extend(by_host(profile));
    all
}

/// Files of the output folder that this way of booting doesn't use.
fn not_measured(profile: &Profile) -> Vec<String> {
    let boot = match profile {
        Profile::Tdx(tdx) => tdx.params.boot,
        Profile::Tpm(tpm) => tpm.params.boot,
        _ => Boot::Direct,
    };
    let mut all = vec![match boot {
        Boot::Direct => "uki.efi and disk.raw play no part in a direct boot.".to_owned(),
        Boot::Disk => {
            "Of disk.raw the partition table and the UKI are measured; free space and the file system around the UKI are not."
                .into()
        }
    }];
    all.push("Model packs are not in any register here: the image checks each against its verity root before it is used.".into());
    all
}

fn by_host(profile: &Profile) -> Vec<String> {
    let host = profile.events().iter().filter(|event| event.controlled_by == ControlledBy::Host);
    host.map(|event| {
        format!("The host decides an event of {}: {} ({}).", event.register, terms::kind(event.kind), event.source.how)
    })
    .collect()
}

fn open_rtmr(number: u8) -> &'static str {
    match number {
        0 => "memory layout, Secure Boot variables, ACPI tables and boot entries, most of which the host decides",
        1 => "what firmware starts",
        2 => "what the kernel is given",
        _ => "the application's own",
    }
}

fn open_pcr(number: u8) -> &'static str {
    match number {
        0 => "the platform's firmware",
        1 => "the platform's settings, ACPI tables and boot entries, most of which the host decides",
        2 => "option ROMs, which devices bring along",
        3 => "option ROMs' settings",
        6 => "the platform vendor's own",
        7 => "Secure Boot keys and policy; this image does not depend on Secure Boot",
        10 => "the kernel's integrity measurement, which this image does not use",
        14 => "the loader shim's keys, which this image does not use",
        _ => "the operating system's",
    }
}
