//! PE/COFF images, as far as firmware reads them before it measures them (PE/COFF specification 8.3; EDK2
//! `SecurityPkg/Library/DxeTpm2MeasureBootLib`, `MdePkg/Library/BasePeCoffLib`).

mod authenticode;
mod uki;

pub use authenticode::authenticode;
pub use uki::{STUB_SECTIONS, StubProfile, Uki, UkiError, stub_profiles};

use crate::read;

/// The PE specification's limit of the Windows loader, and more than UKIs have.
const MAX_SECTIONS: u16 = 96;
/// Optional header magic: PE32+ and PE32.
const PE32_PLUS: u16 = 0x20b;
const PE32: u16 = 0x10b;
/// Length of a section header.
const SECTION_HEADER: usize = 40;

/// A section's place in the file and in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Name, up to eight bytes, zero-padded.
    pub name: [u8; 8],
    /// Length in memory.
    pub virtual_size: usize,
    /// Offset in memory.
    pub virtual_address: usize,
    /// Offset in the file.
    pub offset: usize,
    /// Length in the file; a multiple of the file alignment, so usually more than `virtual_size`.
    pub size: usize,
}

impl Section {
    /// The name without its padding, for messages.
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        self.name[..end].escape_ascii().to_string()
    }
}

/// A PE image whose headers are consistent.
#[derive(Debug, Clone)]
pub struct Pe<'a> {
    bytes: &'a [u8],
    checksum: usize,
    /// Offset of the certificate table's directory entry, if the header is long enough to have it.
    certificate_entry: Option<usize>,
    certificate_size: usize,
    headers: usize,
    sections: Vec<Section>,
}

impl<'a> Pe<'a> {
    /// Reads the headers of `bytes`, a whole PE file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PeError> {
        if read::array(bytes, 0) != Some(*b"MZ") {
            return Err(PeError::NotPe("it doesn't begin with `MZ`"));
        }
        let pe = read::index(read::u32(bytes, 0x3c).ok_or(PeError::NotPe("it has no DOS header"))?);
        if read::array(bytes, pe) != Some(*b"PE\0\0") {
            return Err(PeError::NotPe("the DOS header doesn't lead to `PE`"));
        }
        let cut = PeError::Truncated("headers");
        let coff = read::slice(bytes, pe + 4, 20).ok_or(cut.clone())?;
        let count = read::u16(coff, 2).unwrap_or_default();
        let optional_size = usize::from(read::u16(coff, 16).unwrap_or_default());
        let optional = read::slice(bytes, pe + 24, optional_size).ok_or(cut.clone())?;
        let directories = match read::u16(optional, 0) {
            Some(PE32_PLUS) => 112,
            Some(PE32) => 96,
            _ => return Err(PeError::NotPe("its optional header is neither PE32 nor PE32+")),
        };
        let headers = read::index(read::u32(optional, 60).ok_or(cut.clone())?);
        let directory_count = read::u32(optional, directories - 4).ok_or(cut.clone())?;
        // The certificate table is the fifth directory entry; offset and length in the file.
        let certificate = directories + 4 * 8;
        let has_certificate = directory_count > 4 && read::slice(optional, certificate, 8).is_some();
        if directory_count > 4 && !has_certificate {
            return Err(cut);
        }
        let certificate_size =
            if has_certificate { read::index(read::u32(optional, certificate + 4).unwrap_or_default()) } else { 0 };
        let sections_start = pe + 24 + optional_size;
        let image = Self {
            bytes,
            checksum: pe + 24 + 64,
            certificate_entry: has_certificate.then_some(pe + 24 + certificate),
            certificate_size,
            headers,
            sections: sections(bytes, sections_start, count)?,
        };
        image.check(sections_start)?;
        Ok(image)
    }

    /// The sections, in header order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The sections that have bytes in the file, in the order in which they are hashed.
    fn hashed(&self) -> Vec<&Section> {
        let mut sections: Vec<_> = self.sections.iter().filter(|section| section.size > 0).collect();
        sections.sort_by_key(|section| section.offset);
        sections
    }

    /// Firmware hashes overlapping parts twice and other tools once: such a file has no one right digest.
    fn check(&self, sections_start: usize) -> Result<(), PeError> {
        let table_end = sections_start + self.sections.len() * SECTION_HEADER;
        let entry_end = self.certificate_entry.unwrap_or(self.checksum) + 8;
        if self.headers < table_end.max(entry_end) {
            return Err(PeError::Headers);
        }
        if self.headers > self.bytes.len() {
            return Err(PeError::Truncated("headers"));
        }
        let mut end = self.headers;
        for section in self.hashed() {
            if section.offset < end {
                return Err(PeError::Overlap(section.name()));
            }
            end = section
                .offset
                .checked_add(section.size)
                .filter(|end| *end <= self.bytes.len())
                .ok_or_else(|| PeError::SectionOutside(section.name()))?;
        }
        let mut memory: Vec<_> = self.sections.iter().filter(|s| s.virtual_size > 0).collect();
        memory.sort_by_key(|section| section.virtual_address);
        for pair in memory.windows(2) {
            if pair[0].virtual_address.saturating_add(pair[0].virtual_size) > pair[1].virtual_address {
                return Err(PeError::OverlapInMemory(pair[1].name()));
            }
        }
        if self.certificate_size > self.bytes.len() - end {
            return Err(PeError::CertificateTable);
        }
        Ok(())
    }
}

fn sections(bytes: &[u8], start: usize, count: u16) -> Result<Vec<Section>, PeError> {
    if count > MAX_SECTIONS {
        return Err(PeError::TooManySections(count));
    }
    let table = read::slice(bytes, start, usize::from(count) * SECTION_HEADER);
    let table = table.ok_or(PeError::Truncated("section table"))?;
    let section = |header: &[u8; SECTION_HEADER]| {
        let word = |offset| read::u32(header, offset).map(read::index).unwrap_or_default();
        Section {
            name: read::array(header, 0).unwrap_or_default(),
            virtual_size: word(8),
            virtual_address: word(12),
            size: word(16),
            offset: word(20),
        }
    };
    Ok(table.as_chunks::<SECTION_HEADER>().0.iter().map(section).collect())
}

/// Why a PE image has no (one) digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeError {
    /// Something else: an ELF kernel, a compressed file, a script.
    #[error("not a PE image: {0}. An x86 kernel must be the bzImage (vmlinuz) with its EFI stub")]
    NotPe(&'static str),
    /// The file ends before its headers do.
    #[error("PE image is cut off within its {0}")]
    Truncated(&'static str),
    /// SizeOfHeaders doesn't cover the headers.
    #[error("PE image's SizeOfHeaders doesn't cover its headers and section table")]
    Headers,
    /// More sections than the format allows.
    #[error("PE image has {0} sections; 96 is the limit")]
    TooManySections(u16),
    /// Two sections, or a section and the headers, share bytes of the file.
    #[error("PE section {0:?} overlaps another section or the headers in the file; its digest would be ambiguous")]
    Overlap(String),
    /// Two sections share memory: what the stub measures isn't what the file has.
    #[error("PE section {0:?} overlaps another section in memory; what is measured would depend on the loader")]
    OverlapInMemory(String),
    /// A section's bytes aren't all in the file.
    #[error("PE section {0:?} reaches past the end of the file; is it complete?")]
    SectionOutside(String),
    /// The certificate table is longer than what follows the sections.
    #[error("PE image's certificate table is longer than what follows its sections")]
    CertificateTable,
}
