//! One platform of a pin: what starts the machine, the registers it must show, and the events they are made of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::snp::{self, SnpError};
use ovmf_measure::transcript::Event;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex::Sha256;

/// The registers of one platform, by `tee`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tee")]
#[non_exhaustive]
pub enum Profile {
    /// `sev-snp`
    #[serde(rename = "sev-snp")]
    Snp(SnpProfile),
    /// `tdx`
    #[serde(rename = "tdx")]
    Tdx(TdxProfile),
    /// `tpm2`
    #[serde(rename = "tpm2")]
    Tpm(TpmProfile),
}

/// An SEV-SNP guest with a directly booted kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpProfile {
    /// Names it; one CPU model, one profile.
    pub id: String,
    /// The firmware file, every byte of which is measured.
    pub firmware: NamedFile,
    /// A VMM of [`ovmf_measure::snp::vmm_profiles`].
    pub vmm: String,
    /// What the host chooses.
    pub params: SnpParams,
    /// The launch digest, in parts.
    pub launch: SnpLaunch,
    /// What it is made of, with two vCPUs; a machine with `n` has the last event `n - 1` times.
    pub events: Vec<Event>,
}

/// `params` of an SNP profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpParams {
    /// CPU model, by its QEMU name.
    pub vcpu_type: String,
    /// `SEV_FEATURES` of the VMSA.
    pub guest_features: u64,
}

/// `launch` of an SNP profile: three digests that give the launch digest for every number of vCPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpLaunch {
    /// Launch digest before the first VMSA.
    pub pre_vmsa: Digest,
    /// SHA-384 of the boot processor's VMSA page.
    pub bsp_vmsa: Digest,
    /// SHA-384 of every other vCPU's VMSA page.
    pub ap_vmsa: Digest,
    /// The launch digest for the usual numbers of vCPUs.
    pub by_vcpus: BTreeMap<VcpuCount, Digest>,
}

/// A TDX guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxProfile {
    /// Names it.
    pub id: String,
    /// The firmware file.
    pub firmware: NamedFile,
    /// The VMM.
    pub vmm: String,
    /// How it is started.
    pub params: TdxParams,
    /// The registers.
    pub launch: TdxLaunch,
    /// What they are made of.
    pub events: Vec<Event>,
}

/// `params` of a TDX profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxParams {
    /// How the kernel gets in.
    pub boot: Boot,
    /// The profile of capability flags by which the events were predicted: [`ovmf_measure::boot::boot_profile`].
    pub behaviour: String,
    /// How KVM builds the TD.
    pub page_order: PageOrder,
    /// Direct boot: the setup headers that the pin accepts. Empty from disk.
    pub kernel_header: Vec<KernelHeader>,
    /// Direct boot with a patched header: the memory sizes, in MiB, that the pin holds for; every size from 2816 on counts
    /// as the same. Empty where the size doesn't matter.
    pub memory_mib: Vec<u32>,
}

/// `launch` of a TDX profile. Each register has the values that are as good as each other; `null` is a register that this pin
/// says nothing about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxLaunch {
    /// The TD as it was built.
    pub mrtd: Vec<Digest>,
    /// Firmware's configuration, and what the host offers.
    #[serde(deserialize_with = "super::present")]
    pub rtmr0: Option<Vec<Digest>>,
    /// What firmware starts.
    #[serde(deserialize_with = "super::present")]
    pub rtmr1: Option<Vec<Digest>>,
    /// What the kernel is given.
    #[serde(deserialize_with = "super::present")]
    pub rtmr2: Option<Vec<Digest>>,
    /// The application's.
    #[serde(deserialize_with = "super::present")]
    pub rtmr3: Option<Vec<Digest>>,
}

/// A machine with a TPM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmProfile {
    /// Names it.
    pub id: String,
    /// The firmware; which file it is decides nothing but PCR 0, which is the platform's.
    pub firmware: Firmware,
    /// The VMM.
    pub vmm: String,
    /// How it is started.
    pub params: TpmParams,
    /// The registers.
    pub launch: TpmLaunch,
    /// What they are made of.
    pub events: Vec<Event>,
}

/// `params` of a TPM profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmParams {
    /// How the kernel gets in.
    pub boot: Boot,
    /// The profile of capability flags by which the events were predicted: [`ovmf_measure::boot::boot_profile`].
    pub behaviour: String,
    /// As in [`TdxParams::kernel_header`].
    pub kernel_header: Vec<KernelHeader>,
    /// As in [`TdxParams::memory_mib`].
    pub memory_mib: Vec<u32>,
}

