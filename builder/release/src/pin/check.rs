//! What must hold before contents are a pin: possible names and numbers, and registers that are the fold of their events.

use std::collections::{BTreeMap, BTreeSet};

use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::snp::{PageInfo, PageType, vmm_profile};
use ovmf_measure::transcript::{Event, Kind, Op, Register, registers};

use super::{Boot, Contents, KernelHeader, PinError, Profile, SCHEMA, SnpProfile, TdxProfile, TpmProfile};
use crate::canonical::MAX_INTEGER;

pub(super) fn contents(contents: &Contents) -> Result<(), PinError> {
    if contents.schema != SCHEMA {
        return Err(PinError::Schema { found: format!("{:?}", contents.schema) });
    }
    name("image.name", &contents.image.name)?;
    name("image.version", &contents.image.version)?;
    if contents.image.cmdline.chars().any(char::is_control) {
        return value("image.cmdline", "has a control character, which no kernel command line may have");
    }
    let image = &contents.image;
    let files = [("kernel", &image.kernel), ("initrd", &image.initrd), ("uki", &image.uki), ("disk", &image.disk)];
    for (field, file) in files {
        size(&format!("image.{field}.size"), file.size)?;
    }
    let mut models = BTreeSet::new();
    for model in &contents.models {
        name("models.name", &model.name)?;
        size("models.size", model.size)?;
        if !models.insert(&model.name) {
            return value("models", &format!("{} is listed twice", model.name));
        }
    }
    if let Some(validity) = contents.validity
        && validity.not_before > validity.not_after
    {
        return value("validity", "ends before it begins");
    }
    let mut ids = BTreeSet::new();
    for profile in &contents.profiles {
        name("profiles.id", profile.id())?;
        if !ids.insert(profile.id()) {
            return value("profiles", &format!("{} is listed twice", profile.id()));
        }
        match profile {
            Profile::Snp(profile) => snp(profile)?,
            Profile::Tdx(profile) => tdx(profile)?,
            Profile::Tpm(profile) => tpm(profile)?,
        }
    }
    Ok(())
}

/// The events are those of two vCPUs: everything before the VMSAs, the boot processor's, one application processor's.
fn snp(profile: &SnpProfile) -> Result<(), PinError> {
    let id = &profile.id;
    file(id, &profile.firmware)?;
    name(&format!("{id}.params.vcpu_type"), &profile.params.vcpu_type)?;
    size(&format!("{id}.params.guest_features"), profile.params.guest_features)?;
    let Some(vmm) = vmm_profile(&profile.vmm) else {
        return value(&format!("{id}.vmm"), &format!("{:?} is no VMM whose launch is known", profile.vmm));
    };
    let shape = || value(&format!("{id}.events"), "must be the launch's pages, ending with the VMSAs of two vCPUs");
    let Some((ap, rest)) = profile.events.split_last() else { return shape() };
    let Some((bsp, before)) = rest.split_last() else { return shape() };
    let vmsa = Op::SnpPages(PageInfo { page_type: PageType::Vmsa, gpa: vmm.vmsa_gpa(), step: 0, count: 1 });
    let is_vmsa = |event: &Event| event.kind == Kind::Vmsa && event.op == vmsa && event.register == Register::Launch;
    if !is_vmsa(bsp) || !is_vmsa(ap) || before.iter().any(|event| event.kind == Kind::Vmsa || event.register != Register::Launch)
    {
        return shape();
    }
    if profile.events.iter().any(|event| !event.or.is_empty()) {
        return value(&format!("{id}.events"), "have alternatives, which a launch digest can't have");
    }
    let folded = fold(id, before)?;
    let pre_vmsa = folded.get(&Register::Launch).and_then(|values| values.first());
    let launch = &profile.launch;
    let parts = [
        ("pre_vmsa", launch.pre_vmsa, pre_vmsa.copied()),
        ("bsp_vmsa", launch.bsp_vmsa, Some(bsp.digest)),
        ("ap_vmsa", launch.ap_vmsa, Some(ap.digest)),
    ];
    for (field, stated, recomputed) in parts {
        same(id, field, stated, recomputed)?;
    }
    for (count, stated) in &launch.by_vcpus {
        let recomputed = profile
            .launch_digest(count.get())
            .map_err(|e| PinError::Value { field: format!("{id}.launch"), problem: e.to_string() })?;
        same(id, &format!("by_vcpus.{count}"), *stated, Some(recomputed))?;
    }
    Ok(())
}

fn same(id: &str, field: &str, stated: Digest, recomputed: Option<Digest>) -> Result<(), PinError> {
    if recomputed == Some(stated) && stated.algorithm() == Algorithm::Sha384 {
        return Ok(());
    }
    let recomputed = recomputed.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
    Err(PinError::Launch { profile: id.to_owned(), field: field.to_owned(), stated: stated.to_string(), recomputed })
}

