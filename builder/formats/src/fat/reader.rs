//! Volume → files, read without the writer's knowledge of where things are. Everything is checked: boot sector and its
//! backup, FSInfo, both FATs, every chain, names and their checksums, and that no cluster is lost or shared.

use std::collections::BTreeSet;

use crate::bytes::{all_zero, slice, u16_at, u32_at};

use super::layout::{
    BACKUP_BOOT_SECTOR, BACKUP_FSINFO_SECTOR, BOOT_SIGNATURE, END_OF_CHAIN_MIN, FAT_ENTRY_0, FAT_ENTRY_1, FAT_ENTRY_MASK,
    FAT32_MAX_CLUSTERS, FAT32_MIN_CLUSTERS, FATS, FSINFO_LEAD, FSINFO_SECTOR, FSINFO_STRUCT, FSINFO_TRAIL, SECTOR,
};
use super::listing;

/// A FAT32 volume, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume<'a> {
    /// The whole volume.
    pub bytes: &'a [u8],
    /// Serial number.
    pub id: u32,
    /// Label of the boot sector, padded with spaces.
    pub label: [u8; 11],
    /// Blocks before the volume, as the boot sector has it.
    pub hidden_sectors: u32,
    /// Bytes of a cluster.
    pub cluster_len: usize,
    /// Clusters of the data area; the first has number 2.
    pub clusters: u32,
    /// Clusters that no file or directory has.
    pub free: u32,
    /// Offset and length in bytes of the first FAT; the second follows it.
    pub fat: (usize, usize),
    /// Offset of the data area.
    pub data_offset: usize,
    /// Files and directories, root first, every directory before what stands in it.
    pub nodes: Vec<Node>,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Path without a leading slash; empty for the root.
    pub path: String,
    /// Short name as on disk.
    pub short: [u8; 11],
    /// Whether it is a directory.
    pub directory: bool,
    /// Bytes of a file; 0 for a directory.
    pub size: u32,
    /// Its clusters in order.
    pub clusters: Vec<u32>,
    /// Offset of its directory entry in the volume; 0 for the root, which has none.
    pub entry_offset: usize,
}

/// Why a volume was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The boot sector or its backup isn't that of a FAT32 volume of exactly these bytes.
    #[error("reading a FAT volume: boot sector: {fault}")]
    Boot {
        /// What is wrong.
        fault: &'static str,
    },
    /// The FSInfo sector or its backup is damaged or counts wrong.
    #[error("reading a FAT volume: FSInfo: {fault}")]
    FsInfo {
        /// What is wrong.
        fault: &'static str,
    },
    /// The FATs are damaged: they differ, a chain leaves the volume, two chains meet, or clusters are lost.
    #[error("reading a FAT volume: FAT, cluster {cluster}: {fault}")]
    Chain {
        /// The cluster at which it shows.
        cluster: u32,
        /// What is wrong.
        fault: &'static str,
    },
    /// A directory is damaged.
    #[error("reading a FAT volume: directory entry at {at:#x}: {fault}")]
    Entry {
        /// Offset of the entry in the volume.
        at: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// Something stands where nothing should: in a reserved sector, behind a file's end, in a free cluster.
    #[error("reading a FAT volume: something stands at {at:#x}, which belongs to no file or structure")]
    Unclaimed {
        /// Start of the sector, cluster or rest of a cluster.
        at: usize,
    },
}

/// Reads a FAT32 volume with 512-byte sectors and two FATs, the only kind that an ESP of ours is.
///
/// # Errors
/// [`ReadError`] for any damage or inconsistency.
pub fn parse(bytes: &[u8]) -> Result<Volume<'_>, ReadError> {
    let (volume, used) = structure(bytes)?;
    check_unclaimed(&volume, &used)?;
    Ok(volume)
}

/// The volume and its used clusters, whatever stands in the free space: enough to name a place there.
pub(super) fn structure(bytes: &[u8]) -> Result<(Volume<'_>, BTreeSet<u32>), ReadError> {
    let mut volume = frame(bytes)?;
    check_fats(&volume)?;
    let mut used = BTreeSet::new();
    volume.nodes = listing::read(&volume, &mut used)?;
    check_unused(&volume, &used)?;
    // `used` holds only clusters of the volume, each once.
    volume.free = volume.clusters.saturating_sub(u32::try_from(used.len()).unwrap_or(u32::MAX));
    check_fsinfo(&volume, &used)?;
    Ok((volume, used))
}

impl<'a> Volume<'a> {
    /// The content of a file, or `None` if there is no file of that path. Upper and lower case are the same.
    pub fn read_file(&self, path: &str) -> Option<Vec<u8>> {
        let node = self.nodes.iter().find(|node| !node.directory && node.path.eq_ignore_ascii_case(path))?;
        let mut content = Vec::with_capacity(node.clusters.len().checked_mul(self.cluster_len)?);
        for cluster in &node.clusters {
            content.extend_from_slice(self.cluster(*cluster)?);
        }
        content.truncate(node.size as usize);
        Some(content)
    }