/// `launch` of a TPM profile. A PCR that is neither in `pcrs` nor in `unpinned` is refused by a verifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmLaunch {
    /// The bank that the values are of.
    pub bank: Algorithm,
    /// PCRs with the values that are as good as each other.
    pub pcrs: BTreeMap<PcrIndex, Vec<Digest>>,
    /// PCRs that may hold anything: the platform's.
    pub unpinned: Vec<u8>,
}

/// A firmware file that is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedFile {
    /// Its name in the output folder, without the folder.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

/// The firmware of a machine with a TPM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "firmware is neither {name, sha256, size} nor {name, package, version, package_sha256, path}")]
pub enum Firmware {
    /// A file that the build made.
    File(NamedFile),
    /// A file of a Debian package that the build didn't need to fetch.
    Packaged(PackagedFile),
}

/// A file named by the package that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagedFile {
    /// The file's name.
    pub name: String,
    /// The Debian package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Digest of the `.deb`, which decides the bytes of the file in it.
    pub package_sha256: Sha256,
    /// Where the file is in the package.
    pub path: String,
}

/// How the kernel gets into a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// Kernel, initrd and command line from the VMM.
    Direct,
    /// The UKI on `disk.raw`.
    Disk,
}

/// In what order KVM builds a TD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageOrder {
    /// Each page is added, then extended.
    Page,
    /// All pages of a section are added, then all are extended.
    Section,
}

/// A directly booted kernel's setup header, as firmware gets to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelHeader {
    /// As it was built.
    Raw,
    /// As QEMU rewrote it.
    Patched,
}

impl Profile {
    /// Its name.
    pub fn id(&self) -> &str {
        match self {
            Self::Snp(profile) => &profile.id,
            Self::Tdx(profile) => &profile.id,
            Self::Tpm(profile) => &profile.id,
        }
    }

    /// The word for its technology.
    pub fn tee(&self) -> &'static str {
        match self {
            Self::Snp(_) => "sev-snp",
            Self::Tdx(_) => "tdx",
            Self::Tpm(_) => "tpm2",
        }
    }

    /// The events that its registers are made of.
    pub fn events(&self) -> &[Event] {
        match self {
            Self::Snp(profile) => &profile.events,
            Self::Tdx(profile) => &profile.events,
            Self::Tpm(profile) => &profile.events,
        }
    }

    /// The algorithm of its registers.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Snp(_) | Self::Tdx(_) => Algorithm::Sha384,
            Self::Tpm(profile) => profile.launch.bank,
        }
    }
}

impl SnpProfile {
    /// The launch digest of a machine with `vcpus` vCPUs, recomputed from the three small digests.
    ///
    /// # Errors
    /// [`SnpError::VcpuCount`] for numbers that no machine has, [`SnpError::UnknownVmm`] for a VMM that this version doesn't
    /// know.
    pub fn launch_digest(&self, vcpus: u32) -> Result<Digest, SnpError> {
        let vmm = snp::vmm_profile(&self.vmm).ok_or_else(|| SnpError::UnknownVmm(self.vmm.clone()))?;
        let launch = &self.launch;
        snp::launch_digest(&launch.pre_vmsa, &launch.bsp_vmsa, &launch.ap_vmsa, vmm.vmsa_gpa(), vcpus)
    }
}

/// A key that is a number: written in decimal, in one spelling.
macro_rules! decimal_key {
    ($(#[$doc:meta])* $type:ident($inner:ty), $least:literal..=$most:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type($inner);

        impl $type {
            /// From a number within the range.
            pub fn new(number: $inner) -> Option<Self> {
                ($least..=$most).contains(&number).then_some(Self(number))
            }

            /// The number.
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let number = text.parse().ok().and_then(Self::new).filter(|number| number.to_string() == text);
                number.ok_or_else(|| format!("{text:?} is not {} ({} to {})", $what, $least, $most))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

decimal_key!(
    /// A number of vCPUs.
    VcpuCount(u32), 1..=4096, "a number of vCPUs"
);
decimal_key!(
    /// The number of a PCR.
    PcrIndex(u8), 0..=23, "the number of a PCR"
);
