//! Image → values. Refuses what two loaders could understand differently: overlapping or unordered sections, ranges
//! outside the file, headers that reach into sections.
//!
//! It does not refuse misaligned sections: systemd 252's own stub has one (`.sdmagic` at 0x19100 with a section alignment
//! of 0x200), and EDK2 loads it. [`check_uki`](super::check_uki) asks more of what we add.

use crate::bytes::{array, slice, u16_at, u32_at};

use super::layout::{
    COFF_LEN, DIRECTORY_CERTIFICATES, DIRECTORY_LEN, DIRECTORY_NAMES, DOS_LEN, LFANEW_AT, MAGIC_PE32_PLUS, MAX_DIRECTORIES,
    MAX_SECTIONS, OPTIONAL_LEN, SECTION_LEN,
};

/// A PE32+ image, borrowed from its bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Image<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// Offset of the PE signature.
    pub pe_offset: usize,
    /// Offset of the section table.
    pub section_table_offset: usize,
    /// COFF `Machine`; 0x8664 for x86-64.
    pub machine: u16,
    /// COFF `TimeDateStamp`.
    pub timestamp: u32,
    /// COFF `PointerToSymbolTable` and `NumberOfSymbols`.
    pub symbols: (u32, u32),
    /// `AddressOfEntryPoint`.
    pub entry_point: u32,
    /// `SectionAlignment`.
    pub section_alignment: u32,
    /// `FileAlignment`.
    pub file_alignment: u32,
    /// `MajorImageVersion`. A kernel's EFI stub raises it to 1 when it can take its initrd through `LoadFile2`.
    pub major_image_version: u16,
    /// `SizeOfInitializedData`.
    pub initialized_size: u32,
    /// `SizeOfImage`.
    pub image_size: u32,
    /// `SizeOfHeaders`.
    pub headers_size: u32,
    /// `CheckSum`.
    pub checksum: u32,
    /// `Subsystem`; 10 for an EFI application.
    pub subsystem: u16,
    /// The data directories, as many as the image has.
    pub directories: Vec<Directory>,
    /// The sections, by ascending address.
    pub sections: Vec<Section<'a>>,
    /// Offset of what follows the last section in the file: symbol table, certificates, anything else.
    pub trailing_offset: usize,
}

/// A data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// What the format calls it.
    pub name: &'static str,
    /// Address in the loaded image; for the certificate table, offset in the file.
    pub address: u32,
    /// Bytes; 0 where there is none.
    pub size: u32,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section<'a> {
    /// Its name, padded with NULs.
    pub raw_name: [u8; 8],
    /// Offset of its header.
    pub header_offset: usize,
    /// Bytes in memory.
    pub virtual_size: u32,
    /// Address in memory.
    pub virtual_address: u32,
    /// Offset of its data in the file.
    pub raw_offset: u32,
    /// Characteristics.
    pub characteristics: u32,
    /// Its data in the file, with the padding up to the file alignment.
    pub raw: &'a [u8],
}

impl<'a> Section<'a> {
    /// The name without its padding, with anything but printable ASCII escaped.
    pub fn name(&self) -> String {
        let end = self.raw_name.iter().position(|byte| *byte == 0).unwrap_or(8);
        self.raw_name.iter().take(end).flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
    }

    /// The data without its padding: what stands in memory, up to zeros.
    pub fn content(&self) -> &'a [u8] {
        self.raw.get(..self.virtual_size as usize).unwrap_or(self.raw)
    }
}

