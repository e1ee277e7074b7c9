//! The reader's way through the directories.

use std::collections::BTreeSet;

use crate::bytes::{all_zero, array, u16_at, u32_at};

use super::layout::{
    ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, ENTRY_LEN, LAST_LONG_ENTRY, LONG_UNITS, MAX_DIRECTORY_LEN,
};
use super::name::{DOT, DOT_DOT, ShortName, checksum};
use super::reader::{Node, ReadError, Volume};

/// Longest path that is followed, in bytes: fatgen103's limit on a path's characters. It bounds the names' memory, too.
const MAX_PATH: usize = 260;

/// All nodes, breadth first. Every cluster belongs to one chain only, so the work is bounded by the volume's length.
pub(super) fn read(volume: &Volume<'_>, used: &mut BTreeSet<u32>) -> Result<Vec<Node>, ReadError> {
    let clusters = volume.chain(2, used)?;
    let mut nodes = vec![Node { path: String::new(), short: [b' '; 11], directory: true, size: 0, clusters, entry_offset: 0 }];
    // (node, its first cluster, that of its parent as `..` has it)
    let mut queue = std::collections::VecDeque::from([(0usize, 0u32, 0u32)]);
    while let Some((index, own, parent)) = queue.pop_front() {
        let Some(this) = nodes.get(index).cloned() else { break };
        for found in directory(volume, &this, own, parent)? {
            let fault = |fault| ReadError::Entry { at: found.at, fault };
            let path = if this.path.is_empty() { found.name } else { format!("{}/{}", this.path, found.name) };
            if path.len() > MAX_PATH {
                return Err(fault("the path is longer than 260 bytes"));
            }
            let clusters = if found.first == 0 { Vec::new() } else { volume.chain(found.first, used)? };
            let needed = (found.size as usize).div_ceil(volume.cluster_len);
            if found.directory && (found.size != 0 || clusters.is_empty()) {
                return Err(fault("a directory must have clusters and no size"));
            }
            if !found.directory && needed != clusters.len() {
                return Err(fault("the file's size and its number of clusters don't fit"));
            }
            if found.directory {
                queue.push_back((nodes.len(), found.first, own));
            }
            nodes.push(Node {
                path,
                short: found.short,
                directory: found.directory,
                size: found.size,
                clusters,
                entry_offset: found.at,
            });
        }
    }
    Ok(nodes)
}

/// An entry of a directory.
struct Found {
    at: usize,
    name: String,
    short: ShortName,
    directory: bool,
    first: u32,
    size: u32,
}

fn directory(volume: &Volume<'_>, this: &Node, own: u32, parent: u32) -> Result<Vec<Found>, ReadError> {
    let too_long = this.clusters.len().saturating_mul(volume.cluster_len) > MAX_DIRECTORY_LEN;
    if too_long {
        return Err(ReadError::Entry { at: this.entry_offset, fault: "the directory is longer than 65536 entries" });
    }
    let mut entries = this.clusters.iter().flat_map(|cluster| {
        let base = volume.offset(*cluster).unwrap_or(0);
        let bytes = volume.cluster(*cluster).unwrap_or(&[]);
        bytes.chunks_exact(ENTRY_LEN).enumerate().map(move |(index, raw)| (base.saturating_add(index * ENTRY_LEN), raw))
    });
    check_start(volume, this, own, parent, &mut entries)?;

    let mut found: Vec<Found> = Vec::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut long = LongName::default();
    for (at, raw) in entries.by_ref() {
        let fault = |fault| ReadError::Entry { at, fault };
        match raw.first() {
            Some(0) if long.is_empty() && all_zero(raw) => break,
            Some(0 | 0xE5) => return Err(fault("deleted or half-empty entries aren't ours")),
            _ => {}
        }
        if raw.get(11) == Some(&ATTR_LONG_NAME) {
            long.take(raw).ok_or_else(|| fault("the long name is out of order or malformed"))?;
            continue;
        }
        let entry = short_entry(at, raw, std::mem::take(&mut long))?;
        if !taken.insert(entry.name.to_uppercase()) {
            return Err(fault("the name is there twice"));
        }
        found.push(entry);
    }
    for (at, raw) in entries {
        if !all_zero(raw) {
            return Err(ReadError::Entry { at, fault: "something follows the directory's end" });
        }
    }
    Ok(found)
}

