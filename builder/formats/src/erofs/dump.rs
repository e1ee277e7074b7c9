//! Image → text, and the name of the place of a byte.

use std::fmt::Write;

use crate::access::ReadAt;
use crate::bytes::{dump_fields, field_name};

use super::directory;
use super::layout::{BLOCK, COMPACT, DIRENT, DIRENT_LEN, EXTENDED, EXTENDED_LEN, SUPERBLOCK, SUPERBLOCK_AT, SUPERBLOCK_LEN};
use super::reader::{Kind, Node, Volume, parse, superblock};

/// Every field of the superblock, then a line per node with every number of its inode, in the reader's order. Of a damaged image
/// there is the superblock, and the last line says what is wrong.
pub fn dump(image: &(impl ReadAt + ?Sized)) -> String {
    let mut text = String::from("EROFS superblock\n");
    let mut bytes = [0; SUPERBLOCK_LEN];
    if image.read_at(SUPERBLOCK_AT as u64, &mut bytes).is_ok() {
        dump_fields(&mut text, SUPERBLOCK_AT, SUPERBLOCK, &bytes);
    }
    // Writing to a String can't fail.
    let _ = match parse(image) {
        Ok(volume) => {
            for (index, node) in volume.nodes.iter().enumerate() {
                let _ = writeln!(text, "{}", line(&volume, index, node));
            }
            writeln!(text, "valid; UUID {}, {} blocks", volume.uuid, volume.blocks)
        }
        Err(error) => writeln!(text, "!! {error}"),
    };
    text
}

fn line(volume: &Volume, index: usize, node: &Node) -> String {
    let letter = match node.kind {
        Kind::Directory => 'd',
        Kind::File => '-',
        Kind::Symlink => 'l',
        Kind::Special => '?',
    };
    let extents: Vec<String> = node
        .extents
        .iter()
        .filter(|extent| !extent.is_empty())
        .map(|extent| format!("{:08x}..{:08x}", extent.start, extent.end))
        .collect();
    format!(
        "{:08x} {letter}{:04o} nid={} ino={} uid={} gid={} nlink={} mtime={} size={} data={} /{}",
        node.inode.start,
        node.mode & 0o7777,
        node.nid,
        node.number,
        node.owner.0,
        node.owner.1,
        node.links,
        node.mtime,
        node.size,
        if extents.is_empty() { "none".to_owned() } else { extents.join("+") },
        volume.path(index).escape_debug(),
    )
}

/// The place of a byte, such as "EROFS inode of `model.gguf`, field size".
pub fn locate(image: &(impl ReadAt + ?Sized), offset: u64) -> String {
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    match at.checked_sub(SUPERBLOCK_AT) {
        None => return format!("EROFS space for boot sectors, byte {at}"),
        Some(at) if at < SUPERBLOCK_LEN => return format!("EROFS superblock, {}", field_name(SUPERBLOCK, at)),
        Some(_) => {}
    }
    let Ok(volume) = parse(image) else { return format!("EROFS, byte {offset} of an image that can't be read") };
    for (index, node) in volume.nodes.iter().enumerate() {
        let path = volume.path(index);
        if node.inode.contains(&offset) {
            let fields = if node.inode.end.saturating_sub(node.inode.start) == EXTENDED_LEN as u64 { EXTENDED } else { COMPACT };
            let at = usize::try_from(offset.saturating_sub(node.inode.start)).unwrap_or(0);
            return format!("EROFS inode of `{path}`, {}", field_name(fields, at));
        }
        if let Some(place) = within(image, node, offset) {
            let what = if node.kind == Kind::Directory { "directory" } else { "file" };
            return format!("EROFS {what} `{path}`, {place}");
        }
    }
    match offset < u64::from(volume.blocks).saturating_mul(BLOCK as u64) {
        true => format!("EROFS space that nothing uses, byte {offset}"),
        false => format!("EROFS, byte {offset}, behind the image"),
    }
}

/// The place in the node's content, if it lies there.
fn within(image: &(impl ReadAt + ?Sized), node: &Node, offset: u64) -> Option<String> {
    let mut before = 0u64;
    for extent in node.extents.iter().filter(|extent| !extent.is_empty()) {
        let at = offset.checked_sub(extent.start).map(|at| before.saturating_add(at));
        if let Some(at) = at.filter(|_| extent.contains(&offset)) {
            return Some(match node.kind {
                Kind::Directory => in_directory(image, node, at).unwrap_or_else(|| format!("byte {at}")),
                _ => format!("byte {at}"),
            });
        }
        before = before.saturating_add(extent.end.saturating_sub(extent.start));
    }
    let end = node.extents[0].end;
    let padding = end..end.checked_next_multiple_of(BLOCK as u64)?;
    padding.contains(&offset).then(|| "padding behind the last byte".to_owned())
}

fn in_directory(image: &(impl ReadAt + ?Sized), node: &Node, at: u64) -> Option<String> {
    let start = at.checked_sub(at % BLOCK as u64)?;
    let mut bytes = vec![0; usize::try_from(node.size.checked_sub(start)?).map_or(BLOCK, |len| len.min(BLOCK))];
    node.read(image, start, &mut bytes).ok()?;
    let entries = directory::parse(&bytes).ok()?;
    let at = usize::try_from(at.checked_sub(start)?).ok()?;
    if let Some(entry) = entries.get(at / DIRENT_LEN) {
        return Some(format!("entry `{}`, {}", entry.name.escape_ascii(), field_name(DIRENT, at % DIRENT_LEN)));
    }
    let named = |entry: &&directory::Found<'_>| at >= entry.name_at && at.saturating_sub(entry.name_at) < entry.name.len();
    match entries.iter().find(named) {
        Some(entry) => Some(format!("name of entry `{}`", entry.name.escape_ascii())),
        None => Some("padding behind a block's last name".to_owned()),
    }
}

/// Length of the image by its superblock, in bytes: where a pack's hash area begins.
pub(crate) fn data_bytes(image: &(impl ReadAt + ?Sized)) -> Option<u64> {
    Some(u64::from(superblock(image).ok()?.blocks).saturating_mul(BLOCK as u64))
}
