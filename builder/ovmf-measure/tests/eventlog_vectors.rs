//! Event logs of real machines: each parses, and replays to the registers of the quote that was made with it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests read vectors and ask oracles, and failing loudly is right"
)]

mod common;

use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::{EventLog, Flavour, LogError};
use ovmf_measure::transcript::Register;

const CC_LOGS: [&str; 4] =
    ["CCEL_unpadded.data.bin", "ccel.bin", "ccel_data.dat", "cos-113-intel-tdx-dupe-separator-unpadded.bin"];
const TCG_LOGS: [&str; 3] = ["cos-101-amd-sev.bin", "rhel8-uefi.bin", "ubuntu-2104-no-secure-boot.bin"];

/// TDX quote version 4: header of 48 bytes, then the TD report with RTMR0 at 328, 48 bytes each.
const QUOTE_RTMR0: usize = 48 + 328;
const QUOTE_MRTD: usize = 48 + 136;

#[test]
fn the_log_replays_to_the_quotes_registers() {
    let test = "the_log_replays_to_the_quotes_registers";
    let Some(log) = common::vector(test, "eventlog/ccel_data.dat") else { return };
    let quote = common::vector(test, "eventlog/cos-113-tdx-quote.dat").unwrap();
    let registers = EventLog::parse(&log).unwrap().replay(Algorithm::Sha384).unwrap();
    // RTMR3 as well: no event names it, and the quote has it as zero.
    for number in 0..4u8 {
        let start = QUOTE_RTMR0 + 48 * usize::from(number);
        let quoted = &quote[start..start + 48];
        assert_eq!(registers[&Register::Rtmr(number)].as_bytes(), quoted, "rtmr{number}");
    }
    assert_ne!(quote[QUOTE_MRTD..QUOTE_MRTD + 48], [0; 48], "the offsets are those of a TD report");
}

#[test]
fn every_log_parses_and_replays() {
    for name in CC_LOGS.into_iter().chain(TCG_LOGS) {
        let Some(bytes) = common::vector("every_log_parses_and_replays", &format!("eventlog/{name}")) else { return };
        let log = EventLog::parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let cc = CC_LOGS.contains(&name);
        assert_eq!(log.flavour, if cc { Flavour::Cc } else { Flavour::Tcg }, "{name}");
        assert!(log.events.len() > 10, "{name}");
        assert!(!log.algorithms().is_empty(), "{name}");
        for algorithm in log.algorithms() {
            let registers = log.replay(algorithm).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(registers.len() >= if cc { 4 } else { 24 }, "{name}: {}", registers.len());
        }
    }
}

/// For these types the data *is* what was hashed, so the digest can be told from the log itself.
#[test]
fn digests_of_self_describing_events_are_those_of_their_data() {
    let test = "digests_of_self_describing_events_are_those_of_their_data";
    let mut checked = 0;
    for name in CC_LOGS.into_iter().chain(TCG_LOGS) {
        let Some(bytes) = common::vector(test, &format!("eventlog/{name}")) else { return };
        let log = EventLog::parse(&bytes).unwrap();
        for event in &log.events {
            // EV_SEPARATOR, EV_EFI_ACTION, EV_EFI_GPT_EVENT, EV_EFI_VARIABLE_DRIVER_CONFIG.
            if !matches!(event.event_type, 4 | 0x8000_0007 | 0x8000_0006 | 0x8000_0001) {
                continue;
            }
            for algorithm in log.algorithms() {
                let expected = algorithm.hash(&event.data);
                assert_eq!(event.digest(algorithm), Some(expected), "{name}, byte {}", event.offset);
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn a_hole_and_a_cut_are_refused() {
    let Some(bytes) = common::vector("a_hole_and_a_cut_are_refused", "eventlog/ccel.bin") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    let (first, second) = (log.events[5].offset, log.events[6].offset);
    for fill in [0, 0xff] {
        let mut hole = bytes.clone();
        hole[first..second].fill(fill);
        assert_eq!(EventLog::parse(&hole), Err(LogError::Hole { offset: first }));
    }
    let cut = &bytes[..second - 1];
    assert_eq!(EventLog::parse(cut), Err(LogError::Truncated { offset: first }));
}