/// The root starts with the label, every other directory with `.` and `..`.
fn check_start<'a>(
    volume: &Volume<'_>,
    this: &Node,
    own: u32,
    parent: u32,
    entries: &mut impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<(), ReadError> {
    let mut expect = |short: &ShortName, attributes: u8, cluster: u32, fault: &'static str| {
        let (at, raw) = entries.next().ok_or(ReadError::Entry { at: this.entry_offset, fault })?;
        let right = raw.starts_with(short) && raw.get(11) == Some(&attributes) && first_cluster(raw) == cluster;
        if right { Ok(()) } else { Err(ReadError::Entry { at, fault }) }
    };
    if this.path.is_empty() {
        return expect(&volume.label, ATTR_VOLUME_ID, 0, "the root must start with the boot sector's label");
    }
    expect(&DOT, ATTR_DIRECTORY, own, "a directory must start with `.`, which means itself")?;
    expect(&DOT_DOT, ATTR_DIRECTORY, parent, "a directory's second entry must be `..`, which means its parent")
}

fn first_cluster(raw: &[u8]) -> u32 {
    u32::from(u16_at(raw, 20).unwrap_or(0)) << 16 | u32::from(u16_at(raw, 26).unwrap_or(0))
}

fn short_entry(at: usize, raw: &[u8], long: LongName) -> Result<Found, ReadError> {
    let fault = |fault| ReadError::Entry { at, fault };
    let short: ShortName = array(raw, 0).ok_or_else(|| fault("it is cut off"))?;
    let directory = match raw.get(11) {
        Some(&ATTR_DIRECTORY) => true,
        Some(&ATTR_ARCHIVE) => false,
        _ => return Err(fault("it is neither a plain file nor a directory")),
    };
    let plain = short_text(&short).ok_or_else(|| fault("the short name holds something other than it may"))?;
    let name = if long.is_empty() {
        plain
    } else {
        long.finish(&short).ok_or_else(|| fault("the long name doesn't belong to the short one"))?
    };
    Ok(Found { at, name, short, directory, first: first_cluster(raw), size: u32_at(raw, 28).unwrap_or(0) })
}

/// `BOOTX64 EFI` → `BOOTX64.EFI`; `None` where the padding or a character is wrong.
fn short_text(short: &ShortName) -> Option<String> {
    let (base, extension) = short.split_at_checked(8)?;
    let part = |bytes: &[u8]| -> Option<String> {
        let text = bytes.trim_ascii_end();
        let good = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_lowercase() && !b"./\\\"*+,:;<=>?[]|".contains(byte);
        text.iter().all(good).then(|| text.iter().copied().map(char::from).collect())
    };
    let (base, extension) = (part(base)?, part(extension)?);
    match (base.is_empty(), extension.is_empty()) {
        (true, _) => None,
        (false, true) => Some(base),
        (false, false) => Some(format!("{base}.{extension}")),
    }
}

/// A long name while its entries, which stand in reverse, are being read.
#[derive(Default)]
struct LongName {
    /// Number of the entry that must come next; 0 when the name is complete.
    expected: u8,
    checksum: u8,
    /// The pieces in the order of the entries: the name's end first.
    pieces: Vec<Vec<u16>>,
}

impl LongName {
    fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn take(&mut self, raw: &[u8]) -> Option<()> {
        let order = *raw.first()?;
        let sum = *raw.get(13)?;
        if self.is_empty() {
            self.expected = order.checked_sub(LAST_LONG_ENTRY).filter(|number| (1..=20).contains(number))?;
            self.checksum = sum;
        } else if order != self.expected || self.expected == 0 {
            return None;
        }
        if sum != self.checksum || raw.get(12) != Some(&0) || u16_at(raw, 26) != Some(0) {
            return None;
        }
        let units: Vec<u16> = (1..11).chain(14..26).chain(28..32).step_by(2).filter_map(|at| u16_at(raw, at)).collect();
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(LONG_UNITS);
        let (name, rest) = units.split_at_checked(end)?;
        let padded = rest.iter().skip(1).all(|unit| *unit == 0xFFFF);
        // Only the name's end, which comes first, may be shorter.
        if name.is_empty() || !padded || (end < LONG_UNITS && !self.is_empty()) {
            return None;
        }
        self.pieces.push(name.to_vec());
        self.expected = self.expected.checked_sub(1)?;
        Some(())
    }

    fn finish(self, short: &ShortName) -> Option<String> {
        if self.expected != 0 || self.checksum != checksum(short) {
            return None;
        }
        let units: Vec<u16> = self.pieces.into_iter().rev().flatten().collect();
        let name = String::from_utf16(&units).ok()?;
        (!name.contains(['/', '\\', '\0']) && name != "." && name != "..").then_some(name)
    }
}
