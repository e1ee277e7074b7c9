//! Profiles: the platforms for which launch measurements are predicted.
//!
//! A profile says what the host would start: which firmware, which VMM, how the kernel gets in, and the parameters that
//! the measurement depends on. It is data for the measuring side; nothing here knows how a register is calculated.

use super::words;
use crate::error::ProblemKind;
use crate::reader::{Cursor, Fields, shorten};
use crate::value::{Name, RootPath};

use super::FirmwarePlatform;

/// One entry of `profiles:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Names it in pins and on the command line.
    pub id: Name,
    /// The firmware that the guest starts with.
    pub firmware: FirmwareFile,
    /// The virtual machine monitor.
    pub vmm: Vmm,
    /// How the kernel gets into the guest.
    pub boot: Boot,
    /// `tee:` and its `params:`.
    pub platform: Platform,
}

/// Where a firmware file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirmwareFile {
    /// `firmware: amdsev`: built here, from `firmware.source`.
    Built(FirmwarePlatform),
    /// `firmware: {root: run, path: usr/share/OVMF/OVMF_CODE_4M.fd}`: a file of an unpacked root.
    InRoot {
        /// One of [`Spec::roots`](super::Spec::roots).
        root: Name,
        /// The file in it.
        path: RootPath,
    },
}

/// Virtual machine monitors whose way of starting a guest is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Vmm {
    /// `qemu`
    Qemu,
}

/// How the kernel gets into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// `direct`: kernel, initrd and command line handed over by the VMM.
    Direct,
    /// `disk`: the unified kernel image on the EFI system partition of the disk.
    Disk,
}

/// The confidential-computing technology, with the parameters that its measurement depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// `tee: sev-snp`
    SevSnp(SnpParams),
    /// `tee: tdx`
    Tdx(TdxParams),
    /// `tee: tpm2`
    Tpm2(TpmParams),
}

/// `params:` of an SEV-SNP profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpParams {
    /// QEMU's names of processor models (`EPYC-Milan`), at least one: the processor's signature is in the VMSA.
    pub vcpu_types: Vec<String>,
    /// Bits of SEV_FEATURES in the VMSA; bit 0 is SNP itself. 1 unless said otherwise.
    pub guest_features: u64,
    /// Numbers of vCPUs to print a launch digest for; any other number can be calculated from the pin.
    pub vcpus: Vec<u32>,
}

/// `params:` of a TDX profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxParams {
    /// In what order the initial memory is added and extended. `page` unless said otherwise.
    pub page_order: PageOrder,
    /// Direct boot only: which headers of the kernel the firmware may come to measure, at least one.
    pub kernel_header: Vec<KernelHeader>,
    /// Direct boot only: sizes of the guest's memory in MiB, at least one. A patched header holds the initrd's address, which
    /// they decide; all sizes from 2816 on give the same. 4096 unless said otherwise.
    pub memory: Vec<u32>,
}

/// `params:` of a TPM profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmParams {
    /// Which PCRs. `sha256` unless said otherwise.
    pub bank: PcrBank,
    /// Direct boot only: which headers of the kernel the firmware may come to measure, at least one.
    pub kernel_header: Vec<KernelHeader>,
    /// Direct boot only: sizes of the guest's memory in MiB, at least one. A patched header holds the initrd's address, which
    /// they decide; all sizes from 2816 on give the same. 4096 unless said otherwise.
    pub memory: Vec<u32>,
}

/// In what order a VMM adds initial memory to a TD and extends MRTD by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOrder {
    /// `page`: each page is added and extended before the next one. Mainline KVM.
    Page,
    /// `section`: all pages of a section are added, then all are extended. An early vendor stack.
    Section,
}

/// The setup header of a directly booted kernel, as the firmware gets to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelHeader {
    /// `raw`: as built. QEMU 10 with a firmware that reads it (OVMF 2025.02).
    Raw,
    /// `patched`: QEMU has written boot loader type, load flags and addresses into it.
    Patched,
}

