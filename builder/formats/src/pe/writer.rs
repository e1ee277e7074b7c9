//! Stub + sections → UKI.
//!
//! Done by hand in place of `objcopy` or `ukify`: their output drifts with their versions (section flags, symbol
//! tables, checksums), and older objcopy versions let sections overlap silently.

use crate::bytes::{all_zero, put, round_up};

use super::layout::{
    AT_CHECKSUM, AT_IMAGE_SIZE, AT_INITIALIZED_SIZE, AT_SECTION_COUNT, AT_SYMBOL_COUNT, AT_SYMBOL_TABLE, AT_TIMESTAMP,
    DIRECTORY_CERTIFICATES, MACHINE_X86_64, MAX_SECTIONS, SECTION_LEN, SECTION_READ_ONLY_DATA, SECTION_UNINITIALIZED,
    SUBSYSTEM_EFI_APPLICATION,
};
use super::reader::{Image, ReadError, parse};

/// A section to be added to the stub.
#[derive(Clone, Copy, Debug)]
pub struct UkiSection<'a> {
    /// Its name with the leading dot, at most eight bytes, such as `.cmdline`.
    pub name: &'a str,
    /// What is in it, byte for byte: the stub measures exactly this.
    pub content: &'a [u8],
}

/// Why a UKI couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The stub isn't one that sections can be added to. The caller needs another stub.
    #[error("writing the UKI: the stub can't be used: {0}")]
    Stub(String),
    /// The stub isn't even a consistent image.
    #[error("writing the UKI: the stub can't be used: {0}")]
    StubImage(#[source] ReadError),
    /// The stub's headers have no room for another section header. Build the stub with larger headers.
    #[error(
        "writing the UKI: the stub's headers of {headers} bytes have room for {room} more sections, and {wanted} are \
         to be added; use a stub with larger headers (SizeOfHeaders)"
    )]
    NoRoom {
        /// `SizeOfHeaders`.
        headers: u32,
        /// Section headers that fit.
        room: usize,
        /// Sections to be added.
        wanted: usize,
    },
    /// A section's name or content isn't one that the stub understands. The caller must change it.
    #[error("writing the UKI: section {section:?}: {fault}")]
    Section {
        /// Its name.
        section: String,
        /// What is wrong.
        fault: String,
    },
    /// The image would exceed the 4 GiB that its 32-bit fields can express.
    #[error("writing the UKI: it would exceed 4 GiB at section {section:?}")]
    TooLarge {
        /// The section at which it happens.
        section: String,
    },
}

/// The sections that stub 252 looks for, in the order in which it measures them (`src/fundamental/tpm-pcr.h`). It
/// compares only as many bytes as these have, so `.linux2` would be taken for `.linux`.
const KNOWN: [&str; 8] = [".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrsig", ".pcrpkey"];

/// Sections that other stubs know and that 252 leaves alone.
const ALSO_ALLOWED: [&str; 1] = [".uname"];

/// Added sections start at multiples of this in memory, or of `SectionAlignment` if that is larger: stub 252 itself has
/// 512. It copies the kernel out through `LoadImage`, so no stricter alignment is needed for `.linux`; whole pages let
/// firmware protect them.
const PAGE: u64 = 4096;

