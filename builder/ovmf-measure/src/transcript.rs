//! The one idea of this crate: a register is the fold of an ordered list of events.
//!
//! A [`Transcript`] names every event: what was hashed, where it came from, who controls it, and how it enters the
//! register. [`registers`] recomputes every register from the events' digests alone, so a verifier needs neither the
//! firmware nor the kernel. The JSON names are part of `pin.json` and `measure --json`; they only change with the schema.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Algorithm, Digest};
use crate::snp::PageInfo;

/// A measurement register.
///
/// Text form: `launch`, `mrtd`, `rtmr0`…`rtmr3`, `pcr0`…`pcr23`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// The SEV-SNP launch digest (`MEASUREMENT` of the attestation report).
    Launch,
    /// The TD's build-time measurement.
    Mrtd,
    /// A TDX run-time register, 0 to 3.
    Rtmr(u8),
    /// A TPM platform configuration register, 0 to 23.
    Pcr(u8),
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch => f.write_str("launch"),
            Self::Mrtd => f.write_str("mrtd"),
            Self::Rtmr(n) => write!(f, "rtmr{n}"),
            Self::Pcr(n) => write!(f, "pcr{n}"),
        }
    }
}

impl FromStr for Register {
    type Err = TranscriptError;

    fn from_str(text: &str) -> Result<Self, TranscriptError> {
        let unknown = || TranscriptError::UnknownRegister(text.to_owned());
        let number = |digits: &str, limit: u8| match digits.parse::<u8>() {
            // The text form is canonical: "pcr07" and "pcr+7" are not names of PCR 7.
            Ok(n) if n < limit && n.to_string() == digits => Ok(n),
            _ => Err(unknown()),
        };
        match text {
            "launch" => Ok(Self::Launch),
            "mrtd" => Ok(Self::Mrtd),
            _ => match (text.strip_prefix("rtmr"), text.strip_prefix("pcr")) {
                (Some(digits), _) => Ok(Self::Rtmr(number(digits, 4)?)),
                (_, Some(digits)) => Ok(Self::Pcr(number(digits, 24)?)),
                _ => Err(unknown()),
            },
        }
    }
}

impl Serialize for Register {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Register {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Who decides what an event's digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlledBy {
    /// The image that is being pinned: kernel, initrd, cmdline, UKI, disk layout.
    Image,
    /// The firmware build: its code, and constants that it measures.
    Firmware,
    /// CPU and TEE architecture: initial register state, page types.
    Platform,
    /// The host's choice: vCPU count and model, memory size, ACPI tables.
    Host,
}

/// What kind of event it is. TCG events carry the names of the PC Client Platform Firmware Profile, table 27.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Kind {
    /// SNP: the firmware file's pages.
    #[serde(rename = "firmware")]
    Firmware,
    /// SNP: pages that the firmware's SEV metadata asks for, without content of their own.
    #[serde(rename = "sev-metadata")]
    SevMetadata,
    /// SNP: the page with the hashes of kernel, initrd and cmdline.
    #[serde(rename = "kernel-hashes")]
    KernelHashes,
    /// SNP: a vCPU's initial register state.
    #[serde(rename = "vmsa")]
    Vmsa,
    /// TDX: the pages and contents that the VMM adds before the TD runs.
    #[serde(rename = "td-build")]
    TdBuild,
    /// Nothing is measured into this register: it must hold its reset value.
    #[serde(rename = "untouched")]
    Untouched,
    /// Separates firmware from boot events.
    #[serde(rename = "EV_SEPARATOR")]
    Separator,
    /// A fixed string that says what the firmware does.
    #[serde(rename = "EV_EFI_ACTION")]
    EfiAction,
    /// Data with a tag; the kernel's EFI stub uses it for cmdline and initrd.
    #[serde(rename = "EV_EVENT_TAG")]
    EventTag,
    /// Data measured by a boot loader; systemd-stub uses it for its sections.
    #[serde(rename = "EV_IPL")]
    Ipl,
    /// Configuration that the platform passes: ACPI tables, fw_cfg files.
    #[serde(rename = "EV_PLATFORM_CONFIG_FLAGS")]
    PlatformConfigFlags,
    /// A Secure Boot variable, with its name.
    #[serde(rename = "EV_EFI_VARIABLE_DRIVER_CONFIG")]
    VariableDriverConfig,
    /// A boot variable, data only.
    #[serde(rename = "EV_EFI_VARIABLE_BOOT")]
    VariableBoot,
    /// A PE image's Authenticode digest.
    #[serde(rename = "EV_EFI_BOOT_SERVICES_APPLICATION")]
    BootServicesApplication,
    /// The partition table.
    #[serde(rename = "EV_EFI_GPT_EVENT")]
    Gpt,
    /// Tables handed over: TDX measures the TD HOB as this.
    #[serde(rename = "EV_EFI_HANDOFF_TABLES2")]
    HandoffTables2,
    /// A firmware volume: TDX measures the configuration volume as this.
    #[serde(rename = "EV_EFI_PLATFORM_FIRMWARE_BLOB2")]
    PlatformFirmwareBlob2,
}

