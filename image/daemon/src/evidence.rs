//! What can vouch for this machine. Only whether there is a source; asking it is the attested channel's matter.

use std::fmt;
use std::fs;
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
}

impl Sources {
    /// As in the image.
    pub fn system() -> Sources {
        Sources { tsm_entry: "/sys/kernel/config/tsm/report/front".into(), tpm: "/dev/tpmrm0".into() }
    }

    /// The strongest source there is: a TEE's own report before a TPM, which on such machines is the cloud's software.
    ///
    /// With `Attestation::Insecure` no source counts, so that such an image never looks like one that proves something.
    /// `None` means that nobody may be served.
    pub fn choose(&self, attestation: Attestation) -> Option<Kind> {
        choose(fs::read(self.tsm_entry.join("provider")).ok().as_deref(), &self.tpm, attestation)
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
        let sources = Sources { tsm_entry: "/nonexistent".into(), tpm: "/nonexistent".into() };
        assert_eq!(sources.choose(Attestation::Required), None);
    }
}