    /// Offset of a cluster; `None` for a number that isn't a cluster's.
    pub(super) fn offset(&self, cluster: u32) -> Option<usize> {
        let index = cluster.checked_sub(2).filter(|index| *index < self.clusters)?;
        self.data_offset.checked_add((index as usize).checked_mul(self.cluster_len)?)
    }

    /// The bytes of a cluster.
    pub(super) fn cluster(&self, cluster: u32) -> Option<&'a [u8]> {
        slice(self.bytes, self.offset(cluster)?, self.cluster_len)
    }

    /// What the first FAT says of a cluster.
    pub(super) fn fat_entry(&self, cluster: u32) -> Option<u32> {
        let at = (cluster as usize).checked_mul(4).filter(|at| *at < self.fat.1)?;
        u32_at(self.bytes, self.fat.0.checked_add(at)?)
    }

    /// The clusters of a chain, all of which get marked as used.
    pub(super) fn chain(&self, first: u32, used: &mut BTreeSet<u32>) -> Result<Vec<u32>, ReadError> {
        let mut chain = Vec::new();
        let mut cluster = first;
        loop {
            let fault = |fault| ReadError::Chain { cluster, fault };
            if self.offset(cluster).is_none() {
                return Err(fault("a chain leaves the volume here"));
            }
            if !used.insert(cluster) {
                return Err(fault("two chains meet here, or one runs in a circle"));
            }
            chain.push(cluster);
            let next = self.fat_entry(cluster).ok_or_else(|| fault("it lies outside the FAT"))?;
            if next & !FAT_ENTRY_MASK != 0 {
                return Err(fault("the reserved bits are set"));
            }
            if next >= END_OF_CHAIN_MIN {
                return Ok(chain);
            }
            cluster = next;
        }
    }
}

/// The volume's parts, from the boot sector.
fn frame(bytes: &[u8]) -> Result<Volume<'_>, ReadError> {
    let fault = |fault| ReadError::Boot { fault };
    let boot = slice(bytes, 0, SECTOR).ok_or_else(|| fault("there isn't even one sector"))?;
    let short = |at| u16_at(boot, at).unwrap_or(0);
    let number = |at| u32_at(boot, at).unwrap_or(0);
    let byte = |at: usize| boot.get(at).copied().unwrap_or(0);
    if !boot.ends_with(&BOOT_SIGNATURE) {
        return Err(fault("it has no signature 55 aa"));
    }
    let sector_ok = usize::from(short(11)) == SECTOR;
    if !sector_ok || byte(16) != FATS || short(17) != 0 || short(19) != 0 || short(22) != 0 || byte(66) != 0x29 {
        return Err(fault("it isn't FAT32 with 512-byte sectors, two FATs, an id and a label"));
    }
    if short(40) != 0 || short(42) != 0 || number(44) != 2 {
        return Err(fault("mirrored FATs, version 0.0 and root cluster 2 are supported only"));
    }
    if short(48) != FSINFO_SECTOR || short(50) != BACKUP_BOOT_SECTOR {
        return Err(fault("FSInfo must be sector 1, the backup sector 6"));
    }
    let backup = slice(bytes, usize::from(BACKUP_BOOT_SECTOR) * SECTOR, SECTOR);
    if backup != Some(boot) {
        return Err(fault("the backup in sector 6 differs"));
    }
    let per_cluster = usize::from(byte(13));
    if !per_cluster.is_power_of_two() {
        return Err(fault("sectors per cluster must be a power of two"));
    }
    let reserved = u64::from(short(14));
    let (total, per_fat) = (u64::from(number(32)), u64::from(number(36)));
    if total.checked_mul(SECTOR as u64) != Some(bytes.len() as u64) {
        return Err(fault("total sectors and the volume's length differ"));
    }
    if reserved <= u64::from(BACKUP_FSINFO_SECTOR) {
        return Err(fault("the reserved sectors don't hold the backups"));
    }
    let data_sector = reserved.saturating_add(u64::from(FATS).saturating_mul(per_fat));
    let clusters = total.checked_sub(data_sector).map(|data| data / per_cluster as u64);
    let clusters = clusters.ok_or_else(|| fault("the FATs reach beyond the volume"))?;
    if !(FAT32_MIN_CLUSTERS..=FAT32_MAX_CLUSTERS).contains(&clusters) || per_fat.saturating_mul(128) < clusters + 2 {
        return Err(fault("the number of clusters doesn't fit FAT32 or the FAT"));
    }
    // All of these lie below the volume's length, which is a usize.
    let bytes_of = |sectors: u64| usize::try_from(sectors).unwrap_or(usize::MAX).saturating_mul(SECTOR);
    Ok(Volume {
        bytes,
        id: number(67),
        label: crate::bytes::array(boot, 71).unwrap_or_default(),
        hidden_sectors: number(28),
        cluster_len: per_cluster.saturating_mul(SECTOR),
        clusters: u32::try_from(clusters).unwrap_or(u32::MAX),
        free: 0,
        fat: (bytes_of(reserved), bytes_of(per_fat)),
        data_offset: bytes_of(data_sector),
        nodes: Vec::new(),
    })
}