/// The input that an event's digest is a function of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Input {
    /// The firmware file.
    Firmware,
    /// The kernel file.
    Kernel,
    /// The initrd file.
    Initrd,
    /// The kernel command line.
    Cmdline,
    /// The unified kernel image.
    Uki,
    /// The disk image (its partition table).
    Disk,
    /// The setting `vcpu_type`.
    VcpuType,
    /// The setting `memory`.
    Memory,
    /// The ACPI tables, supplied by the caller.
    Acpi,
    /// The VMM's profile (`profiles/snp/*.json`).
    VmmProfile,
    /// The boot profile (`profiles/uefi/*.json`).
    BootProfile,
    /// A constant of a specification.
    Constant,
}

/// Where an event's digest comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The input.
    pub input: Input,
    /// How the digest is derived from it, in words that `explain` prints.
    pub how: String,
}

/// How an event enters its register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The register becomes `digest`. Stands first in its register: the value after a long prefix (the firmware's
    /// pages), or the reset value of a register that nothing extends.
    Set,
    /// The register becomes `H(register ‖ digest)`: PCRs and RTMRs.
    Extend,
    /// The launch digest takes in pages whose content hashes to `digest` (SNP firmware ABI, section 8.17.2).
    SnpPages(PageInfo),
}

/// Another digest that the same event may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The other digest.
    pub digest: Digest,
    /// When the event has this one, in words.
    pub when: String,
}

/// One event of a register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The register it goes into.
    pub register: Register,
    /// What kind of event it is.
    pub kind: Kind,
    /// How it goes in.
    pub op: Op,
    /// The digest that goes in.
    pub digest: Digest,
    /// Other digests that are as good, because something outside the image decides between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<Alternative>,
    /// Bytes that were hashed, where the digest is a hash of bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where the digest comes from.
    pub source: Source,
    /// Who decides what it is.
    pub controlled_by: ControlledBy,
}

impl Event {
    /// An event that extends `register` with `digest`.
    pub(crate) fn extend(
        register: Register,
        kind: Kind,
        digest: Digest,
        input: Input,
        controlled_by: ControlledBy,
        how: impl Into<String>,
    ) -> Self {
        let source = Source { input, how: how.into() };
        Self { register, kind, op: Op::Extend, digest, or: Vec::new(), size: None, source, controlled_by }
    }

    /// An event that says that `register` keeps its reset value.
    pub(crate) fn untouched(register: Register, algorithm: Algorithm, how: &str) -> Self {
        let event = Self::extend(register, Kind::Untouched, algorithm.zero(), Input::Constant, ControlledBy::Platform, how);
        Self { op: Op::Set, ..event }
    }

    /// The same event with the number of hashed bytes noted.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        Self { size: Some(crate::read::length(bytes)), ..self }
    }

    /// Whether `digest` is one of the digests that this event may have.
    pub fn accepts(&self, digest: &[u8]) -> bool {
        self.digest.as_bytes() == digest || self.or.iter().any(|a| a.digest.as_bytes() == digest)
    }
}

/// An ordered list of events of one bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// The bank's algorithm.
    pub algorithm: Algorithm,
    /// The events, in the order in which they are measured.
    pub events: Vec<Event>,
}

impl Transcript {
    /// Every register with its acceptable values, recomputed from the events' digests; see [`registers`].
    pub fn registers(&self) -> Result<BTreeMap<Register, Vec<Digest>>, TranscriptError> {
        registers(&self.events)
    }

    /// The events of one register, in order.
    pub fn of(&self, register: Register) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.register == register)
    }
}

/// How many values one register may have. Two alternatives in one event are the most that any profile makes; a list
/// that multiplies further comes from a hostile pin.
const MAX_VALUES: usize = 64;

/// Recomputes every register that `events` mention, in all its acceptable values; the first is the one that the
/// profile expects. This is all that a verifier needs: no firmware, no kernel, only the digests.
pub fn registers(events: &[Event]) -> Result<BTreeMap<Register, Vec<Digest>>, TranscriptError> {
    let mut values: BTreeMap<Register, Vec<Digest>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let before = values.get(&event.register).map_or(&[][..], Vec::as_slice);
        let after = apply(before, index, event)?;
        values.insert(event.register, after);
    }
    Ok(values)
}

