//! The parts of RTMR0 that can be computed, against recorded logs of real TDs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests read vectors and ask oracles, and failing loudly is right"
)]

mod common;
#[path = "second/generate.rs"]
#[allow(dead_code, reason = "the second calculation uses the rest")]
mod generate;

use generate::{FirmwareSpec, TdvfEntry};
use ovmf_measure::boot::{Boot, DirectBoot, RtbSeparator, SecureBootVariable, boot_profile};
use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::{EventLog, first_divergence};
use ovmf_measure::firmware::{TdvfMetadata, TdvfSection, TdvfSectionKind};
use ovmf_measure::tdx::{self, AcpiTables, td_hob};
use ovmf_measure::transcript::Register;

fn section(kind: TdvfSectionKind, gpa: u64, memory: u64) -> TdvfSection {
    TdvfSection { offset: 0, size: 0, gpa, memory, kind, extended: false, augmented: false }
}

/// The RAM sections of OVMF 2022.11 to 2025.02, as every such build has them.
fn ovmf() -> TdvfMetadata {
    TdvfMetadata {
        sections: vec![
            section(TdvfSectionKind::TempMem, 0x81_0000, 0x1_0000),
            section(TdvfSectionKind::TempMem, 0x80_b000, 0x2000),
            section(TdvfSectionKind::TdHob, 0x80_9000, 0x2000),
            section(TdvfSectionKind::TempMem, 0x80_0000, 0x6000),
        ],
    }
}

#[test]
fn the_td_hob_is_the_one_that_a_real_td_measured() {
    let test = "the_td_hob_is_the_one_that_a_real_td_measured";
    let Some(bytes) = common::vector(test, "eventlog/CCEL_unpadded.data.bin") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    // That machine had 8 GiB: no other size between 1 and 64 GiB gives the digest.
    let digest = log.events[0].digest(Algorithm::Sha384).unwrap();
    let hit = |gib: &u64| Algorithm::Sha384.hash(&td_hob(&ovmf(), gib << 30).unwrap()) == digest;
    assert_eq!((1..=64u64).filter(hit).collect::<Vec<_>>(), [8]);
}

#[test]
fn boot_variables_are_those_of_real_tds() {
    for name in ["CCEL_unpadded.data.bin", "ccel.bin"] {
        let Some(bytes) = common::vector("boot_variables_are_those_of_real_tds", &format!("eventlog/{name}")) else {
            return;
        };
        let log = EventLog::parse(&bytes).unwrap();
        let recorded = log.events.iter().filter(|event| event.event_type == 0x8000_0002);
        let recorded: Vec<_> = recorded.map(|event| event.digest(Algorithm::Sha384).unwrap()).collect();
        let profile = boot_profile("qemu-ovmf-2025.02").unwrap();
        let ours = profile.boot_vars.unwrap().into_iter().map(|variable| Algorithm::Sha384.hash(&variable.data));
        assert_eq!(ours.collect::<Vec<_>>(), recorded, "{name}");
    }
}

/// The whole of RTMR0 of a recorded TD, predicted: memory ranges, variable store, Secure Boot variables, boot entries. Its
/// firmware isn't at hand, but its variable store is the one that every 4 MiB OVMF without keys begins with.
#[test]
fn rtmr0_is_the_one_that_a_real_td_had() {
    let test = "rtmr0_is_the_one_that_a_real_td_had";
    let Some(bytes) = common::vector(test, "eventlog/CCEL_unpadded.data.bin") else { return };
    let Some(other) = common::mirror_firmware(test, "OVMF.amdsev.fd") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    let firmware = firmware_with(&other[..0x8_4000]);

    // The three ACPI events follow the separator. The host makes them, so they are given.
    let acpi: Vec<_> = log.events.iter().filter(|event| event.event_type == 0xa).collect();
    let [loader, rsdp, tables] = [0, 1, 2].map(|index: usize| acpi[index].digest(Algorithm::Sha384).unwrap());
    let mut profile = boot_profile("qemu-ovmf-2025.02").unwrap();
    profile.secure_boot = SecureBootVariable::Value;
    profile.rtb_separator = RtbSeparator::Rtmr0;
    let mut kernel = generate::minimal_pe(b"another kernel");
    kernel.resize(kernel.len().max(0x1000), 0);
    profile.kernel_hash = ovmf_measure::boot::KernelHash::Raw;
    let request = tdx::Request {
        firmware: &firmware,
        boot: Some(Boot::Direct(DirectBoot { kernel: &kernel, initrd: None, cmdline: "" })),
        profile: &profile,
        memory: Some(8 << 30),
        acpi: Some(AcpiTables { loader, rsdp, tables }),
    };
    let predicted = tdx::measure(&request).unwrap();
    let register = Register::Rtmr(0);
    let recorded = log.replay(Algorithm::Sha384).unwrap()[&register];
    assert_eq!(predicted.registers().unwrap()[&register], [recorded]);

    // What differs is the kernel, which isn't at hand: the comparison must say so, and nothing of RTMR0.
    let divergence = first_divergence(&predicted, &log).unwrap();
    assert_eq!((divergence.register, divergence.index), (Register::Rtmr(1), 0));

    // Without memory or ACPI tables the register is left open, not guessed.
    for request in [tdx::Request { memory: None, ..request }, tdx::Request { acpi: None, ..request }] {
        assert!(!tdx::measure(&request).unwrap().registers().unwrap().contains_key(&register));
    }
}

fn firmware_with(variable_store: &[u8]) -> Vec<u8> {
    let size = variable_store.len();
    let ram = ovmf().sections.into_iter().map(|section| {
        let kind = if section.kind == TdvfSectionKind::TdHob { 2 } else { 3 };
        TdvfEntry { offset: 0, size: 0, gpa: section.gpa, memory: section.memory, kind, attributes: 0 }
    });
    let flash = |offset: usize, size: usize, gpa, kind, attributes| {
        let (offset, size) = (u32::try_from(offset).unwrap(), u32::try_from(size).unwrap());
        TdvfEntry { offset, size, gpa, memory: size.into(), kind, attributes }
    };
    let code = flash(size, 4096, 0xffc8_4000, 0, 1);
    let tdvf = [code, flash(0, size, 0xffc0_0000, 1, 0)].into_iter().chain(ram).collect();
    let mut bytes = FirmwareSpec { pages: size / 4096 + 1, tdvf, ..FirmwareSpec::plain() }.build();
    bytes[..size].copy_from_slice(variable_store);
    bytes
}
