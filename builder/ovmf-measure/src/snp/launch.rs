//! The launch digest as a transcript: firmware, metadata pages, kernel hashes, then one VMSA per vCPU.

use std::num::NonZeroU32;

use super::page::{self, PageInfo, PageType};
use super::profile::{CpuidOrder, SecMem, VmmProfile, vmm_profile};
use super::{DirectBoot, KernelHashes, cpu_model, pages, vmsa};
use crate::digest::{Algorithm, Digest};
use crate::firmware::{Firmware, FirmwareError, PAGE, SevSection, SevSectionKind};
use crate::transcript::{self, ControlledBy, Event, Input, Kind, Op, Register, Transcript, TranscriptError};

/// KVM's limit is 4096 (`KVM_MAX_VCPUS` at most); more is a typing error or hostile.
const MAX_VCPUS: u32 = 4096;

/// What is launched.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The firmware file.
    pub firmware: &'a [u8],
    /// Kernel, initrd and cmdline, if the VMM hands them over.
    pub boot: Option<DirectBoot<'a>>,
    /// CPU model, by its QEMU name.
    pub vcpu_type: &'a str,
    /// `SEV_FEATURES` of the VMSA: 1 is SNP alone, 0x21 adds debug-swap, which some host kernels set.
    pub guest_features: u64,
    /// VMM, by its profile's name: `qemu`, `ec2`, `gce`.
    pub vmm: &'a str,
}

/// A launch, for any number of vCPUs. 144 bytes (three digests) determine all launch digests of one CPU model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Launch digest before the first VMSA.
    pub pre_vmsa: Digest,
    /// SHA-384 of the boot processor's VMSA page.
    pub bsp_vmsa: Digest,
    /// SHA-384 of every other vCPU's VMSA page.
    pub ap_vmsa: Digest,
    /// Address at which the VMM adds VMSAs.
    pub vmsa_gpa: u64,
    /// Address at which application processors start.
    pub ap_reset: u32,
    /// Events before the VMSAs.
    events: Vec<Event>,
    /// What the VMSA depends on, for the events' sources.
    vcpu_type: String,
    vmm: String,
}

/// Computes everything about a launch that doesn't depend on the number of vCPUs.
pub fn measure(request: &Request<'_>) -> Result<Launch, SnpError> {
    let vmm = vmm_profile(request.vmm).ok_or_else(|| SnpError::UnknownVmm(request.vmm.to_owned()))?;
    let cpu = cpu_model(request.vcpu_type).ok_or_else(|| SnpError::UnknownCpu(request.vcpu_type.to_owned()))?;
    if request.guest_features & 1 == 0 {
        return Err(SnpError::NotSnp(request.guest_features));
    }
    let firmware = Firmware::parse(request.firmware)?;

    let mut events = vec![firmware_event(&firmware)];
    events.extend(metadata_events(&firmware, request.boot.as_ref(), &vmm)?);
    let values = transcript::registers(&events)?;
    let pre_vmsa = values.get(&Register::Launch).and_then(|v| v.first()).copied();

    let ap_reset = firmware.ap_reset_address()?;
    let page_hash = |reset| Algorithm::Sha384.hash(&vmsa::vmsa_page(&vmm, reset, cpu.signature, request.guest_features));
    Ok(Launch {
        pre_vmsa: pre_vmsa.unwrap_or(Algorithm::Sha384.zero()),
        bsp_vmsa: page_hash(vmsa::BSP_RESET),
        ap_vmsa: page_hash(ap_reset),
        vmsa_gpa: vmm.vmsa_gpa(),
        ap_reset,
        events,
        vcpu_type: request.vcpu_type.to_owned(),
        vmm: vmm.id,
    })
}

impl Launch {
    /// The launch digest with `vcpus` vCPUs.
    pub fn digest_for(&self, vcpus: u32) -> Result<Digest, SnpError> {
        launch_digest(&self.pre_vmsa, &self.bsp_vmsa, &self.ap_vmsa, self.vmsa_gpa, vcpus)
    }

