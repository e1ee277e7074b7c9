//! Event logs: TCG 2.0 "crypto agile" (TPM) and confidential computing (TDX, ACPI table CCEL). Both have the same binary
//! form; they differ in what their register numbers mean (TCG PC Client Platform Firmware Profile 1.06, chapter 10; UEFI
//! 2.10, section 38.4).

mod compare;
mod kinds;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::{Cause, Divergence, first_divergence};
pub use kinds::event_type_name;

use crate::digest::{Algorithm, Digest};
use crate::transcript::Register;

/// What the log's register numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// PCR numbers.
    Tcg,
    /// 0 is MRTD, 1 to 4 are RTMR0 to RTMR3.
    Cc,
}

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// The register.
    pub register: Register,
    /// Type, numeric; see [`event_type_name`].
    pub event_type: u32,
    /// Digests by TPM algorithm id, in log order.
    pub digests: Vec<(u16, Vec<u8>)>,
    /// The event's data. Firmware writes it to explain the digest; only for some types is it what was hashed.
    pub data: Vec<u8>,
    /// Where the event begins in the log, in bytes.
    pub offset: usize,
}

impl LogEvent {
    /// The digest in `algorithm`'s bank.
    pub fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        let (_, bytes) = self.digests.iter().find(|(id, _)| *id == algorithm.tpm_id())?;
        Digest::from_bytes(bytes).ok()
    }

    /// Whether the event goes into its register; EV_NO_ACTION only informs.
    pub fn is_measured(&self) -> bool {
        self.event_type != kinds::NO_ACTION
    }
}

/// A log that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    /// What kind of log it is.
    pub flavour: Flavour,
    /// The banks that the header declares, by TPM algorithm id and digest length.
    pub banks: Vec<(u16, u16)>,
    /// The events after the header.
    pub events: Vec<LogEvent>,
}

impl EventLog {
    /// Reads a log. What follows the last event must be padding, so that a log with a hole isn't taken for a short one.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        parse::parse(bytes)
    }

    /// The banks that [`EventLog::replay`] can compute.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let known = [Algorithm::Sha384, Algorithm::Sha256];
        known.into_iter().filter(|a| self.banks.iter().any(|(id, _)| *id == a.tpm_id())).collect()
    }

    /// Every register of the log's kind, as the fold of its events in one bank. One that no event names holds its reset
    /// value: a register left out can't be told from one that must be zero. (MRTD is there only if the log names it: it is
    /// measured while the TD is built, and its reset value says nothing.)
    ///
    /// # Errors
    /// [`LogError::NoBank`], [`LogError::MissingDigest`] or [`LogError::LateStartupLocality`].
    pub fn replay(&self, algorithm: Algorithm) -> Result<BTreeMap<Register, Digest>, LogError> {
        if !self.algorithms().contains(&algorithm) {
            return Err(LogError::NoBank(algorithm));
        }
        let mut registers = reset_values(self.flavour, algorithm);
        let mut extended = BTreeSet::new();
        for event in &self.events {
            if let Some(start) = startup_value(event, algorithm) {
                if extended.contains(&event.register) {
                    return Err(LogError::LateStartupLocality { offset: event.offset });
                }
                registers.insert(event.register, start);
                extended.insert(event.register);
            }
            if event.is_measured() {
                let digest = event.digest(algorithm).ok_or(LogError::MissingDigest { offset: event.offset })?;
                let value = registers.entry(event.register).or_insert(algorithm.zero());
                *value = value.extend(&digest);
                extended.insert(event.register);
            }
        }
        Ok(registers)
    }
}

/// What registers hold before their first event: zeros, but ones in the PCRs 17 to 22 of a dynamic root of trust that was
/// not used (PC Client Platform TPM Profile 1.05, table 8).
fn reset_values(flavour: Flavour, algorithm: Algorithm) -> BTreeMap<Register, Digest> {
    let zero = algorithm.zero();
    match flavour {
        Flavour::Cc => (0..4).map(|number| (Register::Rtmr(number), zero)).collect(),
        Flavour::Tcg => {
            let ones = Digest::from_bytes(&vec![0xff; algorithm.size()]).unwrap_or(zero);
            (0..24).map(|number| (Register::Pcr(number), if (17..=22).contains(&number) { ones } else { zero })).collect()
        }
    }
}

/// PCR 0 doesn't start at zero if the TPM was started from another locality than 0 (PC Client Profile, 10.4.5.3).
fn startup_value(event: &LogEvent, algorithm: Algorithm) -> Option<Digest> {
    let locality = match event.data.strip_prefix(b"StartupLocality\0") {
        Some([locality]) if event.register == Register::Pcr(0) && !event.is_measured() => *locality,
        _ => return None,
    };
    let mut bytes = vec![0; algorithm.size()];
    *bytes.last_mut()? = locality;
    Digest::from_bytes(&bytes).ok()
}

/// Why a log is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The first event isn't the header of a crypto-agile log.
    #[error("not a TCG 2.0 or CC event log: {0}. Give binary_bios_measurements or the CCEL data, in binary form")]
    Header(&'static str),
    /// An event is cut.
    #[error("event log is cut off within the event at byte {offset}")]
    Truncated {
        /// Where the event begins.
        offset: usize,
    },
    /// Padding, and data behind it: events are missing, and no replay can be right.
    #[error("event log has a hole: padding at byte {offset}, and more data behind it")]
    Hole {
        /// Where the padding begins.
        offset: usize,
    },
    /// A digest of an algorithm that the header doesn't declare: its length isn't known.
    #[error("event at byte {offset} has a digest of algorithm {id:#06x}, which the log's header doesn't declare")]
    UndeclaredAlgorithm {
        /// Where the event begins.
        offset: usize,
        /// TPM algorithm id.
        id: u16,
    },
    /// Not one digest per declared bank.
    #[error("event at byte {offset} doesn't have exactly one digest per declared bank")]
    MissingDigest {
        /// Where the event begins.
        offset: usize,
    },
    /// A register number that the kind of log doesn't have.
    #[error("event at byte {offset} is for register {number}, which this kind of log doesn't have")]
    Register {
        /// Where the event begins.
        offset: usize,
        /// The number.
        number: u32,
    },
    /// The value that PCR 0 starts with is declared after an event of PCR 0.
    #[error("event at byte {offset} declares the startup locality after PCR 0 was extended")]
    LateStartupLocality {
        /// Where the event begins.
        offset: usize,
    },
    /// The log has no such bank.
    #[error("event log has no {0} bank")]
    NoBank(Algorithm),
}
