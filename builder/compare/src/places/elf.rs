//! Programs and kernels: ELF files by section.

use super::{Leaf, Parts};

/// `sh_type` of a section without bytes in the file.
const NOBITS: u32 = 8;

/// One section that has bytes in the file.
pub(super) struct Section<'a> {
    pub(super) name: String,
    pub(super) address: u64,
    pub(super) data: &'a [u8],
}

/// The sections of a little-endian 64-bit file; nothing if any of it makes no sense. Source: gabi, "Section Header".
pub(super) fn sections(bytes: &[u8]) -> Option<Vec<Section<'_>>> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(u64_at(bytes, 40)?).ok()?;
    let (len, count, names) = (usize::from(u16_at(bytes, 58)?), usize::from(u16_at(bytes, 60)?), usize::from(u16_at(bytes, 62)?));
    let header = |index: usize| bytes.get(table.checked_add(index.checked_mul(len)?)?..)?.get(..64);
    let data = |header: &[u8]| -> Option<&[u8]> {
        let (start, size) = (usize::try_from(u64_at(header, 24)?).ok()?, usize::try_from(u64_at(header, 32)?).ok()?);
        bytes.get(start..start.checked_add(size)?)
    };
    let strings = data(header(names)?)?;
    let mut all = Vec::new();
    for index in 1..count {
        let header = header(index)?;
        if u32_at(header, 4)? == NOBITS {
            continue;
        }
        let name = strings.get(usize::try_from(u32_at(header, 0)?).ok()?..)?.split(|byte| *byte == 0).next()?;
        all.push(Section { name: name.escape_ascii().to_string(), address: u64_at(header, 16)?, data: data(header)? });
    }
    Some(all)
}

pub(super) fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut leaves = vec![Leaf::text("ELF entry point", format!("{:#x}", u64_at(bytes, 24)?)).derived()];
    for section in sections(bytes)? {
        let at = format!("ELF section {}", section.name);
        leaves.push(Leaf::text(format!("{at}, address"), format!("{:#x}", section.address)).derived());
        leaves.push(Leaf { address: Some(section.address), ..Leaf::bytes(at, section.data) });
    }
    Some(Parts { format: "elf", leaves })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
