//! Image → text, and the name of the place of a byte.

use crate::bytes::{dump_fields, field_name, slice};

use super::layout::{COFF, COFF_LEN, DIRECTORY_LEN, DIRECTORY_NAMES, DOS, DOS_LEN, OPTIONAL, OPTIONAL_LEN, SECTION, SECTION_LEN};
use super::reader::{Image, Section, parse};

/// Every header field with its offset, the data directories that are used, and the sections. What can't be parsed gives
/// one line that says why.
pub fn dump(bytes: &[u8]) -> String {
    let image = match parse(bytes) {
        Ok(image) => image,
        Err(error) => return format!("!! {error}\n"),
    };
    let mut text = String::from("DOS header\n");
    dump_fields(&mut text, 0, DOS, bytes);
    text.push_str("COFF header\n");
    dump_fields(&mut text, image.pe_offset, COFF, bytes.get(image.pe_offset..).unwrap_or(&[]));
    text.push_str("optional header\n");
    let optional = image.pe_offset.saturating_add(COFF_LEN);
    dump_fields(&mut text, optional, OPTIONAL, bytes.get(optional..).unwrap_or(&[]));
    text.push_str("data directories\n");
    for (index, directory) in image.directories.iter().enumerate().filter(|(_, directory)| directory.size != 0) {
        let at = optional.saturating_add(OPTIONAL_LEN + index * DIRECTORY_LEN);
        text.push_str(&format!("{at:08x}   {} = {:#x}, {} bytes\n", directory.name, directory.address, directory.size));
    }
    text.push_str("sections\n");
    for section in &image.sections {
        text.push_str(&line(section));
    }
    let trailing = bytes.len().saturating_sub(image.trailing_offset);
    text.push_str(&format!("{:08x} {trailing} bytes behind the last section\n", image.trailing_offset));
    text
}

fn line(section: &Section<'_>) -> String {
    format!(
        "{:08x}   {:<8} VirtualAddress={:08x} VirtualSize={:08x} PointerToRawData={:08x} SizeOfRawData={:08x} \
         Characteristics={:08x}\n",
        section.header_offset,
        section.name(),
        section.virtual_address,
        section.virtual_size,
        section.raw_offset,
        section.raw.len(),
        section.characteristics,
    )
}

/// The place of a byte, such as "PE section .cmdline, byte 3".
pub fn locate(bytes: &[u8], offset: usize) -> String {
    let Ok(image) = parse(bytes) else { return format!("PE image that can't be parsed, byte {offset}") };
    if let Some((section, at)) = section_at(&image, offset) {
        return match at < section.virtual_size as usize {
            true => format!("PE section {}, byte {at}", section.name()),
            false => format!("PE section {}, padding behind its data", section.name()),
        };
    }
    if offset >= image.trailing_offset {
        return format!("PE, byte {} behind the last section", offset.saturating_sub(image.trailing_offset));
    }
    if offset < image.headers_size as usize {
        return in_headers(&image, offset);
    }
    "PE, space between sections".to_owned()
}

fn in_headers(image: &Image<'_>, offset: usize) -> String {
    if offset < DOS_LEN {
        return format!("PE DOS header, {}", field_name(DOS, offset));
    }
    let Some(at) = offset.checked_sub(image.pe_offset) else {
        return format!("PE DOS program, byte {}", offset.saturating_sub(DOS_LEN));
    };
    if at < COFF_LEN {
        return format!("PE COFF header, {}", field_name(COFF, at));
    }
    let table = image.section_table_offset;
    if offset < table {
        return in_optional_header(at.saturating_sub(COFF_LEN));
    }
    let at = offset.saturating_sub(table);
    match image.sections.get(at / SECTION_LEN) {
        Some(section) => format!("PE section header {}, {}", section.name(), field_name(SECTION, at % SECTION_LEN)),
        None => "PE headers, space behind the section table".to_owned(),
    }
}

fn in_optional_header(at: usize) -> String {
    match at.checked_sub(OPTIONAL_LEN) {
        None => format!("PE optional header, {}", field_name(OPTIONAL, at)),
        Some(at) => match DIRECTORY_NAMES.get(at / DIRECTORY_LEN) {
            Some(name) => format!("PE data directory {name}, byte {}", at % DIRECTORY_LEN),
            None => format!("PE optional header, byte {at} behind the data directories"),
        },
    }
}

fn section_at<'i, 'a>(image: &'i Image<'a>, offset: usize) -> Option<(&'i Section<'a>, usize)> {
    image.sections.iter().find_map(|section| {
        let at = offset.checked_sub(section.raw_offset as usize)?;
        (at < section.raw.len()).then_some((section, at))
    })
}

/// The content of the section that holds the byte, with the section's name and the byte's place in it: what a nested
/// format starts from.
pub(crate) fn content_at(bytes: &[u8], offset: usize) -> Option<(String, &[u8], usize)> {
    let image = parse(bytes).ok()?;
    let (section, at) = section_at(&image, offset)?;
    let start = section.raw_offset as usize;
    let content = slice(bytes, start, section.content().len())?;
    (at < content.len()).then(|| (section.name(), content, at))
}