fn tdx(profile: &TdxProfile) -> Result<(), PinError> {
    let id = &profile.id;
    file(id, &profile.firmware)?;
    name(&format!("{id}.vmm"), &profile.vmm)?;
    let params = &profile.params;
    name(&format!("{id}.params.behaviour"), &params.behaviour)?;
    boot(id, params.boot, &params.kernel_header, &params.memory_mib)?;
    let launch = &profile.launch;
    let mut stated = BTreeMap::from([(Register::Mrtd, &launch.mrtd)]);
    for (number, values) in (0u8..).zip([&launch.rtmr0, &launch.rtmr1, &launch.rtmr2, &launch.rtmr3]) {
        stated.extend(values.as_ref().map(|values| (Register::Rtmr(number), values)));
    }
    compare(id, Algorithm::Sha384, &stated, &profile.events)
}

fn tpm(profile: &TpmProfile) -> Result<(), PinError> {
    let id = &profile.id;
    match &profile.firmware {
        super::Firmware::File(named) => file(id, named)?,
        super::Firmware::Packaged(packaged) => {
            for text in [&packaged.name, &packaged.package, &packaged.version, &packaged.path] {
                if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
                    return value(&format!("{id}.firmware"), "has an empty field or one with white space");
                }
            }
        }
    }
    name(&format!("{id}.vmm"), &profile.vmm)?;
    let params = &profile.params;
    name(&format!("{id}.params.behaviour"), &params.behaviour)?;
    boot(id, params.boot, &params.kernel_header, &params.memory_mib)?;
    let launch = &profile.launch;
    let field = format!("{id}.launch.unpinned");
    if !launch.unpinned.is_sorted_by(|a, b| a < b) || launch.unpinned.iter().any(|pcr| *pcr > 23) {
        return value(&field, "must be numbers of PCRs, each once, in order");
    }
    if let Some(both) = launch.pcrs.keys().find(|pcr| launch.unpinned.contains(&pcr.get())) {
        return value(&field, &format!("has PCR {both}, which is pinned as well"));
    }
    let stated = launch.pcrs.iter().map(|(pcr, values)| (Register::Pcr(pcr.get()), values)).collect();
    compare(id, launch.bank, &stated, &profile.events)
}

/// Every stated register is the fold of its events, and there are no events of any other.
fn compare(id: &str, algorithm: Algorithm, stated: &BTreeMap<Register, &Vec<Digest>>, events: &[Event]) -> Result<(), PinError> {
    let folded = fold(id, events)?;
    let registers: BTreeSet<&Register> = stated.keys().chain(folded.keys()).collect();
    for register in registers {
        let (stated, folded) = (stated.get(register).copied(), folded.get(register));
        let right = stated.is_some_and(|values| values.iter().all(|value| value.algorithm() == algorithm));
        if stated != folded || !right {
            return Err(PinError::Register {
                profile: id.to_owned(),
                register: *register,
                stated: list(stated),
                recomputed: list(folded),
            });
        }
    }
    Ok(())
}

fn list(values: Option<&Vec<Digest>>) -> String {
    match values {
        Some(values) if !values.is_empty() => values.iter().map(Digest::to_string).collect::<Vec<_>>().join(" or "),
        _ => "nothing".into(),
    }
}

fn fold(id: &str, events: &[Event]) -> Result<BTreeMap<Register, Vec<Digest>>, PinError> {
    registers(events).map_err(|source| PinError::Transcript { profile: id.to_owned(), source })
}

fn boot(id: &str, boot: Boot, headers: &[KernelHeader], memory: &[u32]) -> Result<(), PinError> {
    let field = format!("{id}.params");
    match boot {
        Boot::Direct if headers.is_empty() => value(&field, "a direct boot needs at least one kernel_header"),
        Boot::Disk if !headers.is_empty() || !memory.is_empty() => {
            value(&field, "kernel_header and memory_mib are empty for a boot from disk")
        }
        _ if headers.contains(&KernelHeader::Patched) == memory.is_empty() => {
            value(&field, "memory_mib goes with a patched kernel_header")
        }
        _ => Ok(()),
    }
}

fn file(id: &str, file: &super::NamedFile) -> Result<(), PinError> {
    name(&format!("{id}.firmware.name"), &file.name)?;
    size(&format!("{id}.firmware.size"), file.size)
}

/// Names end up in file names, messages and tables.
fn name(field: &str, text: &str) -> Result<(), PinError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let fine =
        (1..=128).contains(&text.len()) && text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match fine {
        true => Ok(()),
        false => value(
            field,
            &format!("{:?} must be letters, digits and any of `._+-`, at most 128", text.chars().take(140).collect::<String>()),
        ),
    }
}

fn size(field: &str, size: u64) -> Result<(), PinError> {
    match size {
        0..=MAX_INTEGER => Ok(()),
        _ => value(field, &format!("{size} is beyond {MAX_INTEGER}")),
    }
}

fn value<T>(field: &str, problem: &str) -> Result<T, PinError> {
    Err(PinError::Value { field: field.to_owned(), problem: problem.to_owned() })
}
