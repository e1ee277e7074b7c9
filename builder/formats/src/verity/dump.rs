//! Superblock and tree → text, and the name of the place of a byte. Both take the area behind a pack's data.

use std::fmt::Write;

use crate::access::{Part, ReadAt};
use crate::bytes::{dump_fields, field_name};

use super::layout::{BLOCK, Geometry, SIGNATURE, SUPERBLOCK, SUPERBLOCK_LEN};
use super::reader::Superblock;

/// The superblock's fields, then a line per level, and a line per hash block with its first digest, top level first. A damaged
/// area is listed as far as it can be read, and the last line says why no further.
pub fn dump(area: &(impl ReadAt + ?Sized)) -> String {
    let mut text = String::from("verity superblock\n");
    let block = first_block(area);
    dump_fields(&mut text, 0, SUPERBLOCK, &block);
    // Writing to a String can't fail.
    let _ = match Superblock::parse(&block) {
        Ok(superblock) => {
            dump_tree(&mut text, area, &superblock.geometry);
            writeln!(text, "UUID {} salt {}", superblock.uuid, superblock.salt)
        }
        Err(error) => writeln!(text, "!! {error}"),
    };
    text
}

fn dump_tree(text: &mut String, area: &(impl ReadAt + ?Sized), geometry: &Geometry) {
    for (index, level) in geometry.levels().iter().enumerate().rev() {
        let _ = writeln!(text, "level {index}: {} hash blocks, {} digests", level.blocks, level.entries);
        for block in 0..level.blocks {
            let offset = (1 + level.first + block) * BLOCK as u64;
            let mut digest = [0; 32];
            if let Err(error) = area.read_at(offset, &mut digest) {
                let _ = writeln!(text, "!! level {index}, hash block {block}: {error}");
                return;
            }
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = writeln!(text, "{offset:08x}   level {index}, hash block {block}: {digits}");
        }
    }
}

/// The place of a byte, such as "verity level 0, hash block 5, entry 17 (data block 657)".
pub fn locate(area: &(impl ReadAt + ?Sized), offset: u64) -> String {
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    match offset.checked_sub(BLOCK as u64) {
        None if at < SUPERBLOCK_LEN => format!("verity superblock, {}", field_name(SUPERBLOCK, at)),
        None => format!("verity superblock, padding, byte {at}"),
        Some(in_tree) => match Superblock::parse(&first_block(area)).ok().and_then(|read| read.geometry.place(in_tree)) {
            Some(place) => format!("verity {place}"),
            None => format!("verity, byte {in_tree} behind the superblock"),
        },
    }
}

/// Zeros, and so no superblock, where it can't be read.
fn first_block(area: &(impl ReadAt + ?Sized)) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    if area.read_at(0, &mut block).is_err() {
        block.fill(0);
    }
    block
}

/// The hash area that begins where the data of `data_bytes` ends, if one does.
pub(crate) fn area_behind<S: ReadAt + ?Sized>(pack: &S, data_bytes: u64) -> Option<Part<'_, S>> {
    let area = Part::from(pack, data_bytes)?;
    let mut start = [0; SIGNATURE.len()];
    area.read_at(0, &mut start).ok()?;
    (&start == SIGNATURE).then_some(area)
}
