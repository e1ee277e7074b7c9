//! The place of a byte through all layers: "GPT partition `esp`: FAT file EFI/BOOT/BOOTX64.EFI: PE section .initrd: cpio
//! entry `init`, header field mtime".
//!
//! A layer is looked into when it starts like a format of ours *and* the byte lies in something that can hold another
//! format; otherwise the outer place is all there is to say.

use crate::{cpio, fat, gpt, pe};

/// Deepest nesting that occurs (disk, volume, image, archive), and one to spare; it bounds the work on crafted input.
const MAX_DEPTH: usize = 5;

/// A format that is recognised by how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A disk with a GPT.
    Gpt,
    /// A FAT32 volume.
    Fat,
    /// A PE image.
    Pe,
    /// A newc archive.
    Cpio,
}

/// Which format some bytes are in, by their magic alone.
pub fn recognise(bytes: &[u8]) -> Option<Format> {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(gpt::SECTOR, b"EFI PART") {
        Some(Format::Gpt)
    } else if at(82, b"FAT32   ") {
        Some(Format::Fat)
    } else if at(0, b"070701") {
        Some(Format::Cpio)
    } else if at(0, b"MZ") {
        Some(Format::Pe)
    } else {
        None
    }
}

/// Names the place of a byte as precisely as the formats allow; "byte 7" where none is recognised.
pub fn locate(bytes: &[u8], offset: usize) -> String {
    inner(bytes, offset, MAX_DEPTH).unwrap_or_else(|| format!("byte {offset}"))
}

fn inner(bytes: &[u8], offset: usize, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let deeper = |outer: String, content: &[u8], at: usize| Some(format!("{outer}: {}", inner(content, at, depth)?));
    match recognise(bytes)? {
        Format::Gpt => gpt::content_at(bytes, offset)
            .and_then(|(name, range)| {
                let at = offset.checked_sub(range.start)?;
                deeper(format!("GPT partition `{name}`"), bytes.get(range)?, at)
            })
            .or_else(|| Some(gpt::locate(bytes, offset))),
        Format::Fat => fat::content_at(bytes, offset)
            .and_then(|(path, content, at)| deeper(format!("FAT file {path}"), &content, at))
            .or_else(|| Some(fat::locate(bytes, offset))),
        Format::Pe => pe::content_at(bytes, offset)
            .and_then(|(name, content, at)| deeper(format!("PE section {name}"), content, at))
            .or_else(|| Some(pe::locate(bytes, offset))),
        Format::Cpio => cpio::data_at(bytes, offset)
            .and_then(|(name, content, at)| deeper(format!("cpio entry `{name}`"), content, at))
            .or_else(|| Some(cpio::locate(bytes, offset))),
    }
}