/// Writes a UKI: the stub with `sections` behind its own, in the given order, by ascending address.
///
/// The stub's sections stay where they are in file and memory. Its COFF symbol table and whatever else follows its last
/// section are left out, time stamp and checksum become 0. `.linux` must be there and be an EFI kernel for x86-64. See
/// `docs/formats/uki.md`.
///
/// # Errors
/// [`WriteError`].
pub fn write_uki(stub: &[u8], sections: &[UkiSection<'_>]) -> Result<Vec<u8>, WriteError> {
    let image = parse(stub).map_err(WriteError::StubImage)?;
    check_stub(&image)?;
    check_sections(&image, sections)?;
    check_room(&image, sections.len())?;

    let mut out = Vec::with_capacity(stub.len() + sections.iter().map(|section| section.content.len()).sum::<usize>());
    out.extend_from_slice(stub.get(..image.trailing_offset).unwrap_or(stub));
    let memory_end = image.sections.last().map_or(0, |last| end(last.virtual_address, last.virtual_size));
    let plan = plan(&image, memory_end, sections)?;
    for (section, place) in sections.iter().zip(&plan.places) {
        out.resize(place.raw_offset as usize, 0);
        out.extend_from_slice(section.content);
        out.resize(place.raw_offset as usize + place.raw_len as usize, 0);
    }
    patch_headers(&mut out, &image, sections, &plan)
        .ok_or_else(|| WriteError::Stub("its headers end before their fields".to_owned()))?;
    Ok(out)
}

fn end(address: u32, size: u32) -> u64 {
    u64::from(address) + u64::from(size)
}

fn check_stub(image: &Image<'_>) -> Result<(), WriteError> {
    let fault = |fault: &str| Err(WriteError::Stub(fault.to_owned()));
    if image.machine != MACHINE_X86_64 || image.subsystem != SUBSYSTEM_EFI_APPLICATION {
        return fault("it is no EFI application for x86-64");
    }
    if image.directories.get(DIRECTORY_CERTIFICATES).is_some_and(|directory| directory.size != 0) {
        return fault("it is signed; adding sections would break the signature: use the unsigned stub");
    }
    if image.section(".sdmagic").is_none() {
        return fault("it has no .sdmagic section: it isn't systemd's stub");
    }
    for section in &image.sections {
        if section.raw_name.starts_with(b"/") {
            return fault("it has section names in the symbol table, which isn't kept");
        }
        if section.raw.is_empty() || section.characteristics & SECTION_UNINITIALIZED != 0 {
            return fault("it has a section without data, which stub 252 doesn't");
        }
    }
    Ok(())
}

fn check_sections(image: &Image<'_>, sections: &[UkiSection<'_>]) -> Result<(), WriteError> {
    let mut names: Vec<String> = image.sections.iter().map(|section| section.name()).collect();
    for section in sections {
        let fault = |fault: &str| Err(WriteError::Section { section: section.name.to_owned(), fault: fault.to_owned() });
        if !KNOWN.contains(&section.name) && !ALSO_ALLOWED.contains(&section.name) {
            return fault("the stub knows no such section; it has .linux, .osrel, .cmdline, .initrd and others");
        }
        if names.iter().any(|name| name == section.name) {
            return fault("it is there already; the stub would use the last one");
        }
        if section.content.is_empty() {
            return fault("it is empty; the stub would treat it as absent: leave it out");
        }
        if section.name == ".linux" {
            check_kernel(section.content).map_err(|fault| WriteError::Section { section: ".linux".to_owned(), fault })?;
        }
        names.push(section.name.to_owned());
    }
    let confusing = |name: &String| KNOWN.iter().any(|known| name.starts_with(known) && name != known);
    if let Some(name) = names.iter().find(|name| confusing(name)) {
        return Err(WriteError::Stub(format!("its section {name} would be taken for another: 252 compares prefixes")));
    }
    if !names.iter().any(|name| name == ".linux") {
        let fault = "it is missing; the stub has nothing to start".to_owned();
        return Err(WriteError::Section { section: ".linux".to_owned(), fault });
    }
    Ok(())
}

/// What stub 252's `pe_kernel_info` asks of a kernel, so that it neither refuses it nor falls back to the handover
/// protocol, which would change what is measured.
fn check_kernel(kernel: &[u8]) -> Result<(), String> {
    let image = parse(kernel).map_err(|error| format!("it is no EFI kernel: {error}"))?;
    if image.machine != MACHINE_X86_64 {
        return Err("it is no kernel for x86-64".to_owned());
    }
    if image.major_image_version < 1 {
        return Err("the kernel can't take its initrd through LoadFile2; Linux 5.8 and later can".to_owned());
    }
    Ok(())
}

/// The new headers go where the old table ends; nothing but zeros may stand there.
fn check_room(image: &Image<'_>, wanted: usize) -> Result<(), WriteError> {
    let table_end = image.section_table_offset + image.sections.len() * SECTION_LEN;
    let rest = image.bytes.get(table_end..image.headers_size as usize).unwrap_or(&[]);
    let room = (rest.len() / SECTION_LEN).min(MAX_SECTIONS.saturating_sub(image.sections.len()));
    if wanted > room {
        return Err(WriteError::NoRoom { headers: image.headers_size, room, wanted });
    }
    if !all_zero(rest) {
        return Err(WriteError::Stub("something stands behind its section table".to_owned()));
    }
    Ok(())
}

/// Where an added section stands.
struct Place {
    virtual_address: u32,
    virtual_size: u32,
    raw_offset: u32,
    raw_len: u32,
}

struct Plan {
    places: Vec<Place>,
    image_size: u32,
    initialized_size: u32,
}

fn plan(image: &Image<'_>, memory_end: u64, sections: &[UkiSection<'_>]) -> Result<Plan, WriteError> {
    let file_alignment = u64::from(image.file_alignment);
    let section_alignment = u64::from(image.section_alignment);
    let mut memory = memory_end;
    let mut file = image.trailing_offset as u64;
    let mut initialized = u64::from(image.initialized_size);
    let mut places = Vec::with_capacity(sections.len());
    for section in sections {
        let place = || -> Option<Place> {
            let len = section.content.len() as u64;
            Some(Place {
                virtual_address: u32::try_from(round_up(memory, section_alignment.max(PAGE))?).ok()?,
                virtual_size: u32::try_from(len).ok()?,
                raw_offset: u32::try_from(round_up(file, file_alignment)?).ok()?,
                raw_len: u32::try_from(round_up(len, file_alignment)?).ok()?,
            })
        };
        let too_large = || WriteError::TooLarge { section: section.name.to_owned() };
        let place = place().ok_or_else(too_large)?;
        memory = end(place.virtual_address, place.virtual_size);
        file = end(place.raw_offset, place.raw_len);
        initialized = initialized.saturating_add(u64::from(place.raw_len));
        if round_up(memory, section_alignment).is_none_or(|end| end > u64::from(u32::MAX)) || file > u64::from(u32::MAX) {
            return Err(too_large());
        }
        places.push(place);
    }
    let too_large = || WriteError::TooLarge { section: "headers".to_owned() };
    Ok(Plan {
        places,
        image_size: round_up(memory, section_alignment).and_then(|size| u32::try_from(size).ok()).ok_or_else(too_large)?,
        initialized_size: u32::try_from(initialized).map_err(|_| too_large())?,
    })
}

