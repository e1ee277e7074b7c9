//! Why a report's measurement isn't in the pin, as far as a launch digest gives it away: everything after the firmware and
//! kernel hashes is small enough to try.

use std::fmt;

use serde::Serialize;

use super::page::{self, PageType};
use super::{CPU_MODELS, VmmProfile, vmsa};
use crate::digest::{Algorithm, Digest};

/// Where application processors start in every OVMF so far (`OvmfPkg/OvmfPkgX64.fdf`, PcdSevEsWorkArea + 4). Used where a
/// pin doesn't say; a wrong address only means that counts above one aren't found.
pub const USUAL_AP_RESET: u32 = 0x0080_b004;
/// The counts that are tried.
const MAX_TRIED: u32 = 512;
/// The values of SEV_FEATURES that host kernels set: SNP alone, and with debug-swap.
const USUAL_FEATURES: [u64; 2] = [0x1, 0x21];

/// What was expected.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Launch digest before the VMSAs.
    pub pre_vmsa: Digest,
    /// The VMM.
    pub vmm: &'a VmmProfile,
    /// CPU model, by its QEMU name.
    pub vcpu_type: &'a str,
    /// SEV_FEATURES.
    pub guest_features: u64,
    /// Start address of application processors; [`USUAL_AP_RESET`] where it isn't known.
    pub ap_reset: u32,
}

/// The settings that give the measurement that was found, with the same firmware, kernel, initrd and cmdline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherShape {
    /// Number of vCPUs.
    pub vcpus: u32,
    /// CPU model: the expected one if that fits, else the first with the right signature.
    pub vcpu_type: String,
    /// SEV_FEATURES.
    pub guest_features: u64,
    /// Whether the CPU model is another than expected.
    pub other_vcpu_type: bool,
    /// Whether SEV_FEATURES are others than expected.
    pub other_guest_features: bool,
}

impl fmt::Display for OtherShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = |differs| if differs { " (not the expected one)" } else { "" };
        write!(
            f,
            "same firmware, kernel, initrd and cmdline; {} vCPUs, CPU model {}{}, guest features {:#x}{}",
            self.vcpus,
            self.vcpu_type,
            other(self.other_vcpu_type),
            self.guest_features,
            other(self.other_guest_features)
        )
    }
}

/// Looks for `found` among the launches with the same `pre_vmsa`: 1 to 512 vCPUs, every CPU model, the usual features. `None`:
/// something before the VMSAs differs, i.e. firmware, kernel, initrd or cmdline (or the VMM).
pub fn other_shape(expected: &Expected<'_>, found: &Digest) -> Option<OtherShape> {
    let mut models: Vec<(&str, u32)> = Vec::new();
    let own = CPU_MODELS.iter().filter(|model| model.name == expected.vcpu_type);
    for model in own.chain(CPU_MODELS) {
        if !models.iter().any(|(_, signature)| *signature == model.signature) {
            models.push((model.name, model.signature));
        }
    }
    let mut features = vec![expected.guest_features];
    features.extend(USUAL_FEATURES.iter().filter(|value| **value != expected.guest_features));
    for guest_features in features {
        for (name, signature) in &models {
            let pages = [vmsa::BSP_RESET, expected.ap_reset]
                .map(|reset| Algorithm::Sha384.hash(&vmsa::vmsa_page(expected.vmm, reset, *signature, guest_features)));
            if let Some(vcpus) = count(expected, &pages, found) {
                return Some(OtherShape {
                    vcpus,
                    vcpu_type: (*name).to_owned(),
                    guest_features,
                    other_vcpu_type: *name != expected.vcpu_type,
                    other_guest_features: guest_features != expected.guest_features,
                });
            }
        }
    }
    None
}

fn count(expected: &Expected<'_>, pages: &[Digest; 2], found: &Digest) -> Option<u32> {
    let (Digest::Sha384(mut value), Digest::Sha384(found)) = (expected.pre_vmsa, found) else { return None };
    let [Digest::Sha384(bsp), Digest::Sha384(ap)] = pages else { return None };
    let gpa = expected.vmm.vmsa_gpa();
    (1..=MAX_TRIED).find(|vcpus| {
        value = page::update(&value, PageType::Vmsa, gpa, if *vcpus == 1 { bsp } else { ap });
        value == *found
    })
}
