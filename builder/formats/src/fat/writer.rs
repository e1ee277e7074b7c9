//! Declared files → volume, front to back: boot sectors, FATs, directories, files. Nothing is ever searched for or
//! changed afterwards, so every file is one run of clusters and every unused byte is zero.

use super::layout::{
    ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, BACKUP_BOOT_SECTOR, BACKUP_FSINFO_SECTOR, BOOT_SIGNATURE,
    END_OF_CHAIN, ENTRY_LEN, FAT_ENTRY_0, FAT_ENTRY_1, FATS, FSINFO_LEAD, FSINFO_SECTOR, FSINFO_STRUCT, FSINFO_TRAIL, Geometry,
    LAST_LONG_ENTRY, LONG_UNITS, MAX_DIRECTORY_LEN, MEDIA, RESERVED_SECTORS, ROOT_CLUSTER, SECTOR,
};
use super::name::{self, DOT, DOT_DOT, ShortName};
use super::time::DosTime;
use super::tree::{self, Kind, Node};

/// A volume to be written.
#[derive(Clone, Debug)]
pub struct VolumeSpec<'a> {
    /// The volume's name: 1 to 11 of `A`–`Z`, `0`–`9`, `-`, `_`.
    pub label: &'a str,
    /// The volume's serial number. `fsck.fat` and `blkid` show it as two groups of four digits.
    pub id: u32,
    /// Every time in the volume, in seconds since 1970 UTC; before 1980 becomes 1980.
    pub epoch: u64,
    /// Blocks before the volume on its disk, [`FIRST_PARTITION_LBA`](crate::gpt::FIRST_PARTITION_LBA) for the first
    /// partition. Firmware doesn't look; the BIOS-age field exists, so it holds the truth.
    pub hidden_sectors: u32,
    /// The files. The directories in their paths come into being.
    pub files: &'a [File<'a>],
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Where it stands, such as `EFI/BOOT/BOOTX64.EFI`.
    pub path: &'a str,
    /// What is in it: less than 4 GiB.
    pub content: &'a [u8],
}

/// Why a volume couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A path can't stand in the volume, or stands there already. The caller must rename it.
    #[error("writing the FAT volume: path {path:?}: {fault}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The label isn't one that FAT can hold.
    #[error("writing the FAT volume: label {label:?}: use 1 to 11 of A-Z, 0-9, - and _")]
    Label {
        /// The label.
        label: String,
    },
    /// FAT's times end with the year 2107.
    #[error("writing the FAT volume: time {epoch} is after 2107; use an earlier epoch")]
    Epoch {
        /// Seconds since 1970.
        epoch: u64,
    },
    /// A file, a directory or the whole volume is longer than FAT32 allows.
    #[error("writing the FAT volume: {what} is too large: {limit}")]
    TooLarge {
        /// Which.
        what: String,
        /// The limit.
        limit: &'static str,
    },
}

/// Files up to this many bytes in total stand in clusters of one sector, larger ones in clusters of 4 KiB. FAT32 needs
/// 65525 clusters, so this keeps a usual ESP at 33 MiB. Another value moves every cluster number of larger volumes.
const SMALL_TOTAL: u64 = 256 << 20;

/// Writes the volume. Its length is the smallest multiple of 1 MiB that holds the files and is still FAT32 (33 MiB with
/// one file of some MiB). See `docs/formats/disk.md`.
///
/// # Errors
/// [`WriteError`].
pub fn write(spec: &VolumeSpec<'_>) -> Result<Vec<u8>, WriteError> {
    let label = label(spec.label)?;
    let time = DosTime::from_epoch(spec.epoch).ok_or(WriteError::Epoch { epoch: spec.epoch })?;
    let nodes = tree::build(spec.files)?;
    let total: u64 = spec.files.iter().map(|file| file.content.len() as u64).sum();
    let sectors_per_cluster = if total <= SMALL_TOTAL { 1 } else { 8 };
    let plan = Plan::new(&nodes, sectors_per_cluster)?;

    let mut out = Vec::with_capacity(plan.geometry.total_sectors as usize * SECTOR);
    reserved_area(&mut out, spec, &label, &plan);
    for _ in 0..FATS {
        fat(&mut out, &plan);
    }
    for run in &plan.runs {
        match &nodes[run.node].kind {
            Kind::Directory(children) => directory(&mut out, &nodes, run.node, children, &label, time, &plan),
            Kind::File(content) => out.extend_from_slice(content),
        }
        out.resize(out.len().next_multiple_of(SECTOR), 0);
        out.resize(plan.offset(run.first + run.count), 0);
    }
    out.resize(plan.geometry.total_sectors as usize * SECTOR, 0);
    Ok(out)
}

