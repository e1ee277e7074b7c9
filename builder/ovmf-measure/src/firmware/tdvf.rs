//! The TDVF metadata (Intel TDX Virtual Firmware Design Guide, section 11): what a TD's initial memory is made of.

use super::{FirmwareError, PAGE};
use crate::guid::Guid;
use crate::read;

/// Stands right before the descriptor.
const METADATA_GUID: Guid = Guid::new(0xe9ea_f9f3, 0x168e, 0x44d5, 0xa8eb, 0x7f4d_8738_f6ae);
/// More than any build has.
const MAX_SECTIONS: u32 = 64;
/// The largest section of a real build is the firmware volume itself; a payload is a few ten MiB.
const MAX_SECTION_SIZE: u64 = 256 << 20;
/// Section attribute: its content is measured into MRTD.
const MR_EXTEND: u32 = 1 << 0;
/// Section attribute: its pages are added at run time, so not even their addresses are measured.
const PAGE_AUG: u32 = 1 << 1;

/// What a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TdvfSectionKind {
    /// Boot firmware volume: the code.
    Bfv,
    /// Configuration firmware volume: the variable store.
    Cfv,
    /// Where the VMM puts the TD HOB.
    TdHob,
    /// Scratch memory.
    TempMem,
    /// Memory that the TD keeps.
    PermMem,
    /// A kernel in the firmware image.
    Payload,
    /// Parameters of that kernel.
    PayloadParam,
    /// Information on the TD.
    TdInfo,
    /// Parameters of the TD.
    TdParams,
}

/// A section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TdvfSection {
    /// Offset of its data in the file.
    pub offset: usize,
    /// Length of its data; zero if it has none.
    pub size: usize,
    /// Guest-physical address, page-aligned.
    pub gpa: u64,
    /// Length in memory, in bytes; at least `size`.
    pub memory: u64,
    /// What it is.
    pub kind: TdvfSectionKind,
    /// Its content is measured into MRTD.
    pub extended: bool,
    /// Its pages are added at run time and not measured at all.
    pub augmented: bool,
}

impl TdvfSection {
    /// The section's bytes in the file that it was parsed from.
    pub fn data<'a>(&self, firmware: &'a [u8]) -> &'a [u8] {
        read::slice(firmware, self.offset, self.size).unwrap_or_default()
    }
}

/// The sections, in table order, which is the order of measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdvfMetadata {
    /// The sections.
    pub sections: Vec<TdvfSection>,
}

impl TdvfMetadata {
    pub(super) fn parse(firmware: &[u8], start: usize) -> Result<Self, FirmwareError> {
        let damaged = FirmwareError::TdvfMetadata;
        let header = read::slice(firmware, start, 16).ok_or(damaged("its offset lies outside the file"))?;
        let guid = start.checked_sub(16).and_then(|at| read::array(firmware, at)).map(Guid);
        if guid != Some(METADATA_GUID) || header[..4] != *b"TDVF" {
            return Err(damaged("GUID and signature aren't where the footer table says"));
        }
        let word = |offset| read::u32(header, offset).unwrap_or_default();
        let (size, version, count) = (word(4), word(8), word(12));
        if version != 1 {
            return Err(damaged("its version isn't 1"));
        }
        if count > MAX_SECTIONS || u64::from(size) != 16 + 32 * u64::from(count) {
            return Err(damaged("its length doesn't fit its number of sections"));
        }
        let body = read::slice(firmware, start + 16, 32 * read::index(count));
        let body = body.ok_or(damaged("its sections lie outside the file"))?;
        let sections: Vec<_> = body.as_chunks::<32>().0.iter().map(section).collect::<Result<_, _>>()?;
        check(&sections, read::length(firmware))?;
        Ok(Self { sections })
    }

    /// The first section of `kind`.
    pub fn section(&self, kind: TdvfSectionKind) -> Option<&TdvfSection> {
        self.sections.iter().find(|section| section.kind == kind)
    }
}

fn section(bytes: &[u8; 32]) -> Result<TdvfSection, FirmwareError> {
    let damaged = FirmwareError::TdvfMetadata;
    let word = |offset| read::u32(bytes, offset).unwrap_or_default();
    let long = |offset| read::u64(bytes, offset).unwrap_or_default();
    let kind = match word(24) {
        0 => TdvfSectionKind::Bfv,
        1 => TdvfSectionKind::Cfv,
        2 => TdvfSectionKind::TdHob,
        3 => TdvfSectionKind::TempMem,
        4 => TdvfSectionKind::PermMem,
        5 => TdvfSectionKind::Payload,
        6 => TdvfSectionKind::PayloadParam,
        7 => TdvfSectionKind::TdInfo,
        8 => TdvfSectionKind::TdParams,
        other => return Err(FirmwareError::UnknownTdvfSection(other)),
    };
    let (size, gpa, memory, attributes) = (word(4), long(8), long(16), word(28));
    let whole_pages = |n: u64| n.is_multiple_of(4096);
    if !whole_pages(gpa) || !whole_pages(memory) || !read::index(size).is_multiple_of(PAGE) {
        return Err(damaged("a section isn't made of whole pages"));
    }
    if memory > MAX_SECTION_SIZE || gpa.checked_add(memory).is_none_or(|end| end > 1 << 52) {
        return Err(damaged("a section reaches past the address space or is implausibly large"));
    }
    if u64::from(size) > memory {
        return Err(damaged("a section has more data than memory"));
    }
    if attributes & !(MR_EXTEND | PAGE_AUG) != 0 {
        return Err(damaged("a section has unknown attributes"));
    }
    let (extended, augmented) = (attributes & MR_EXTEND != 0, attributes & PAGE_AUG != 0);
    if extended && augmented {
        return Err(damaged("a section is both measured and added at run time"));
    }
    Ok(TdvfSection { offset: read::index(word(0)), size: read::index(size), gpa, memory, kind, extended, augmented })
}

/// What the guide requires of the sections together, and that the file is whole.
fn check(sections: &[TdvfSection], actual: u64) -> Result<(), FirmwareError> {
    let end = |s: &TdvfSection| (s.offset as u64).saturating_add(s.size as u64);
    let described = sections.iter().map(end).max().unwrap_or_default();
    if described > actual {
        return Err(FirmwareError::CodeOnly { described, actual });
    }
    if !sections.iter().any(|s| s.kind == TdvfSectionKind::Bfv && s.size > 0) {
        return Err(FirmwareError::TdvfMetadata("it has no boot firmware volume"));
    }
    let mut used: Vec<_> = sections.iter().filter(|s| s.memory > 0).map(|s| (s.gpa, s.gpa + s.memory)).collect();
    used.sort_unstable();
    if used.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(FirmwareError::TdvfMetadata("two sections overlap in memory"));
    }
    Ok(())
}
