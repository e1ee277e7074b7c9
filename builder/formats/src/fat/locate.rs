//! The name of the place of a byte.

use crate::bytes::field_name;

use super::layout::{
    ATTR_LONG_NAME, ATTR_VOLUME_ID, BACKUP_BOOT_SECTOR, BACKUP_FSINFO_SECTOR, BOOT, ENTRY, ENTRY_LEN, FSINFO, FSINFO_SECTOR,
    LONG_ENTRY, SECTOR,
};
use super::reader::{Node, Volume, structure};

/// The place of a byte, such as "FAT boot sector, field volume id" or "FAT file EFI/BOOT/BOOTX64.EFI, byte 12". In a
/// damaged volume only the sectors with a fixed place are named.
pub fn locate(bytes: &[u8], offset: usize) -> String {
    if let Some(place) = in_fixed_sectors(offset) {
        return place;
    }
    match structure(bytes) {
        Ok((volume, _)) => in_volume(&volume, offset),
        Err(error) => format!("FAT volume, byte {offset} ({error})"),
    }
}

fn in_fixed_sectors(offset: usize) -> Option<String> {
    let (sector, at) = (offset / SECTOR, offset % SECTOR);
    let is = |number: u16| sector == usize::from(number);
    if is(0) {
        Some(format!("FAT boot sector, {}", field_name(BOOT, at)))
    } else if is(FSINFO_SECTOR) {
        Some(format!("FAT FSInfo sector, {}", field_name(FSINFO, at)))
    } else if is(BACKUP_BOOT_SECTOR) {
        Some(format!("FAT backup boot sector, {}", field_name(BOOT, at)))
    } else if is(BACKUP_FSINFO_SECTOR) {
        Some(format!("FAT backup FSInfo sector, {}", field_name(FSINFO, at)))
    } else {
        None
    }
}

fn in_volume(volume: &Volume<'_>, offset: usize) -> String {
    let (fat, fat_len) = volume.fat;
    if offset < fat {
        return format!("FAT reserved sector {}", offset / SECTOR);
    }
    if offset < volume.data_offset {
        let at = offset.saturating_sub(fat);
        let (copy, at) = if at < fat_len { (1, at) } else { (2, at.saturating_sub(fat_len)) };
        let cluster = at / 4;
        return match u32::try_from(cluster).ok().and_then(|cluster| owner(volume, cluster)) {
            Some((node, _)) => format!("FAT table {copy}, entry of cluster {cluster} ({})", title(node)),
            None => format!("FAT table {copy}, entry of cluster {cluster}"),
        };
    }
    let at = offset.saturating_sub(volume.data_offset);
    let cluster = u32::try_from(at / volume.cluster_len.max(1)).unwrap_or(u32::MAX).saturating_add(2);
    let within = at % volume.cluster_len.max(1);
    match owner(volume, cluster) {
        Some((node, _)) if node.directory => in_directory(volume, node, offset),
        Some((node, index)) => {
            let byte = index.saturating_mul(volume.cluster_len).saturating_add(within);
            let slack = byte >= node.size as usize;
            format!("FAT {}, {}byte {byte}", title(node), if slack { "behind its end, " } else { "" })
        }
        None => format!("FAT free cluster {cluster}, byte {within}"),
    }
}

/// Which node a cluster belongs to, and as which of its clusters.
fn owner<'v>(volume: &'v Volume<'_>, cluster: u32) -> Option<(&'v Node, usize)> {
    volume.nodes.iter().find_map(|node| Some((node, node.clusters.iter().position(|own| *own == cluster)?)))
}

fn title(node: &Node) -> String {
    match node.directory {
        true => format!("directory /{}", node.path),
        false => format!("file {}", node.path),
    }
}

fn in_directory(volume: &Volume<'_>, directory: &Node, offset: usize) -> String {
    let start = offset.saturating_sub(offset.saturating_sub(volume.data_offset) % ENTRY_LEN);
    let at = offset.saturating_sub(start);
    let entry = volume.bytes.get(start..).unwrap_or(&[]);
    let title = title(directory);
    match (entry.first(), entry.get(11).copied()) {
        (Some(b'.'), _) => format!("FAT {title}, entry for itself or its parent, {}", field_name(ENTRY, at)),
        (_, Some(ATTR_VOLUME_ID)) => format!("FAT {title}, volume label entry, {}", field_name(ENTRY, at)),
        (_, Some(ATTR_LONG_NAME)) => {
            let entries = volume.nodes.iter().filter(|node| node.entry_offset > start);
            let name = entries.min_by_key(|node| node.entry_offset).map_or("", |node| &node.path);
            format!("FAT {title}, long name of {name}, {}", field_name(LONG_ENTRY, at))
        }
        _ => match volume.nodes.iter().find(|node| node.entry_offset == start) {
            Some(node) => format!("FAT {title}, entry of {}, {}", node.path, field_name(ENTRY, at)),
            None => format!("FAT {title}, behind its last entry"),
        },
    }
}

/// The file that holds the byte, with its path and the byte's place in it: what a nested format starts from.
pub(crate) fn content_at(bytes: &[u8], offset: usize) -> Option<(String, Vec<u8>, usize)> {
    let (volume, _) = structure(bytes).ok()?;
    let at = offset.checked_sub(volume.data_offset)?;
    let cluster = u32::try_from(at / volume.cluster_len.max(1)).ok()?.checked_add(2)?;
    let (node, index) = owner(&volume, cluster)?;
    let byte = index.checked_mul(volume.cluster_len)?.checked_add(at % volume.cluster_len.max(1))?;
    if node.directory || byte >= node.size as usize {
        return None;
    }
    Some((node.path.clone(), volume.read_file(&node.path)?, byte))
}