fn label(text: &str) -> Result<ShortName, WriteError> {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 11 || !text.bytes().all(fits) {
        return Err(WriteError::Label { label: text.to_owned() });
    }
    let mut label = [b' '; 11];
    for (to, from) in label.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok(label)
}

/// One node's clusters.
struct Run {
    node: usize,
    first: u32,
    count: u32,
}

/// Which clusters belong to which node.
struct Plan {
    geometry: Geometry,
    /// In the order of the clusters: directories, then files. Empty files have none.
    runs: Vec<Run>,
    /// First cluster by node; 0 for an empty file.
    first: Vec<u32>,
    /// First cluster behind all runs.
    end: u32,
}

impl Plan {
    fn new(nodes: &[Node<'_>], sectors_per_cluster: u8) -> Result<Plan, WriteError> {
        let volume = || WriteError::TooLarge { what: "the volume".to_owned(), limit: "at most 2 TiB" };
        let cluster_len = usize::from(sectors_per_cluster) * SECTOR;
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.sort_by_key(|node| matches!(nodes[*node].kind, Kind::File(_)));

        let mut plan = Vec::with_capacity(nodes.len());
        let mut first = vec![0; nodes.len()];
        let mut next = u64::from(ROOT_CLUSTER);
        for node in order {
            let count = length(nodes, node)?.div_ceil(cluster_len) as u64;
            if count == 0 {
                continue;
            }
            let start = u32::try_from(next).map_err(|_| volume())?;
            first[node] = start;
            plan.push(Run { node, first: start, count: u32::try_from(count).map_err(|_| volume())? });
            next += count;
        }
        let wanted = next - u64::from(ROOT_CLUSTER);
        let geometry = Geometry::smallest(wanted, sectors_per_cluster).ok_or_else(volume)?;
        Ok(Plan { geometry, runs: plan, first, end: u32::try_from(next).map_err(|_| volume())? })
    }

    /// Where a cluster starts in the volume. Every cluster here lies in a volume that `Geometry` accepted, below 2^41.
    fn offset(&self, cluster: u32) -> usize {
        let data = usize::from(RESERVED_SECTORS) + usize::from(FATS) * self.geometry.sectors_per_fat as usize;
        data * SECTOR + (cluster - ROOT_CLUSTER) as usize * self.geometry.cluster_len()
    }
}

/// Bytes of a node.
fn length(nodes: &[Node<'_>], node: usize) -> Result<usize, WriteError> {
    match &nodes[node].kind {
        Kind::File(content) if u32::try_from(content.len()).is_err() => {
            Err(WriteError::TooLarge { what: nodes[node].name.to_owned(), limit: "less than 4 GiB" })
        }
        Kind::File(content) => Ok(content.len()),
        Kind::Directory(children) => {
            // The root holds the label, every other directory `.` and `..`.
            let own = if node == 0 { 1 } else { 2 };
            let entries: usize = children.iter().map(|child| 1 + long_entries(nodes[*child].name)).sum();
            let len = (own + entries) * ENTRY_LEN;
            if len > MAX_DIRECTORY_LEN {
                let what = format!("directory {:?}", nodes[node].name);
                return Err(WriteError::TooLarge { what, limit: "at most 65536 entries" });
            }
            Ok(len)
        }
    }
}

/// How many long entries a name needs: none if it is a short name as it stands.
fn long_entries(name: &str) -> usize {
    if name::exact(name).is_some() { 0 } else { name.len().div_ceil(LONG_UNITS) }
}

fn reserved_area(out: &mut Vec<u8>, spec: &VolumeSpec<'_>, label: &ShortName, plan: &Plan) {
    let boot = boot_sector(spec, label, &plan.geometry);
    let fsinfo = fsinfo(plan);
    for sector in 0..RESERVED_SECTORS {
        match sector {
            0 | BACKUP_BOOT_SECTOR => out.extend_from_slice(&boot),
            FSINFO_SECTOR | BACKUP_FSINFO_SECTOR => out.extend_from_slice(&fsinfo),
            _ => out.resize(out.len() + SECTOR, 0),
        }
    }
}

fn boot_sector(spec: &VolumeSpec<'_>, label: &ShortName, geometry: &Geometry) -> Vec<u8> {
    let mut boot = Vec::with_capacity(SECTOR);
    boot.extend_from_slice(&[0xEB, 0x58, 0x90]); // jump to the boot code at 90
    boot.extend_from_slice(b"MSWIN4.1"); // fatgen103: the name that gives the fewest compatibility problems
    boot.extend_from_slice(&(SECTOR as u16).to_le_bytes());
    boot.push(geometry.sectors_per_cluster);
    boot.extend_from_slice(&RESERVED_SECTORS.to_le_bytes());
    boot.push(FATS);
    boot.extend_from_slice(&[0; 4]); // root entries, total sectors: only FAT12 and FAT16
    boot.push(MEDIA);
    boot.extend_from_slice(&[0; 2]); // sectors per FAT: only FAT12 and FAT16
    boot.extend_from_slice(&63u16.to_le_bytes()); // sectors per track and heads of a disk without geometry
    boot.extend_from_slice(&255u16.to_le_bytes());
    boot.extend_from_slice(&spec.hidden_sectors.to_le_bytes());
    boot.extend_from_slice(&geometry.total_sectors.to_le_bytes());
    boot.extend_from_slice(&geometry.sectors_per_fat.to_le_bytes());
    boot.extend_from_slice(&[0; 4]); // both FATs are kept alike; version 0.0
    boot.extend_from_slice(&ROOT_CLUSTER.to_le_bytes());
    boot.extend_from_slice(&FSINFO_SECTOR.to_le_bytes());
    boot.extend_from_slice(&BACKUP_BOOT_SECTOR.to_le_bytes());
    boot.extend_from_slice(&[0; 12]);
    boot.extend_from_slice(&[0x80, 0, 0x29]); // first hard disk; id, label and type follow
    boot.extend_from_slice(&spec.id.to_le_bytes());
    boot.extend_from_slice(label);
    boot.extend_from_slice(b"FAT32   ");
    boot.extend_from_slice(&[0xCD, 0x18, 0xF4, 0xEB, 0xFD]); // int 0x18 (BIOS: try the next device); halt for good
    boot.resize(SECTOR - BOOT_SIGNATURE.len(), 0);
    boot.extend_from_slice(&BOOT_SIGNATURE);
    boot
}

fn fsinfo(plan: &Plan) -> Vec<u8> {
    let free = plan.geometry.clusters - (plan.end - ROOT_CLUSTER);
    // With everything used there is no next free cluster: all ones means "not known".
    let next = if free == 0 { u32::MAX } else { plan.end };
    let mut sector = Vec::with_capacity(SECTOR);
    sector.extend_from_slice(&FSINFO_LEAD.to_le_bytes());
    sector.resize(484, 0);
    sector.extend_from_slice(&FSINFO_STRUCT.to_le_bytes());
    sector.extend_from_slice(&free.to_le_bytes());
    sector.extend_from_slice(&next.to_le_bytes());
    sector.resize(508, 0);
    sector.extend_from_slice(&FSINFO_TRAIL.to_le_bytes());
    sector
}

fn fat(out: &mut Vec<u8>, plan: &Plan) {
    let end = out.len() + plan.geometry.sectors_per_fat as usize * SECTOR;
    out.extend_from_slice(&FAT_ENTRY_0.to_le_bytes());
    out.extend_from_slice(&FAT_ENTRY_1.to_le_bytes());
    for run in &plan.runs {
        for next in run.first + 1..run.first + run.count {
            out.extend_from_slice(&next.to_le_bytes());
        }
        out.extend_from_slice(&END_OF_CHAIN.to_le_bytes());
    }
    out.resize(end, 0);
}

fn directory(
    out: &mut Vec<u8>,
    nodes: &[Node<'_>],
    this: usize,
    children: &[usize],
    label: &ShortName,
    time: DosTime,
    plan: &Plan,
) {
    if this == 0 {
        entry(out, label, ATTR_VOLUME_ID, time, 0, 0);
    } else {
        // fatgen103: a `..` that means the root says cluster 0, though the root has clusters of its own.
        let parent = nodes[this].parent;
        let parent_first = if parent == 0 { 0 } else { plan.first[parent] };
        entry(out, &DOT, ATTR_DIRECTORY, time, plan.first[this], 0);
        entry(out, &DOT_DOT, ATTR_DIRECTORY, time, parent_first, 0);
    }
    for child in children {
        let node = &nodes[*child];
        if long_entries(node.name) > 0 {
            long_name(out, node.name, name::checksum(&node.short));
        }
        let (attributes, size) = match node.kind {
            Kind::Directory(_) => (ATTR_DIRECTORY, 0),
            Kind::File(content) => (ATTR_ARCHIVE, content.len() as u32),
        };
        entry(out, &node.short, attributes, time, plan.first[*child], size);
    }
}

fn entry(out: &mut Vec<u8>, short: &ShortName, attributes: u8, time: DosTime, cluster: u32, size: u32) {
    let [c0, c1, c2, c3] = cluster.to_le_bytes();
    out.extend_from_slice(short);
    out.push(attributes);
    out.push(0);
    out.push(time.tenths);
    out.extend_from_slice(&time.time.to_le_bytes());
    out.extend_from_slice(&time.date.to_le_bytes());
    out.extend_from_slice(&time.date.to_le_bytes());
    out.extend_from_slice(&[c2, c3]);
    out.extend_from_slice(&time.time.to_le_bytes());
    out.extend_from_slice(&time.date.to_le_bytes());
    out.extend_from_slice(&[c0, c1]);
    out.extend_from_slice(&size.to_le_bytes());
}

/// The long entries of a name, its end first. An unfilled last one is closed by a NUL and filled with all ones.
fn long_name(out: &mut Vec<u8>, name: &str, checksum: u8) {
    let units: Vec<u16> = name.encode_utf16().collect();
    let chunks: Vec<&[u16]> = units.chunks(LONG_UNITS).collect();
    let numbered: Vec<(u8, &[u16])> = (1u8..).zip(chunks.iter().copied()).collect();
    for (number, chunk) in numbered.iter().copied().rev() {
        let last = usize::from(number) == chunks.len();
        let mut unit = chunk.iter().copied().chain([0]).chain(std::iter::repeat(0xFFFF));
        let mut put = |out: &mut Vec<u8>, count| {
            for _ in 0..count {
                out.extend_from_slice(&unit.next().unwrap_or(0xFFFF).to_le_bytes());
            }
        };
        out.push(if last { number | LAST_LONG_ENTRY } else { number });
        put(out, 5);
        out.push(ATTR_LONG_NAME);
        out.push(0);
        out.push(checksum);
        put(out, 6);
        out.extend_from_slice(&[0; 2]);
        put(out, 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(label: &str, epoch: u64, files: &[File<'_>]) -> String {
        write(&VolumeSpec { label, id: 1, epoch, hidden_sectors: 0, files }).unwrap_err().to_string()
    }

    #[test]
    fn impossible_volumes_are_refused() {
        let file = |path| File { path, content: b"x" };
        let long = "a".repeat(256);
        let cases: Vec<(Vec<File<'_>>, &str)> = vec![
            (vec![file("")], "1 to 255"),
            (vec![file("/EFI")], "1 to 255"),
            (vec![file(&long)], "1 to 255"),
            (vec![file("a b")], "ASCII letters"),
            (vec![file("a\\b")], "ASCII letters"),
            (vec![file("EFI/../x")], "dot"),
            (vec![file("EFI/x.")], "dot"),
            (vec![file("A"), file("a")], "differs only in case"),
            (vec![file("A"), file("A")], "is the same"),
            (vec![file("A"), file("A/B")], "uses a file as a directory"),
            (vec![file("A/B"), file("A")], "uses a file as a directory"),
            (vec![file("A/B"), file("a/C")], "differs only in case"),
        ];
        for (files, expected) in cases {
            let message = refusal("ESP", 0, &files);
            assert!(message.contains(expected), "{files:?}: {message}");
        }
        for label in ["", "esp", "TWELVE-CHARS", "A B"] {
            assert!(refusal(label, 0, &[]).contains("label"), "{label}");
        }
        assert!(refusal("ESP", u64::MAX, &[]).contains("2107"));
    }
}
