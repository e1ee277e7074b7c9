//! The parts of RTMR0 that can be computed, against recorded logs of real TDs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

mod common;

use ovmf_measure::boot::boot_profile;
use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::EventLog;
use ovmf_measure::firmware::{TdvfMetadata, TdvfSection, TdvfSectionKind};
use ovmf_measure::tdx::td_hob;

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