/// A bank of PCRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcrBank {
    /// `sha256`
    Sha256,
    /// `sha384`
    Sha384,
}

words!(Vmm { Qemu = "qemu" });
words!(Boot { Direct = "direct", Disk = "disk" });
words!(PageOrder { Page = "page", Section = "section" });
words!(KernelHeader { Raw = "raw", Patched = "patched" });
words!(PcrBank { Sha256 = "sha256", Sha384 = "sha384" });

impl Platform {
    /// The word for it in specs and pins.
    pub fn tee(&self) -> &'static str {
        match self {
            Platform::SevSnp(_) => "sev-snp",
            Platform::Tdx(_) => "tdx",
            Platform::Tpm2(_) => "tpm2",
        }
    }
}

/// Memory, in MiB, that a profile is for if it doesn't say.
const DEFAULT_MEMORY: &[u32] = &[4096];

/// Which reader of `params:` belongs to a `tee:`.
#[derive(Clone, Copy, PartialEq)]
enum Tee {
    SevSnp,
    Tdx,
    Tpm2,
}

const TEES: &[(&str, Tee)] = &[("sev-snp", Tee::SevSnp), ("tdx", Tee::Tdx), ("tpm2", Tee::Tpm2)];

pub(super) fn read(cursor: &Cursor<'_>) -> Option<Profile> {
    let fields = cursor.fields(&["id", "tee", "firmware", "vmm", "boot", "params"])?;
    let (id, tee) = (fields.need("id", Cursor::value), fields.need("tee", |c| c.choice(TEES)));
    let (firmware, vmm) = (fields.need("firmware", firmware_file), fields.or("vmm", Vmm::Qemu, |c| c.choice(Vmm::WORDS)));
    let boot = fields.need("boot", |c| c.choice(Boot::WORDS));
    let profile = Profile { id: id?, platform: platform(&fields, tee?, boot?)?, firmware: firmware?, vmm: vmm?, boot: boot? };
    match (&profile.platform, &profile.firmware, profile.boot) {
        (Platform::SevSnp(_), _, Boot::Disk) => cursor.refuse(
            ProblemKind::BadValue,
            "with SEV-SNP only a direct boot is measured: the launch digest covers the kernel through the firmware's hash table",
            "write `boot: direct`",
        ),
        (Platform::SevSnp(_), FirmwareFile::Built(FirmwarePlatform::IntelTdx), _)
        | (Platform::Tdx(_), FirmwareFile::Built(FirmwarePlatform::AmdSev), _) => cursor.refuse(
            ProblemKind::BadValue,
            format!("the firmware isn't one that starts a guest with `tee: {}`", profile.platform.tee()),
            "use `amdsev` for sev-snp and `inteltdx` for tdx",
        ),
        _ => Some(profile),
    }
}

fn firmware_file(cursor: &Cursor<'_>) -> Option<FirmwareFile> {
    if !cursor.is_map() {
        return cursor.choice(FirmwarePlatform::WORDS).map(FirmwareFile::Built);
    }
    let fields = cursor.fields(&["root", "path"])?;
    let (root, path) = (fields.need("root", Cursor::value), fields.need("path", Cursor::value));
    Some(FirmwareFile::InRoot { root: root?, path: path? })
}

fn platform(fields: &Fields<'_>, tee: Tee, boot: Boot) -> Option<Platform> {
    match tee {
        Tee::SevSnp => fields.need("params", snp).map(Platform::SevSnp),
        Tee::Tdx => {
            let default = TdxParams {
                page_order: PageOrder::Page,
                kernel_header: vec![KernelHeader::Raw],
                memory: DEFAULT_MEMORY.to_vec(),
            };
            fields.or("params", default, |c| tdx(c, boot)).map(Platform::Tdx)
        }
        Tee::Tpm2 => {
            let default =
                TpmParams { bank: PcrBank::Sha256, kernel_header: vec![KernelHeader::Raw], memory: DEFAULT_MEMORY.to_vec() };
            fields.or("params", default, |c| tpm(c, boot)).map(Platform::Tpm2)
        }
    }
}

