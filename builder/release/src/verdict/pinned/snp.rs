//! An SNP report's launch digest against a pin.

use ovmf_measure::digest::Digest;
use ovmf_measure::snp::{Expected, USUAL_AP_RESET, launch_digest, other_shape, vmm_profile};
use sealstone_evidence::snp::Report;

use super::{Check, Refusal, no_profile, profile};
use crate::pin::{Pin, Profile, SnpProfile};

/// The most vCPUs that are tried. The report doesn't say how many there are; QEMU's q35 machine takes no more than 512.
const MOST_VCPUS: u32 = 512;

/// `pin.profile` and `pin.launch`, and the profile that fits.
pub(in crate::verdict) fn snp(pin: &Pin, report: &Report) -> (Option<String>, [Check; 2]) {
    let found = Digest::Sha384(report.measurement);
    let profiles: Vec<&SnpProfile> =
        pin.contents().profiles.iter().filter_map(|p| if let Profile::Snp(snp) = p { Some(snp) } else { None }).collect();
    let fits = profiles.iter().find_map(|profile| Some((*profile, vcpus(profile, &found)?)));
    let expected = format!("the launch digest of one of {} profiles, with 1 to {MOST_VCPUS} vCPUs", profiles.len());
    let launch = |holds, why| Check::judge("pin.launch", Refusal::Measurement, holds, expected.clone(), found.to_string(), why);
    if profiles.is_empty() {
        return (None, [no_profile(pin, "sev-snp"), launch(false, "the pin has no profile for sev-snp".to_owned())]);
    }
    match fits {
        Some((fits, count)) => {
            let shown = format!("{}, with {count} vCPUs", fits.id);
            (Some(fits.id.clone()), [profile(true, shown.clone(), shown), launch(true, String::new())])
        }
        None => {
            let names: Vec<&str> = profiles.iter().map(|profile| profile.id.as_str()).collect();
            // Profiles that differ in the CPU model alone share everything before the VMSAs: one of them stands for all.
            let mut distinct = profiles.clone();
            distinct.dedup_by(|a, b| a.launch.pre_vmsa == b.launch.pre_vmsa && a.vmm == b.vmm);
            let why = distinct.iter().find_map(|profile| other(profile, &found)).unwrap_or_else(|| {
                "another firmware, kernel, initrd or command line was launched; a launch digest is one hash and doesn't \
                 tell which: compare the files on hand with the pin (--image)"
                    .to_owned()
            });
            (None, [profile(false, names.join(" or "), "none of these".to_owned()), launch(false, why)])
        }
    }
}

/// The number of vCPUs with which a machine of this profile has the launch digest `found`. Each further vCPU costs one
/// hash.
fn vcpus(profile: &SnpProfile, found: &Digest) -> Option<u32> {
    let gpa = vmm_profile(&profile.vmm)?.vmsa_gpa();
    let (bsp, ap) = (&profile.launch.bsp_vmsa, &profile.launch.ap_vmsa);
    let mut value = profile.launch.pre_vmsa;
    for count in 1..=MOST_VCPUS {
        // One more page on top of what there is: as a launch with one vCPU that starts from there.
        let page = if count == 1 { bsp } else { ap };
        value = launch_digest(&value, page, page, gpa, 1).ok()?;
        if value == *found {
            return Some(count);
        }
    }
    None
}

/// The same files on another CPU model or with other features.
fn other(profile: &SnpProfile, found: &Digest) -> Option<String> {
    let vmm = vmm_profile(&profile.vmm)?;
    let expected = Expected {
        pre_vmsa: profile.launch.pre_vmsa,
        vmm: &vmm,
        vcpu_type: &profile.params.vcpu_type,
        guest_features: profile.params.guest_features,
        ap_reset: USUAL_AP_RESET,
    };
    other_shape(&expected, found).map(|shape| format!("{shape}: the pin has no profile for that"))
}