fn check_fats(volume: &Volume<'_>) -> Result<(), ReadError> {
    let (at, len) = volume.fat;
    let first = slice(volume.bytes, at, len).unwrap_or(&[]);
    let second = slice(volume.bytes, at.saturating_add(len), len).unwrap_or(&[]);
    if let Some(at) = crate::bytes::first_difference(first, second) {
        let cluster = u32::try_from(at / 4).unwrap_or(u32::MAX);
        return Err(ReadError::Chain { cluster, fault: "the two FATs differ" });
    }
    if volume.fat_entry(0) != Some(FAT_ENTRY_0) || volume.fat_entry(1) != Some(FAT_ENTRY_1) {
        return Err(ReadError::Chain { cluster: 0, fault: "media byte or flags aren't those of a clean volume" });
    }
    Ok(())
}

/// Entries of clusters that nothing uses must be free, also those beyond the last cluster.
fn check_unused(volume: &Volume<'_>, used: &BTreeSet<u32>) -> Result<(), ReadError> {
    let entries = u32::try_from(volume.fat.1 / 4).unwrap_or(u32::MAX);
    for cluster in (2..entries).filter(|cluster| !used.contains(cluster)) {
        if volume.fat_entry(cluster) != Some(0) {
            return Err(ReadError::Chain { cluster, fault: "it is lost: marked as used, but no file has it" });
        }
    }
    Ok(())
}

fn check_fsinfo(volume: &Volume<'_>, used: &BTreeSet<u32>) -> Result<(), ReadError> {
    let fault = |fault| Err(ReadError::FsInfo { fault });
    let sector = |number: u16| slice(volume.bytes, usize::from(number) * SECTOR, SECTOR).unwrap_or(&[]);
    let info = sector(FSINFO_SECTOR);
    if info != sector(BACKUP_FSINFO_SECTOR) {
        return fault("its backup in sector 7 differs");
    }
    let signatures = [(0, FSINFO_LEAD), (484, FSINFO_STRUCT), (508, FSINFO_TRAIL)];
    if signatures.iter().any(|(at, value)| u32_at(info, *at) != Some(*value)) {
        return fault("a signature is wrong");
    }
    if u32_at(info, 488) != Some(volume.free) {
        return fault("it counts the free clusters wrong");
    }
    let next = u32_at(info, 492).unwrap_or(0);
    if (volume.free == 0) != (next == u32::MAX) || (volume.free != 0 && (volume.offset(next).is_none() || used.contains(&next))) {
        return fault("its next free cluster isn't one");
    }
    Ok(())
}

/// A volume that went through other hands may carry rests of deleted files; one of ours carries nothing.
fn check_unclaimed(volume: &Volume<'_>, used: &BTreeSet<u32>) -> Result<(), ReadError> {
    let zero = |at: usize, len: usize| match slice(volume.bytes, at, len) {
        Some(bytes) if all_zero(bytes) => Ok(()),
        _ => Err(ReadError::Unclaimed { at }),
    };
    let named = [0, FSINFO_SECTOR, BACKUP_BOOT_SECTOR, BACKUP_FSINFO_SECTOR].map(usize::from);
    for sector in (0..volume.fat.0 / SECTOR).filter(|sector| !named.contains(sector)) {
        zero(sector * SECTOR, SECTOR)?;
    }
    for node in volume.nodes.iter().filter(|node| !node.directory) {
        let Some(last) = node.clusters.last().and_then(|cluster| volume.offset(*cluster)) else { continue };
        let filled = match node.size as usize % volume.cluster_len {
            0 => volume.cluster_len,
            rest => rest,
        };
        zero(last.saturating_add(filled), volume.cluster_len.saturating_sub(filled))?;
    }
    let free = (2..volume.clusters.saturating_add(2)).filter(|cluster| !used.contains(cluster));
    for at in free.filter_map(|cluster| volume.offset(cluster)) {
        zero(at, volume.cluster_len)?;
    }
    let end = volume.data_offset.saturating_add((volume.clusters as usize).saturating_mul(volume.cluster_len));
    zero(end, volume.bytes.len().saturating_sub(end))
}