fn patch_headers(out: &mut [u8], image: &Image<'_>, sections: &[UkiSection<'_>], plan: &Plan) -> Option<()> {
    let count = u16::try_from(image.sections.len() + sections.len()).ok()?;
    let pe = image.pe_offset;
    put(out, pe + AT_SECTION_COUNT, &count.to_le_bytes())?;
    put(out, pe + AT_TIMESTAMP, &[0; 4])?;
    put(out, pe + AT_SYMBOL_TABLE, &[0; 4])?;
    put(out, pe + AT_SYMBOL_COUNT, &[0; 4])?;
    put(out, pe + AT_INITIALIZED_SIZE, &plan.initialized_size.to_le_bytes())?;
    put(out, pe + AT_IMAGE_SIZE, &plan.image_size.to_le_bytes())?;
    put(out, pe + AT_CHECKSUM, &[0; 4])?;
    let mut at = image.section_table_offset + image.sections.len() * SECTION_LEN;
    for (section, place) in sections.iter().zip(&plan.places) {
        put(out, at, section.name.as_bytes())?;
        put(out, at + 8, &place.virtual_size.to_le_bytes())?;
        put(out, at + 12, &place.virtual_address.to_le_bytes())?;
        put(out, at + 16, &place.raw_len.to_le_bytes())?;
        put(out, at + 20, &place.raw_offset.to_le_bytes())?;
        put(out, at + 36, &SECTION_READ_ONLY_DATA.to_le_bytes())?;
        at += SECTION_LEN;
    }
    Some(())
}

/// Reads a UKI and checks that it has the form that [`write_uki`] gives it: time stamp, checksum and symbol table zero,
/// no certificate, every byte of the file part of the headers or of exactly one section, padding zero, known sections
/// only once, and those we add on whole pages.
///
/// # Errors
/// [`ReadError`].
pub fn check_uki(bytes: &[u8]) -> Result<Image<'_>, ReadError> {
    let image = parse(bytes)?;
    let fault = |fault: String| Err(ReadError::NotCanonical(fault));
    if image.timestamp != 0 || image.checksum != 0 || image.symbols != (0, 0) {
        return fault("time stamp, checksum and symbol table must be zero".to_owned());
    }
    if image.directories.get(DIRECTORY_CERTIFICATES).is_some_and(|directory| directory.size != 0) {
        return fault("it carries a certificate".to_owned());
    }
    let table_end = image.section_table_offset.saturating_add(image.sections.len() * SECTION_LEN);
    if !all_zero(bytes.get(table_end..image.headers_size as usize).unwrap_or(&[])) {
        return fault("something stands between the section table and the first section".to_owned());
    }
    let mut next = image.headers_size;
    for section in &image.sections {
        let name = section.name();
        if section.raw_offset != next {
            return fault(format!("section {name} doesn't start where the data before it ends, {next:#x}"));
        }
        next = next.saturating_add(u32::try_from(section.raw.len()).unwrap_or(u32::MAX));
        let ours = KNOWN.contains(&name.as_str()) || ALSO_ALLOWED.contains(&name.as_str());
        if image.sections.iter().filter(|other| other.raw_name == section.raw_name).count() > 1 {
            return fault(format!("section {name} is there twice"));
        }
        if !ours && KNOWN.iter().any(|known| name.starts_with(known)) {
            return fault(format!("section {name} would be taken for another: the stub compares prefixes"));
        }
        if ours {
            check_added(section, &image)?;
        }
    }
    if next as usize != bytes.len() {
        return fault(format!("something follows the last section, from {next:#x}"));
    }
    if image.section(".linux").is_none() {
        return fault("it has no .linux section".to_owned());
    }
    Ok(image)
}

fn check_added(section: &super::Section<'_>, image: &Image<'_>) -> Result<(), ReadError> {
    let name = section.name();
    let padded = round_up(u64::from(section.virtual_size), u64::from(image.file_alignment));
    let padding = section.raw.get(section.virtual_size as usize..);
    if padded != Some(section.raw.len() as u64) || !padding.is_some_and(all_zero) {
        return Err(ReadError::NotCanonical(format!("section {name} isn't padded with zeros to the file alignment")));
    }
    if u64::from(section.virtual_address) % PAGE != 0 || section.characteristics != SECTION_READ_ONLY_DATA {
        return Err(ReadError::NotCanonical(format!("section {name} isn't read-only data on a page of its own")));
    }
    Ok(())
}
