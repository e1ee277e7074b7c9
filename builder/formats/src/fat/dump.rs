//! Volume → text.

use crate::bytes::{dump_fields, slice};

use super::layout::{BOOT, ENTRY, ENTRY_LEN, FSINFO, FSINFO_SECTOR, SECTOR};
use super::reader::{Node, Volume, parse};

/// Every field of boot sector and FSInfo with its offset, the areas, and every file and directory with its entry and its
/// clusters. A damaged volume is shown as far as its first two sectors, and the last line says what is wrong.
pub fn dump(bytes: &[u8]) -> String {
    let mut text = String::from("boot sector\n");
    dump_fields(&mut text, 0, BOOT, slice(bytes, 0, SECTOR).unwrap_or(&[]));
    text.push_str("FSInfo\n");
    let fsinfo = usize::from(FSINFO_SECTOR) * SECTOR;
    dump_fields(&mut text, fsinfo, FSINFO, slice(bytes, fsinfo, SECTOR).unwrap_or(&[]));
    match parse(bytes) {
        Ok(volume) => list(&mut text, &volume),
        Err(error) => text.push_str(&format!("!! {error}\n")),
    }
    text
}

fn list(text: &mut String, volume: &Volume<'_>) {
    let (fat, fat_len) = volume.fat;
    text.push_str(&format!("{fat:08x} FAT 1\n{:08x} FAT 2\n", fat.saturating_add(fat_len)));
    text.push_str(&format!(
        "{:08x} data: {} clusters of {} bytes, {} free; label `{}`\n",
        volume.data_offset,
        volume.clusters,
        volume.cluster_len,
        volume.free,
        volume.label.escape_ascii(),
    ));
    for node in &volume.nodes {
        let kind = if node.directory { "directory" } else { "file" };
        let path = format!("/{}", node.path);
        let (short, clusters) = (node.short.escape_ascii(), runs(node));
        text.push_str(&format!("{kind} {path} short `{short}` {} bytes, clusters {clusters}\n", node.size));
        if !node.path.is_empty() {
            let entry = slice(volume.bytes, node.entry_offset, ENTRY_LEN).unwrap_or(&[]);
            dump_fields(text, node.entry_offset, ENTRY, entry);
        }
    }
}

/// `3-9,12`, or `none`.
fn runs(node: &Node) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for cluster in &node.clusters {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*cluster) => *last = *cluster,
            _ => runs.push((*cluster, *cluster)),
        }
    }
    if runs.is_empty() {
        return "none".to_owned();
    }
    runs.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",")
}
