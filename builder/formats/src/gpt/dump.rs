//! Disk → text, and the name of the place of a byte. Both work on damaged disks, too: they go by where the structures
//! must stand, and by the entries as far as they make sense.

use std::ops::Range;

use crate::bytes::{array, dump_fields, field_name, slice, u16_at, u64_at};

use super::guid::Guid;
use super::layout::{ARRAY_LEN, ENTRY, ENTRY_COUNT, ENTRY_LEN, HEADER, HEADER_LEN, MBR, Place, SECTOR};
use super::reader::parse;

/// Where the two headers and arrays stand on a disk.
struct Spans {
    header: [(Place, usize); 2],
    array: [(Place, usize); 2],
}

fn spans(disk: &[u8]) -> Spans {
    let end = disk.len() / SECTOR * SECTOR;
    let last = end.saturating_sub(SECTOR);
    Spans {
        header: [(Place::Primary, SECTOR), (Place::Backup, last)],
        array: [(Place::Primary, 2 * SECTOR), (Place::Backup, last.saturating_sub(ARRAY_LEN))],
    }
}

/// Every field of the MBR, both headers and the used entries, with their offsets; last, whether the table is valid.
pub fn dump(disk: &[u8]) -> String {
    let mut text = String::from("protective MBR\n");
    dump_fields(&mut text, 0, MBR, disk);
    let spans = spans(disk);
    for ((place, header), (_, entries)) in spans.header.into_iter().zip(spans.array) {
        text.push_str(&format!("{place} header\n"));
        dump_fields(&mut text, header, HEADER, slice(disk, header, HEADER_LEN).unwrap_or(&[]));
        let entries = (0..ENTRY_COUNT).map(|index| (index, entries.saturating_add(index * ENTRY_LEN)));
        for (index, at) in entries {
            let Some(raw) = slice(disk, at, ENTRY_LEN).filter(|raw| raw.iter().any(|byte| *byte != 0)) else { continue };
            text.push_str(&format!("{place} entry {index} `{}` type {} guid {}\n", name(raw), guid(raw, 0), guid(raw, 16)));
            dump_fields(&mut text, at, ENTRY, raw);
        }
    }
    match parse(disk) {
        Ok(table) => text.push_str(&format!("valid; disk {}\n", table.disk_guid)),
        Err(error) => text.push_str(&format!("!! {error}\n")),
    }
    text
}

/// The place of a byte, such as "GPT primary header, field disk GUID".
pub fn locate(disk: &[u8], offset: usize) -> String {
    if offset < SECTOR {
        return format!("GPT protective MBR, {}", field_name(MBR, offset));
    }
    let spans = spans(disk);
    for (place, start) in spans.header {
        match offset.checked_sub(start) {
            Some(at) if at < HEADER_LEN => return format!("GPT {place} header, {}", field_name(HEADER, at)),
            Some(at) if at < SECTOR => return format!("GPT {place} header, reserved byte {at}"),
            _ => {}
        }
    }
    for (place, start) in spans.array {
        if let Some(at) = offset.checked_sub(start).filter(|at| *at < ARRAY_LEN) {
            let raw = slice(disk, start.saturating_add(at / ENTRY_LEN * ENTRY_LEN), ENTRY_LEN).unwrap_or(&[]);
            let field = field_name(ENTRY, at % ENTRY_LEN);
            return format!("GPT {place} entry {} (`{}`), {field}", at / ENTRY_LEN, name(raw));
        }
    }
    match content_at(disk, offset) {
        Some((name, content)) => format!("GPT partition `{name}`, byte {}", offset.saturating_sub(content.start)),
        None => "GPT disk, space between partitions".to_owned(),
    }
}

/// Name and extent, in bytes, of the partition that holds the byte, by the primary entries.
pub(crate) fn content_at(disk: &[u8], offset: usize) -> Option<(String, Range<usize>)> {
    let entries = slice(disk, 2 * SECTOR, ARRAY_LEN)?;
    entries.chunks_exact(ENTRY_LEN).filter(|raw| guid(raw, 0) != Guid::ZERO).find_map(|raw| {
        let first = usize::try_from(u64_at(raw, 32)?).ok()?.checked_mul(SECTOR)?;
        let end = usize::try_from(u64_at(raw, 40)?).ok()?.checked_add(1)?.checked_mul(SECTOR)?;
        (first..end.min(disk.len())).contains(&offset).then(|| (name(raw), first..end.min(disk.len())))
    })
}

fn guid(raw: &[u8], at: usize) -> Guid {
    array(raw, at).map_or(Guid::ZERO, Guid::from_disk)
}

/// The name as far as it is readable, with control characters escaped.
fn name(raw: &[u8]) -> String {
    let units: Vec<u16> = (56..ENTRY_LEN).step_by(2).map_while(|at| u16_at(raw, at)).take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units).escape_debug().to_string()
}