fn apply(before: &[Digest], index: usize, event: &Event) -> Result<Vec<Digest>, TranscriptError> {
    let algorithm = event.digest.algorithm();
    let digests = || std::iter::once(&event.digest).chain(event.or.iter().map(|a| &a.digest));
    if digests().chain(before).any(|digest| digest.algorithm() != algorithm) {
        return Err(TranscriptError::MixedAlgorithms { index });
    }
    if event.op == Op::Set {
        return if before.is_empty() {
            Ok(digests().copied().collect())
        } else {
            Err(TranscriptError::SetNotFirst { index, register: event.register })
        };
    }
    let reset = [algorithm.zero()];
    let before = if before.is_empty() { &reset[..] } else { before };
    if before.len().saturating_mul(1 + event.or.len()) > MAX_VALUES {
        return Err(TranscriptError::TooManyValues { index, register: event.register });
    }
    let mut after = Vec::new();
    for digest in digests() {
        for value in before {
            after.push(match &event.op {
                Op::SnpPages(pages) => pages.update(value, digest).ok_or(TranscriptError::BadPages { index })?,
                _ => value.extend(digest),
            });
        }
    }
    Ok(after)
}

/// A transcript that folds to nothing: from a damaged or hostile pin, never from this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// The text is not the name of a register.
    #[error("unknown register {0:?}; registers are launch, mrtd, rtmr0…rtmr3, pcr0…pcr23")]
    UnknownRegister(String),
    /// Digests of two algorithms in one register.
    #[error("event {index}: its digests are not all of the register's algorithm")]
    MixedAlgorithms {
        /// Position in the list.
        index: usize,
    },
    /// A `set` event after others: it would throw away what they measured.
    #[error("event {index}: `set` must be the first event of {register}")]
    SetNotFirst {
        /// Position in the list.
        index: usize,
        /// The register.
        register: Register,
    },
    /// The alternatives multiply beyond any honest pin.
    #[error("event {index}: {register} has more than {MAX_VALUES} acceptable values")]
    TooManyValues {
        /// Position in the list.
        index: usize,
        /// The register.
        register: Register,
    },
    /// Page ranges outside the address space, too many pages, or a digest that isn't SHA-384.
    #[error("event {index}: page range or digest is not one that SNP can measure")]
    BadPages {
        /// Position in the list.
        index: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extend(register: Register, fill: u8) -> Event {
        let digest = Digest::Sha256([fill; 32]);
        Event::extend(register, Kind::Separator, digest, Input::Constant, ControlledBy::Firmware, "test")
    }

    #[test]
    fn register_names_round_trip_and_are_canonical() {
        for name in ["launch", "mrtd", "rtmr0", "rtmr3", "pcr0", "pcr23"] {
            assert_eq!(name.parse::<Register>().unwrap().to_string(), name);
        }
        for bad in ["", "rtmr4", "pcr24", "pcr07", "pcr+7", "PCR7", "rtmr", "launch "] {
            assert!(bad.parse::<Register>().is_err(), "{bad}");
        }
    }

    #[test]
    fn alternatives_multiply_and_keep_the_expected_value_first() {
        let mut second = extend(Register::Pcr(4), 2);
        second.or.push(Alternative { digest: Digest::Sha256([9; 32]), when: "sometimes".into() });
        let values = registers(&[extend(Register::Pcr(4), 1), second]).unwrap();
        let after_first = Digest::Sha256([0; 32]).extend(&Digest::Sha256([1; 32]));
        let expected = vec![after_first.extend(&Digest::Sha256([2; 32])), after_first.extend(&Digest::Sha256([9; 32]))];
        assert_eq!(values[&Register::Pcr(4)], expected);
    }

    #[test]
    fn hostile_transcripts_are_refused() {
        let mut many = extend(Register::Pcr(4), 1);
        many.or = vec![Alternative { digest: Digest::Sha256([7; 32]), when: String::new() }; 64];
        assert!(matches!(registers(&[many]), Err(TranscriptError::TooManyValues { .. })));

        let set = Event { op: Op::Set, ..extend(Register::Pcr(4), 1) };
        assert!(matches!(registers(&[extend(Register::Pcr(4), 1), set]), Err(TranscriptError::SetNotFirst { index: 1, .. })));

        let other = Event { digest: Digest::Sha384([0; 48]), ..extend(Register::Pcr(4), 1) };
        assert!(matches!(registers(&[extend(Register::Pcr(4), 1), other]), Err(TranscriptError::MixedAlgorithms { index: 1 })));
    }

    #[test]
    fn json_names_are_stable() {
        let event = extend(Register::Rtmr(1), 0);
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            format!(
                r#"{{"register":"rtmr1","kind":"EV_SEPARATOR","op":"extend","digest":"{}","source":{{"input":"constant","how":"test"}},"controlled_by":"firmware"}}"#,
                "00".repeat(32)
            )
        );
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        assert!(serde_json::from_str::<Event>(&json.replace("\"kind\"", "\"x\":1,\"kind\"")).is_err());
    }
}
