//! What can vouch for this machine: which source there is, and its quotes or reports for whoever asks.
//!
//! - [`Sources`], [`Kind`]: what there is
//! - [`quotes`]: asking, one at a time, and the TPM's answers
//! - [`reports`], [`tsm`], [`certificates`]: the processor's answers, for SEV-SNP and TDX
//! - [`document`]: what comes of either

pub mod certificates;
pub mod document;
pub mod quotes;
pub mod reports;
pub mod tsm;

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sealstone_config::Attestation;
use serde::Serialize;

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An AMD SEV-SNP attestation report, through configfs-tsm.
    SevSnp,
    /// An Intel TDX quote, through configfs-tsm.
    Tdx,
    /// A quote of a TPM 2.0.
    Tpm2,
    /// None, in an image whose measured configuration says that it may serve without.
    Insecure,
}

impl Kind {
    /// The name in the API, in events and in pins.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::SevSnp => "sev-snp",
            Kind::Tdx => "tdx",
            Kind::Tpm2 => "tpm2",
            Kind::Insecure => "insecure",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the kernel offers evidence.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The report entry that init made for the front. Source: Documentation/ABI/testing/configfs-tsm.
    pub tsm_entry: PathBuf,
    /// The TPM's resource manager, which init gave to the front.
    pub tpm: PathBuf,
    /// What the firmware measured, as the kernel kept it; init lets the front read it. Source: Linux,
    /// `drivers/char/tpm/eventlog/common.c`.
    pub event_log: PathBuf,
    /// The same on a TDX machine: the ACPI table CCEL's log area. Source: Linux, `drivers/acpi/sysfs.c`.
    pub cc_event_log: PathBuf,
}

/// The longest event log that is taken. Firmware sets 64 KiB aside (edk2, `PcdTcgLogAreaMinLen`) and fills a third of it.
/// Each open reply holds a copy, so this bounds memory: 256 connections × 4/3 of it.
pub const MAX_EVENT_LOG: usize = 128 * 1024;

/// Why the event log isn't taken. Cut, it would look like one of another boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventLogError {
    /// It is there and can't be read; the operating system's error number.
    #[error("cannot be read, errno {0}")]
    Unreadable(i32),
    /// It has more than [`MAX_EVENT_LOG`] bytes.
    #[error("is longer than {MAX_EVENT_LOG} bytes")]
    TooLong,
}

impl Sources {
    /// As in the image.
    pub fn system() -> Sources {
        Sources {
            tsm_entry: "/sys/kernel/config/tsm/report/front".into(),
            tpm: "/dev/tpmrm0".into(),
            event_log: "/sys/kernel/security/tpm0/binary_bios_measurements".into(),
            cc_event_log: "/sys/firmware/acpi/tables/data/CCEL".into(),
        }
    }

    /// The strongest source there is: a TEE's own report before a TPM, which on such machines is the cloud's software.
    ///
    /// With `Attestation::Insecure` no source counts, so that such an image never looks like one that proves something.
    /// `None` means that nobody may be served.
    pub fn choose(&self, attestation: Attestation) -> Option<Kind> {
        choose(fs::read(self.tsm_entry.join("provider")).ok().as_deref(), &self.tpm, attestation)
    }

    /// The firmware's event log that belongs to this kind of evidence; empty where the firmware left none. It doesn't change
    /// after the kernel has started.
    pub fn event_log(&self, kind: Kind) -> Result<Vec<u8>, EventLogError> {
        let path = match kind {
            Kind::Tpm2 => &self.event_log,
            Kind::Tdx => &self.cc_event_log,
            Kind::SevSnp | Kind::Insecure => return Ok(Vec::new()),
        };
        let unreadable = |error: std::io::Error| EventLogError::Unreadable(crate::event::errno(&error));
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut log = Vec::new();
        let limit = u64::try_from(MAX_EVENT_LOG).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut log).map_err(unreadable)?;
        if log.len() > MAX_EVENT_LOG { Err(EventLogError::TooLong) } else { Ok(log) }
    }
}

/// [`Sources::choose`], given what the report entry's `provider` says.
fn choose(provider: Option<&[u8]>, tpm: &Path, attestation: Attestation) -> Option<Kind> {
    match attestation {
        Attestation::Insecure => Some(Kind::Insecure),
        Attestation::Required => provider.and_then(tee).or_else(|| usable(tpm).then_some(Kind::Tpm2)),
    }
}

/// The TEE behind a provider. Source: Linux, the `name` of each `struct tsm_ops` in `drivers/virt/coco`.
fn tee(provider: &[u8]) -> Option<Kind> {
    match provider.trim_ascii() {
        b"sev_guest" => Some(Kind::SevSnp),
        b"tdx_guest" => Some(Kind::Tdx),
        _ => None,
    }
}

/// Whether the TPM can be opened as for a quote, so that a device without permission doesn't count.
fn usable(tpm: &Path) -> bool {
    is_device(tpm) && fs::File::options().read(true).write(true).open(tpm).is_ok()
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|m| m.file_type().is_char_device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_source_is_chosen() {
        // /dev/null stands in for a TPM: a character device that anyone may open for reading and writing.
        let table = [
            (Some("sev_guest\n"), "/dev/null", Some(Kind::SevSnp)),
            (Some("tdx_guest\n"), "/dev/null", Some(Kind::Tdx)),
            (Some("tdx_guest\n"), "/nonexistent", Some(Kind::Tdx)),
            (Some("another\n"), "/dev/null", Some(Kind::Tpm2)),
            (Some("another\n"), "/nonexistent", None),
            (Some(""), "/nonexistent", None),
            (None, "/dev/null", Some(Kind::Tpm2)),
            (None, "/etc/hostname", None),
            (None, "/nonexistent", None),
        ];
        for (provider, tpm, expected) in table {
            let found = choose(provider.map(str::as_bytes), Path::new(tpm), Attestation::Required);
            assert_eq!(found, expected, "{provider:?} {tpm}");
            let found = choose(provider.map(str::as_bytes), Path::new(tpm), Attestation::Insecure);
            assert_eq!(found, Some(Kind::Insecure), "{provider:?} {tpm}");
        }
    }

    #[test]
    fn this_host_without_an_entry_has_no_tee() {
        let sources = sources("/nonexistent".into());
        assert_eq!(sources.choose(Attestation::Required), None);
    }

    fn sources(event_log: PathBuf) -> Sources {
        let nothing = PathBuf::from("/nonexistent");
        Sources { tsm_entry: nothing.clone(), tpm: nothing, cc_event_log: event_log.clone(), event_log }
    }

    #[test]
    fn event_logs_are_whole_or_refused() {
        let whole = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
        let table = [
            (concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"), Ok(whole)),
            ("/nonexistent/log", Ok(vec![])),
            ("/dev/null", Ok(vec![])),
            ("/dev/zero", Err(EventLogError::TooLong)),
            // EISDIR.
            ("/", Err(EventLogError::Unreadable(21))),
        ];
        for (path, expected) in table {
            for kind in [Kind::Tpm2, Kind::Tdx] {
                assert_eq!(sources(path.into()).event_log(kind), expected, "{path}");
            }
            assert_eq!(sources(path.into()).event_log(Kind::SevSnp), Ok(Vec::new()));
        }
    }
}