fn snp(cursor: &Cursor<'_>) -> Option<SnpParams> {
    let fields = cursor.fields(&["vcpu_types", "guest_features", "vcpus"])?;
    let vcpu_types = fields.need("vcpu_types", |c| not_empty(c, c.unique_list(String::clone, vcpu_type)?));
    let guest_features = fields.or("guest_features", 1, |c| match c.integer()? {
        features if features & 1 == 1 => Some(features),
        features => c.refuse(ProblemKind::BadValue, format!("{features} lacks bit 0, which is SNP itself"), "write 1"),
    });
    let vcpus = fields.or("vcpus", vec![1], |c| {
        // 512 is the most that QEMU's q35 machine type with the default APIC ids takes without further options.
        not_empty(c, c.unique_list(u32::to_string, |item| item.integer_in(1, 512).and_then(|n| u32::try_from(n).ok()))?)
    });
    Some(SnpParams { vcpu_types: vcpu_types?, guest_features: guest_features?, vcpus: vcpus? })
}

fn vcpu_type(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return Some(text.to_owned());
    }
    cursor.refuse(
        ProblemKind::BadValue,
        format!("`{}` isn't the name of a processor model", shorten(text)),
        "write it as QEMU's `-cpu` does, such as EPYC-Milan",
    )
}

fn tdx(cursor: &Cursor<'_>, boot: Boot) -> Option<TdxParams> {
    let fields = cursor.fields(&["page_order", "kernel_header", "memory"])?;
    let page_order = fields.or("page_order", PageOrder::Page, |c| c.choice(PageOrder::WORDS));
    let (kernel_header, memory) = (kernel_header(&fields, boot), memory(&fields, boot));
    Some(TdxParams { kernel_header: kernel_header?, memory: memory?, page_order: page_order? })
}

fn tpm(cursor: &Cursor<'_>, boot: Boot) -> Option<TpmParams> {
    let fields = cursor.fields(&["bank", "kernel_header", "memory"])?;
    let bank = fields.or("bank", PcrBank::Sha256, |c| c.choice(PcrBank::WORDS));
    let (kernel_header, memory) = (kernel_header(&fields, boot), memory(&fields, boot));
    Some(TpmParams { kernel_header: kernel_header?, memory: memory?, bank: bank? })
}

fn kernel_header(fields: &Fields<'_>, boot: Boot) -> Option<Vec<KernelHeader>> {
    fields.or("kernel_header", vec![KernelHeader::Raw], |c| match boot {
        Boot::Direct => not_empty(c, c.unique_list(KernelHeader::to_string, |item| item.choice(KernelHeader::WORDS))?),
        Boot::Disk => c.refuse(
            ProblemKind::BadValue,
            "a kernel that is booted from disk is measured as it stands in the unified kernel image",
            "remove the field, or write `boot: direct`",
        ),
    })
}

fn memory(fields: &Fields<'_>, boot: Boot) -> Option<Vec<u32>> {
    fields.or("memory", DEFAULT_MEMORY.to_vec(), |c| match boot {
        // 16 TiB is the most that a guest of 44 physical address bits can have.
        Boot::Direct => {
            not_empty(c, c.unique_list(u32::to_string, |item| item.integer_in(64, 16 << 20).and_then(|n| u32::try_from(n).ok()))?)
        }
        Boot::Disk => c.refuse(
            ProblemKind::BadValue,
            "nothing that is measured in a boot from disk depends on the guest's memory",
            "remove the field, or write `boot: direct`",
        ),
    })
}

pub(super) fn not_empty<T>(cursor: &Cursor<'_>, list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() {
        return cursor.refuse(ProblemKind::BadValue, "the list is empty", "list at least one");
    }
    Some(list)
}