    /// All events with `vcpus` vCPUs; they fold to [`Launch::digest_for`] of the same number.
    pub fn transcript(&self, vcpus: u32) -> Result<Transcript, SnpError> {
        let count = vcpu_count(vcpus)?;
        let mut events = self.events.clone();
        events.push(self.vmsa_event(self.bsp_vmsa, 1, "boot processor"));
        if count > 1 {
            events.push(self.vmsa_event(self.ap_vmsa, count - 1, "application processors"));
        }
        Ok(Transcript { algorithm: Algorithm::Sha384, events })
    }

    fn vmsa_event(&self, digest: Digest, count: u64, which: &str) -> Event {
        let how = format!("initial registers of {which}: CPU model {}, VMM {}, SEV features", self.vcpu_type, self.vmm);
        let pages = PageInfo { page_type: PageType::Vmsa, gpa: self.vmsa_gpa, step: 0, count };
        Event {
            op: Op::SnpPages(pages),
            size: Some(PAGE as u64),
            ..Event::extend(Register::Launch, Kind::Vmsa, digest, Input::VcpuType, ControlledBy::Host, how)
        }
    }
}

/// The launch digest with `vcpus` vCPUs, from the three digests that a pin carries. Costs one hash per vCPU.
pub fn launch_digest(
    pre_vmsa: &Digest,
    bsp_vmsa: &Digest,
    ap_vmsa: &Digest,
    vmsa_gpa: u64,
    vcpus: u32,
) -> Result<Digest, SnpError> {
    let others = vcpu_count(vcpus)? - 1;
    let vmsas = |count| PageInfo { page_type: PageType::Vmsa, gpa: vmsa_gpa, step: 0, count };
    let after_bsp = vmsas(1).update(pre_vmsa, bsp_vmsa).ok_or(SnpError::BadParts)?;
    vmsas(others).update(&after_bsp, ap_vmsa).ok_or(SnpError::BadParts)
}

fn vcpu_count(vcpus: u32) -> Result<u64, SnpError> {
    match NonZeroU32::new(vcpus) {
        Some(count) if vcpus <= MAX_VCPUS => Ok(count.get().into()),
        _ => Err(SnpError::VcpuCount(vcpus)),
    }
}

/// The whole file, page by page; a pin carries only the value after the last.
fn firmware_event(firmware: &Firmware<'_>) -> Event {
    let mut value = [0; 48];
    let mut gpa = firmware.gpa();
    for contents in pages::hashes(firmware.bytes()) {
        value = page::update(&value, PageType::Normal, gpa, &contents);
        gpa += PAGE as u64;
    }
    let how = "launch digest after the whole firmware file, page by page, ending at 4 GiB";
    let digest = Digest::Sha384(value);
    let event = Event::extend(Register::Launch, Kind::Firmware, digest, Input::Firmware, ControlledBy::Firmware, how);
    Event { op: Op::Set, ..event.sized(firmware.bytes()) }
}

fn metadata_events(firmware: &Firmware<'_>, boot: Option<&DirectBoot<'_>>, vmm: &VmmProfile) -> Result<Vec<Event>, SnpError> {
    let metadata = firmware.sev_metadata()?;
    let hashes_page = match boot {
        Some(boot) if metadata.has_kernel_hashes() => Some(hashes_page(firmware, boot)?),
        Some(_) => return Err(SnpError::NoKernelHashes),
        None => None,
    };
    let mut sections: Vec<&SevSection> = metadata.sections.iter().collect();
    if vmm.cpuid == CpuidOrder::Last {
        // Stable, so everything else keeps its order.
        sections.sort_by_key(|section| section.kind == SevSectionKind::Cpuid);
    }
    sections.into_iter().map(|section| section_event(section, hashes_page.as_ref(), vmm)).collect()
}

fn hashes_page(firmware: &Firmware<'_>, boot: &DirectBoot<'_>) -> Result<Digest, SnpError> {
    let gpa = firmware.hash_table_gpa().ok_or(SnpError::NoHashTable)?;
    let offset = usize::try_from(gpa % PAGE as u64).map_err(|_| SnpError::NoHashTable)?;
    let page = KernelHashes::of(boot).page(offset).ok_or(SnpError::NoHashTable)?;
    Ok(Algorithm::Sha384.hash(&page))
}

