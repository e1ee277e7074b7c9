//! What differs between VMMs, as data: `profiles/snp/*.json`. A VMM without a profile is refused, not guessed.

use serde::{Deserialize, Deserializer};

/// How a VMM adds the memory of the SEC phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecMem {
    /// As zero pages.
    Zero,
    /// As unmeasured pages.
    Unmeasured,
}

/// When a VMM adds the CPUID page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuidOrder {
    /// Where it stands in the metadata.
    InTableOrder,
    /// After all other sections.
    Last,
}

/// Value of `rdx` at reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rdx {
    /// The CPUID signature of the CPU model.
    CpuSignature,
    /// The same value whatever the model.
    Fixed(#[serde(deserialize_with = "hex")] u64),
}

/// Segment attributes that VMMs set differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Code segment of the boot processor.
    #[serde(deserialize_with = "hex")]
    pub cs_bsp: u16,
    /// Code segment of application processors.
    #[serde(deserialize_with = "hex")]
    pub cs_ap: u16,
    /// Stack segment.
    #[serde(deserialize_with = "hex")]
    pub ss: u16,
    /// Task register.
    #[serde(deserialize_with = "hex")]
    pub tr: u16,
}

/// Initial register state, as far as VMMs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmsaProfile {
    /// Segment attributes.
    pub attributes: Attributes,
    /// Page attribute table MSR.
    #[serde(deserialize_with = "hex")]
    pub g_pat: u64,
    /// `rdx`.
    pub rdx: Rdx,
    /// SSE control and status.
    #[serde(deserialize_with = "hex")]
    pub mxcsr: u32,
    /// x87 control word.
    #[serde(deserialize_with = "hex")]
    pub x87_fcw: u16,
}

/// A VMM's behaviour at SNP launch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmmProfile {
    /// Layout version of the data file.
    pub schema: String,
    /// Name of the VMM, as in `--vmm`.
    pub id: String,
    /// What it describes.
    pub title: String,
    /// Where each value is known from.
    pub sources: Vec<String>,
    /// How the SEC phase's memory is added.
    pub sec_mem: SecMem,
    /// When the CPUID page is added.
    pub cpuid: CpuidOrder,
    /// Bits of the VMSA's guest-physical address. 48 nearly everywhere, 52 on some machines.
    pub vmsa_gpa_bits: u8,
    /// Initial register state.
    pub vmsa: VmsaProfile,
}

impl VmmProfile {
    /// The VMSA's guest-physical address: all ones, page-aligned, cut to the address width.
    pub fn vmsa_gpa(&self) -> u64 {
        let mask = 1u64.checked_shl(self.vmsa_gpa_bits.into()).map_or(u64::MAX, |bit| bit - 1);
        mask & !0xfff
    }

    fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if profile.schema != "sealstone/snp-vmm/v1" {
            return Err(format!("unknown schema {:?}", profile.schema));
        }
        if !matches!(profile.vmsa_gpa_bits, 48 | 52) {
            return Err(format!("vmsa_gpa_bits is {}, must be 48 or 52", profile.vmsa_gpa_bits));
        }
        Ok(profile)
    }
}

/// Register values are written in hex, because that is how manuals have them; JSON has no such numbers.
fn hex<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let value = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let value = value.and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| serde::de::Error::custom(format!("{text:?} isn't a hex number of the field's width")))
}

const FILES: [&str; 4] = [
    include_str!("../../profiles/snp/qemu.json"),
    include_str!("../../profiles/snp/ec2.json"),
    include_str!("../../profiles/snp/gce.json"),
    include_str!("../../profiles/snp/gce-52bit.json"),
];

/// All profiles that are built in. (Each file is parsed by a test, so none is left out here.)
pub fn vmm_profiles() -> Vec<VmmProfile> {
    FILES.iter().filter_map(|text| VmmProfile::parse(text).ok()).collect()
}

/// The profile called `id`; `None` for a VMM that nobody has described.
pub fn vmm_profile(id: &str) -> Option<VmmProfile> {
    vmm_profiles().into_iter().find(|profile| profile.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_parses_and_is_strict() {
        for text in FILES {
            let profile = VmmProfile::parse(text).unwrap();
            assert!(!profile.sources.is_empty(), "{}", profile.id);
            assert!(VmmProfile::parse(&text.replacen('{', "{\"extra\": 1,", 1)).is_err());
            assert!(VmmProfile::parse(&text.replace("snp-vmm/v1", "snp-vmm/v2")).is_err());
        }
        assert_eq!(vmm_profiles().len(), FILES.len());
    }

    #[test]
    fn vmsa_address_follows_the_width() {
        assert_eq!(vmm_profile("qemu").unwrap().vmsa_gpa(), 0xffff_ffff_f000);
        assert_eq!(vmm_profile("gce-52bit").unwrap().vmsa_gpa(), 0xf_ffff_ffff_f000);
    }
}