impl<'a> Image<'a> {
    /// The section of that name, if there is exactly one.
    pub fn section(&self, name: &str) -> Option<&Section<'a>> {
        let mut found = self.sections.iter().filter(|section| section.name() == name);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// Why an image was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file ends inside a structure: it is cut off, or no PE image.
    #[error("reading a PE image: the file ends inside the {what} at {at:#x}")]
    Truncated {
        /// Which structure.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// A field has a value that the format, or this program, doesn't allow.
    #[error("reading a PE image: {field} is {found:#x}; {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it should be.
        expected: &'static str,
    },
    /// A section lies where it can't lie. Different loaders would load different bytes.
    #[error("reading a PE image: section {section}: {fault}")]
    Section {
        /// Its name.
        section: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A data directory points outside the image.
    #[error("reading a PE image: data directory {directory} points outside the image")]
    Directory {
        /// Its name.
        directory: &'static str,
    },
    /// It is a PE image, but not a UKI as this program writes it.
    #[error("checking a UKI: {0}")]
    NotCanonical(String),
}

/// Reads an image.
///
/// # Errors
/// [`ReadError`] for anything that isn't one consistent PE32+ image.
pub fn parse(bytes: &[u8]) -> Result<Image<'_>, ReadError> {
    let truncated = |what, at| ReadError::Truncated { what, at };
    let dos = slice(bytes, 0, DOS_LEN).ok_or(truncated("DOS header", 0))?;
    if !dos.starts_with(b"MZ") {
        let found = u64::from(u16_at(dos, 0).unwrap_or(0));
        return Err(ReadError::Field { field: "DOS magic", found, expected: "an image starts with 0x5a4d, \"MZ\"" });
    }
    let pe_offset = u32_at(dos, LFANEW_AT).ok_or(truncated("DOS header", 0))? as usize;
    if pe_offset < DOS_LEN {
        let found = pe_offset as u64;
        return Err(ReadError::Field { field: "e_lfanew", found, expected: "the PE header follows the DOS header" });
    }
    let coff = slice(bytes, pe_offset, COFF_LEN).ok_or(truncated("COFF header", pe_offset))?;
    if !coff.starts_with(b"PE\0\0") {
        let found = u64::from(u32_at(coff, 0).unwrap_or(0));
        return Err(ReadError::Field { field: "PE signature", found, expected: "it is 0x4550, \"PE\\0\\0\"" });
    }
    let optional_at = pe_offset.saturating_add(COFF_LEN);
    let optional_len = usize::from(u16_at(coff, 20).unwrap_or(0));
    let optional = slice(bytes, optional_at, optional_len).ok_or(truncated("optional header", optional_at))?;
    let (directories, fields) = optional_header(optional, optional_at)?;
    let section_table_offset = optional_at.saturating_add(optional_len);

    let mut image = Image {
        bytes,
        pe_offset,
        section_table_offset,
        machine: u16_at(coff, 4).unwrap_or(0),
        timestamp: u32_at(coff, 8).unwrap_or(0),
        symbols: (u32_at(coff, 12).unwrap_or(0), u32_at(coff, 16).unwrap_or(0)),
        directories,
        sections: Vec::new(),
        trailing_offset: fields.headers_size as usize,
        entry_point: fields.entry_point,
        section_alignment: fields.section_alignment,
        file_alignment: fields.file_alignment,
        major_image_version: fields.major_image_version,
        initialized_size: fields.initialized_size,
        image_size: fields.image_size,
        headers_size: fields.headers_size,
        checksum: fields.checksum,
        subsystem: fields.subsystem,
    };
    read_sections(&mut image, usize::from(u16_at(coff, 6).unwrap_or(0)))?;
    check_directories(&image)?;
    Ok(image)
}

/// The numbers of the optional header that we use.
struct Optional {
    entry_point: u32,
    section_alignment: u32,
    file_alignment: u32,
    major_image_version: u16,
    initialized_size: u32,
    image_size: u32,
    headers_size: u32,
    checksum: u32,
    subsystem: u16,
}

fn optional_header(optional: &[u8], at: usize) -> Result<(Vec<Directory>, Optional), ReadError> {
    let truncated = || ReadError::Truncated { what: "optional header", at };
    let magic = u16_at(optional, 0).ok_or_else(truncated)?;
    if magic != MAGIC_PE32_PLUS {
        let expected = "only PE32+ (0x20b) is supported";
        return Err(ReadError::Field { field: "optional header Magic", found: magic.into(), expected });
    }
    let number = |at| u32_at(optional, at).ok_or_else(truncated);
    let short = |at| u16_at(optional, at).ok_or_else(truncated);
    let fields = Optional {
        initialized_size: number(8)?,
        entry_point: number(16)?,
        section_alignment: number(32)?,
        file_alignment: number(36)?,
        major_image_version: short(44)?,
        image_size: number(56)?,
        headers_size: number(60)?,
        checksum: number(64)?,
        subsystem: short(68)?,
    };
    if !fields.file_alignment.is_power_of_two() {
        let found = fields.file_alignment.into();
        return Err(ReadError::Field { field: "FileAlignment", found, expected: "it must be a power of two" });
    }
    if !fields.section_alignment.is_power_of_two() || fields.section_alignment < fields.file_alignment {
        let expected = "it must be a power of two and not less than FileAlignment";
        return Err(ReadError::Field { field: "SectionAlignment", found: fields.section_alignment.into(), expected });
    }
    if fields.entry_point >= fields.image_size {
        let expected = "it must lie in the image";
        return Err(ReadError::Field { field: "AddressOfEntryPoint", found: fields.entry_point.into(), expected });
    }
    let count = number(108)? as usize;
    let room = optional.len().saturating_sub(OPTIONAL_LEN) / DIRECTORY_LEN;
    if count > MAX_DIRECTORIES || count > room {
        let expected = "at most 16, and all of them in the optional header";
        return Err(ReadError::Field { field: "NumberOfRvaAndSizes", found: count as u64, expected });
    }
    let directories = DIRECTORY_NAMES.iter().take(count).zip(optional[OPTIONAL_LEN..].chunks_exact(DIRECTORY_LEN));
    let directories = directories
        .map(|(name, entry)| Directory { name, address: u32_at(entry, 0).unwrap_or(0), size: u32_at(entry, 4).unwrap_or(0) })
        .collect();
    Ok((directories, fields))
}

