//! How a combination of VMM and firmware boots, as capability flags in data: `profiles/uefi/*.json`. No version number is
//! ever compared in code, and a combination without a profile is refused.

use serde::{Deserialize, Deserializer};

use crate::digest::from_hex;

/// Order in which KVM builds a TD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageOrder {
    /// Each page is added, then extended: mainline.
    PerPage,
    /// All pages of a section are added, then all extended: an early Canonical stack.
    AddThenExtend,
}

/// Which kernel firmware measures in a direct boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelHash {
    /// The file.
    Raw,
    /// The file with the setup header that QEMU rewrote.
    Patched,
    /// Either: the profile doesn't say which QEMU it is.
    Either,
}

/// What firmware adds to the cmdline if there is an initrd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitrdArg {
    /// `initrd=initrd ` in front.
    Prefix,
    /// ` initrd=initrd` behind.
    Suffix,
    /// Nothing.
    None,
}

/// Which RTMR takes the separator at ReadyToBoot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RtbSeparator {
    /// RTMR0: EDK2 before its mapping was corrected.
    Rtmr0,
    /// RTMR1.
    Rtmr1,
}

/// What firmware measures as the variable `SecureBoot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecureBootVariable {
    /// Built with Secure Boot: one byte.
    Value,
    /// Built without: the variable doesn't exist, and its data is empty.
    Absent,
}

/// A variable that firmware creates and measures, data only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootVariable {
    /// `BootOrder` or `Boot####`.
    pub name: String,
    /// Its data.
    #[serde(deserialize_with = "hex")]
    pub data: Vec<u8>,
}

/// How a VMM and a firmware boot together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootProfile {
    /// Layout version of the data file.
    pub schema: String,
    /// Name, as in `--profile`.
    pub id: String,
    /// What it describes.
    pub title: String,
    /// Where each flag is known from.
    pub sources: Vec<String>,
    /// Order of page operations in a TD build.
    pub page_order: PageOrder,
    /// Which kernel is measured in a direct boot.
    pub kernel_hash: KernelHash,
    /// What is added to the cmdline in a direct boot.
    pub initrd_arg: InitrdArg,
    /// Whether the firmware extends RTMRs at all.
    pub rtmrs: bool,
    /// Whether QEMU's ACPI tables are measured (three events in RTMR0).
    pub acpi_events: bool,
    /// Whether the SMBIOS tables are measured; RTMR0 is then left open.
    pub smbios_event: bool,
    /// Whether fw_cfg files are measured; RTMR0 is then left open.
    pub fwcfg_events: bool,
    /// Which register takes the separator at ReadyToBoot.
    pub rtb_separator: RtbSeparator,
    /// How `SecureBoot` is measured.
    pub secure_boot: SecureBootVariable,
    /// BootOrder and Boot#### of a direct boot without disks; `null` where they aren't known, which leaves RTMR0 open.
    pub boot_vars: Option<Vec<BootVariable>>,
}

impl BootProfile {
    fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if profile.schema != "sealstone/uefi-boot/v1" {
            return Err(format!("unknown schema {:?}", profile.schema));
        }
        Ok(profile)
    }
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    from_hex(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

const FILES: [&str; 6] = [
    include_str!("../../profiles/uefi/qemu-7.2-ovmf-2022.11.json"),
    include_str!("../../profiles/uefi/qemu-7.2-ovmf-2025.02.json"),
    include_str!("../../profiles/uefi/qemu-10.0-ovmf-2022.11.json"),
    include_str!("../../profiles/uefi/qemu-10.0-ovmf-2025.02.json"),
    include_str!("../../profiles/uefi/qemu-ovmf-2025.02.json"),
    include_str!("../../profiles/uefi/qemu-ovmf-2026.08.json"),
];

/// All profiles that are built in. (Each file is parsed by a test, so none is left out here.)
pub fn boot_profiles() -> Vec<BootProfile> {
    FILES.iter().filter_map(|text| BootProfile::parse(text).ok()).collect()
}

/// The profile called `id`; an error that names the known ones otherwise.
pub fn boot_profile(id: &str) -> Result<BootProfile, super::BootError> {
    let mut profiles = boot_profiles();
    match profiles.iter().position(|profile| profile.id == id) {
        Some(index) => Ok(profiles.swap_remove(index)),
        None => {
            let known = profiles.into_iter().map(|p| p.id).collect::<Vec<_>>().join(", ");
            Err(super::BootError::UnknownProfile { given: id.to_owned(), known })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_parses_and_is_strict() {
        for text in FILES {
            let profile = BootProfile::parse(text).unwrap();
            assert!(!profile.sources.is_empty(), "{}", profile.id);
            assert!(BootProfile::parse(&text.replacen('{', "{\"extra\": 1,", 1)).is_err());
        }
        assert_eq!(boot_profiles().len(), FILES.len());
    }

    #[test]
    fn unknown_profiles_are_refused_by_name() {
        let error = boot_profile("qemu-1.0").unwrap_err().to_string();
        assert!(error.contains("qemu-7.2-ovmf-2022.11"), "{error}");
    }
}
