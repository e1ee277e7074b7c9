//! The SEV metadata (`OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`): pages that the VMM adds beside the firmware, in the
//! order in which it adds them.

use super::{FirmwareError, PAGE};
use crate::read;

/// More than any build has, few enough that hostile metadata can't ask for hours of hashing.
const MAX_SECTIONS: u32 = 64;
/// No build asks for more than a few hundred pages; more is hostile.
const MAX_SECTION_SIZE: u32 = 16 << 20;

/// What a section's pages are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SevSectionKind {
    /// Memory that the SEC phase uses before it can validate any: zero pages.
    SecMem,
    /// The secrets page.
    Secrets,
    /// The CPUID page.
    Cpuid,
    /// The calling area of a secure VM service module.
    SvsmCaa,
    /// The page that holds the table of kernel hashes.
    KernelHashes,
}

/// A range of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SevSection {
    /// Guest-physical address, page-aligned.
    pub gpa: u64,
    /// Number of pages; may be zero in builds that leave a section out.
    pub pages: u64,
    /// What for.
    pub kind: SevSectionKind,
}

/// The sections, in table order, which is the order of measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SevMetadata {
    /// The sections.
    pub sections: Vec<SevSection>,
}

impl SevMetadata {
    pub(super) fn parse(firmware: &[u8], start: usize) -> Result<Self, FirmwareError> {
        let damaged = FirmwareError::SevMetadata;
        let header = read::slice(firmware, start, 16).ok_or(damaged("its offset lies outside the file"))?;
        if header[..4] != *b"ASEV" {
            return Err(damaged("its signature isn't `ASEV`"));
        }
        let word = |offset| read::u32(header, offset).unwrap_or_default();
        let (size, version, count) = (word(4), word(8), word(12));
        if version != 1 {
            return Err(damaged("its version isn't 1"));
        }
        if count > MAX_SECTIONS || u64::from(size) != 16 + 12 * u64::from(count) {
            return Err(damaged("its length doesn't fit its number of sections"));
        }
        let body = read::slice(firmware, start + 16, 12 * read::index(count));
        let body = body.ok_or(damaged("its sections lie outside the file"))?;
        let sections = body.as_chunks::<12>().0.iter().map(section).collect::<Result<_, _>>()?;
        Ok(Self { sections })
    }

    /// Whether the firmware has a page for the kernel hashes, i.e. checks kernel, initrd and cmdline.
    pub fn has_kernel_hashes(&self) -> bool {
        self.sections.iter().any(|s| s.kind == SevSectionKind::KernelHashes && s.pages > 0)
    }
}

fn section(bytes: &[u8; 12]) -> Result<SevSection, FirmwareError> {
    let word = |offset| read::u32(bytes, offset).unwrap_or_default();
    let (gpa, size) = (word(0), word(4));
    let kind = match word(8) {
        1 => SevSectionKind::SecMem,
        2 => SevSectionKind::Secrets,
        3 => SevSectionKind::Cpuid,
        4 => SevSectionKind::SvsmCaa,
        0x10 => SevSectionKind::KernelHashes,
        other => return Err(FirmwareError::UnknownSevSection(other)),
    };
    if !read::index(gpa).is_multiple_of(PAGE) || !read::index(size).is_multiple_of(PAGE) {
        return Err(FirmwareError::SevMetadata("a section isn't made of whole pages"));
    }
    if size > MAX_SECTION_SIZE || gpa.checked_add(size).is_none() {
        return Err(FirmwareError::SevMetadata("a section reaches past 4 GiB or is implausibly large"));
    }
    Ok(SevSection { gpa: gpa.into(), pages: u64::from(size) / 4096, kind })
}