fn section_event(section: &SevSection, hashes_page: Option<&Digest>, vmm: &VmmProfile) -> Result<Event, SnpError> {
    let zero = Algorithm::Sha384.zero();
    let pages = |page_type| PageInfo { page_type, gpa: section.gpa, step: PAGE as u64, count: section.pages };
    if let (SevSectionKind::KernelHashes, Some(digest)) = (section.kind, hashes_page) {
        if section.pages != 1 {
            return Err(SnpError::HashesPageCount(section.pages));
        }
        let how = "page with the SHA-256 of cmdline (with its NUL), initrd and kernel";
        let event = Event::extend(Register::Launch, Kind::KernelHashes, *digest, Input::Kernel, ControlledBy::Image, how);
        return Ok(Event { op: Op::SnpPages(pages(PageType::Normal)), size: Some(PAGE as u64), ..event });
    }
    let (page_type, what) = match section.kind {
        SevSectionKind::SecMem if vmm.sec_mem == SecMem::Unmeasured => (PageType::Unmeasured, "SEC memory"),
        SevSectionKind::SecMem => (PageType::Zero, "SEC memory"),
        SevSectionKind::Secrets => (PageType::Secrets, "secrets page"),
        SevSectionKind::Cpuid => (PageType::Cpuid, "CPUID page"),
        SevSectionKind::SvsmCaa => (PageType::Zero, "SVSM calling area"),
        SevSectionKind::KernelHashes => (PageType::Zero, "kernel hashes page, empty because no kernel is handed over"),
    };
    // Secrets and CPUID are single pages however large the section is declared.
    let single = matches!(section.kind, SevSectionKind::Secrets | SevSectionKind::Cpuid);
    if single && section.pages != 1 {
        return Err(SnpError::SinglePage { what, pages: section.pages });
    }
    let how = format!("{what}: address and page type, from the SEV metadata");
    let event = Event::extend(Register::Launch, Kind::SevMetadata, zero, Input::Firmware, ControlledBy::Firmware, how);
    Ok(Event { op: Op::SnpPages(pages(page_type)), ..event })
}

/// Why a launch digest can't be predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnpError {
    /// The firmware file is unusable for SNP; the cause says in what way.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The firmware doesn't check kernel, initrd and cmdline, so the digest wouldn't cover them.
    #[error(
        "a kernel is given, but the firmware has no KERNEL_HASHES section: it would run any kernel, and the launch \
             digest would not cover it. Use the AmdSev build of OVMF, or boot from a disk without --kernel"
    )]
    NoKernelHashes,
    /// A KERNEL_HASHES section, but no usable place for the table in the footer.
    #[error("firmware has a KERNEL_HASHES section, but its footer table doesn't say where in the page the hashes go")]
    NoHashTable,
    /// The hashes fill one page, the firmware reserves another number.
    #[error("firmware reserves {0} pages for the kernel hashes; exactly one is defined")]
    HashesPageCount(u64),
    /// A section that is one page by definition has another length; VMMs differ in what they make of it.
    #[error("firmware declares {pages} pages for the {what}; exactly one is defined")]
    SinglePage {
        /// Which section.
        what: &'static str,
        /// Declared pages.
        pages: u64,
    },
    /// No profile describes this VMM; its initial register state can't be guessed.
    #[error("unknown VMM {0:?}; known: qemu, ec2, gce, gce-52bit")]
    UnknownVmm(String),
    /// Not a model of the table; its CPUID signature is measured and can't be guessed.
    #[error("unknown CPU model {0:?}; give a QEMU name such as EPYC-v4, EPYC-Milan, EPYC-Genoa, EPYC-Turin")]
    UnknownCpu(String),
    /// SEV_FEATURES without bit 0 isn't an SNP guest.
    #[error("guest features {0:#x} lack bit 0 (SNP active); the usual values are 0x1 and 0x21")]
    NotSnp(u64),
    /// No vCPU, or more than KVM can have.
    #[error("{0} vCPUs; give 1 to 4096")]
    VcpuCount(u32),
    /// `pre_vmsa`, `bsp_vmsa` or `ap_vmsa` isn't SHA-384, or the VMSA address isn't possible: a damaged pin.
    #[error("pre_vmsa, bsp_vmsa and ap_vmsa must be SHA-384 digests and the VMSA address page-aligned within 52 bits")]
    BadParts,
    /// The firmware's sections can't be folded (address range); from hostile metadata only.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
}