fn read_sections(image: &mut Image<'_>, count: usize) -> Result<(), ReadError> {
    if count == 0 || count > MAX_SECTIONS {
        let expected = "1 to 96 are supported";
        return Err(ReadError::Field { field: "NumberOfSections", found: count as u64, expected });
    }
    let at = image.section_table_offset;
    let len = count * SECTION_LEN;
    let table = slice(image.bytes, at, len).ok_or(ReadError::Truncated { what: "section table", at })?;
    let headers = image.headers_size as usize;
    if at.saturating_add(len) > headers || headers > image.bytes.len() {
        let expected = "it must cover the section table and lie in the file";
        return Err(ReadError::Field { field: "SizeOfHeaders", found: headers as u64, expected });
    }
    let mut memory_end = u64::from(image.headers_size);
    for (index, header) in table.chunks_exact(SECTION_LEN).enumerate() {
        let section = section(image.bytes, header, at.saturating_add(index * SECTION_LEN))?;
        let fault = |fault| ReadError::Section { section: section.name(), fault };
        if u64::from(section.virtual_address) < memory_end {
            return Err(fault("its address lies in the headers or before the end of the section before it"));
        }
        memory_end = u64::from(section.virtual_address).saturating_add(u64::from(section.virtual_size));
        if memory_end > u64::from(image.image_size) {
            return Err(fault("it reaches beyond SizeOfImage"));
        }
        image.sections.push(section);
    }
    check_file_ranges(image)
}

fn section<'a>(bytes: &'a [u8], header: &[u8], header_offset: usize) -> Result<Section<'a>, ReadError> {
    let number = |at| u32_at(header, at).unwrap_or(0);
    let mut section = Section {
        raw_name: array(header, 0).unwrap_or_default(),
        header_offset,
        virtual_size: number(8),
        virtual_address: number(12),
        raw_offset: number(20),
        characteristics: number(36),
        raw: &[],
    };
    let fault = |fault| ReadError::Section { section: section.name(), fault };
    if section.virtual_size == 0 {
        return Err(fault("VirtualSize is 0; loaders differ in what they load then"));
    }
    if number(24) != 0 || number(28) != 0 || number(32) != 0 {
        return Err(fault("an image has no COFF relocations and line numbers"));
    }
    let raw_len = number(16);
    if raw_len != 0 {
        section.raw =
            slice(bytes, section.raw_offset as usize, raw_len as usize).ok_or_else(|| fault("its data lies outside the file"))?;
    }
    Ok(section)
}

fn check_file_ranges(image: &mut Image<'_>) -> Result<(), ReadError> {
    let mut ranges: Vec<(usize, usize, &Section<'_>)> = Vec::with_capacity(image.sections.len());
    for section in image.sections.iter().filter(|section| !section.raw.is_empty()) {
        let start = section.raw_offset as usize;
        ranges.push((start, start.saturating_add(section.raw.len()), section));
    }
    ranges.sort_by_key(|(start, ..)| *start);
    let mut end = image.headers_size as usize;
    for (start, next, section) in ranges {
        if start < end {
            let fault = "its data overlaps the headers or another section in the file";
            return Err(ReadError::Section { section: section.name(), fault });
        }
        end = next;
    }
    image.trailing_offset = end;
    Ok(())
}

fn check_directories(image: &Image<'_>) -> Result<(), ReadError> {
    for (index, directory) in image.directories.iter().enumerate().filter(|(_, directory)| directory.size != 0) {
        let end = u64::from(directory.address).saturating_add(u64::from(directory.size));
        let good = if index == DIRECTORY_CERTIFICATES {
            directory.address as usize >= image.trailing_offset && end <= image.bytes.len() as u64
        } else {
            end <= u64::from(image.image_size)
        };
        if !good {
            return Err(ReadError::Directory { directory: directory.name });
        }
    }
    Ok(())
}
