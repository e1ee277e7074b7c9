//! The place of a byte through all layers: "GPT partition `esp`: FAT file EFI/BOOT/BOOTX64.EFI: PE section .initrd: cpio
//! entry `init`, header field mtime".
//!
//! A layer is looked into when it starts like a format of ours *and* the byte lies in something that can hold another
//! format; otherwise the outer place is all there is to say.

use crate::access::Part;
use crate::{cpio, erofs, fat, gpt, pe, verity};

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
    /// An EROFS image, perhaps with the rest of a pack behind it.
    Erofs,
    /// What stands behind the image in a pack: a dm-verity superblock and tree.
    Verity,
}

/// Which format some bytes are in, by their magic alone.
pub fn recognise(bytes: &[u8]) -> Option<Format> {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(gpt::SECTOR, b"EFI PART") {
        Some(Format::Gpt)
    } else if at(82, b"FAT32   ") {
        Some(Format::Fat)
    } else if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) {
        Some(Format::Erofs)
    } else if at(0, b"verity\0\0") {
        Some(Format::Verity)
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
        Format::Erofs => pack(bytes, offset).or_else(|| Some(erofs::locate(bytes, offset as u64))),
        Format::Verity => Some(verity::locate(bytes, offset as u64)),
    }
}

/// The place in what stands behind an EROFS image, if the byte lies there.
fn pack(bytes: &[u8], offset: usize) -> Option<String> {
    let end = erofs::data_bytes(bytes)?;
    let at = (offset as u64).checked_sub(end)?;
    let area: Part<'_, [u8]> = verity::area_behind(bytes, end)?;
    Some(verity::locate(&area, at))
}
