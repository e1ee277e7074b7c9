//! Finds one file in a FAT file system: what firmware boots from the EFI system partition (Microsoft "FAT: General
//! Overview of On-Disk Format" 1.03). Short names only, which is all that the fallback path needs.

use crate::read;

/// The path that firmware boots on removable media (UEFI 2.10, section 3.5.1.1), as 8.3 names.
const FALLBACK: [&[u8; 11]; 3] = [b"EFI        ", b"BOOT       ", b"BOOTX64 EFI"];
/// Length of a directory entry.
const ENTRY: usize = 32;
/// A UKI of more than this isn't one.
const MAX_FILE: usize = 2 << 30;

/// The bytes of `\EFI\BOOT\BOOTX64.EFI`.
pub fn fallback_loader(volume: &[u8]) -> Result<Vec<u8>, FatError> {
    let fat = Fat::parse(volume)?;
    let mut directory = fat.root()?;
    for (depth, name) in FALLBACK.iter().enumerate() {
        let entry = find(&directory, name).ok_or(FatError::NotFound)?;
        let is_directory = entry[11] & 0x10 != 0;
        if is_directory == (depth == FALLBACK.len() - 1) {
            return Err(FatError::NotFound);
        }
        let high = u32::from(read::u16(entry, 20).unwrap_or_default());
        let low = u32::from(read::u16(entry, 26).unwrap_or_default());
        let size = read::index(read::u32(entry, 28).unwrap_or_default());
        let limit = if is_directory { None } else { Some(size) };
        directory = fat.chain(high << 16 | low, limit)?;
    }
    Ok(directory)
}

struct Fat<'a> {
    volume: &'a [u8],
    table: &'a [u8],
    /// Bits of a table entry: 12, 16 or 32.
    bits: u32,
    cluster: usize,
    /// Byte offset of the first cluster, which has number 2.
    data: usize,
    clusters: u32,
    root: Root,
}

enum Root {
    Cluster(u32),
    Fixed { offset: usize, size: usize },
}

impl<'a> Fat<'a> {
    fn parse(volume: &'a [u8]) -> Result<Self, FatError> {
        let damaged = FatError::Damaged("its boot sector isn't that of a FAT file system");
        let boot = read::slice(volume, 0, 512).filter(|b| b[510..] == [0x55, 0xaa]).ok_or(damaged.clone())?;
        let short = |offset| read::u16(boot, offset).map(usize::from).unwrap_or_default();
        let long = |offset| read::u32(boot, offset).map(read::index).unwrap_or_default();
        let (sector, per_cluster, reserved) = (short(11), usize::from(boot[13]), short(14));
        let (tables, root_entries) = (usize::from(boot[16]), short(17));
        let sectors = if short(19) != 0 { short(19) } else { long(32) };
        let table_sectors = if short(22) != 0 { short(22) } else { long(36) };
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() || tables == 0 {
            return Err(damaged);
        }
        // At most 2^16 and 2^32 each, so nothing here overflows 64 bits; on 32 bits the checked steps refuse.
        let table_bytes = table_sectors.checked_mul(sector).ok_or(damaged.clone())?;
        let tables_end = table_bytes.checked_mul(tables).and_then(|n| n.checked_add(reserved * sector));
        let tables_end = tables_end.ok_or(damaged.clone())?;
        let root_size = (root_entries * ENTRY).next_multiple_of(sector);
        let data = tables_end.checked_add(root_size).ok_or(damaged.clone())?;
        let cluster = per_cluster * sector;
        let total = sectors.checked_mul(sector).filter(|n| *n <= volume.len());
        let total = total.ok_or(FatError::Damaged("it reaches past its partition"))?;
        let clusters = total.checked_sub(data).ok_or(damaged.clone())? / cluster;
        // The number of clusters alone decides the type.
        let bits = if clusters < 4085 {
            12
        } else if clusters < 65525 {
            16
        } else {
            32
        };
        let root = match bits {
            32 => Root::Cluster(read::u32(boot, 44).unwrap_or_default()),
            _ => Root::Fixed { offset: tables_end, size: root_size },
        };
        let table = read::slice(volume, reserved * sector, table_bytes).ok_or(damaged)?;
        let clusters = u32::try_from(clusters).map_err(|_| FatError::Damaged("it has too many clusters"))?;
        Ok(Self { volume, table, bits, cluster, data, clusters, root })
    }

    fn root(&self) -> Result<Vec<u8>, FatError> {
        match self.root {
            Root::Cluster(first) => self.chain(first, None),
            Root::Fixed { offset, size } => {
                let root = read::slice(self.volume, offset, size);
                Ok(root.ok_or(FatError::Damaged("its root directory is cut"))?.to_vec())
            }
        }
    }

    /// All bytes of a chain of clusters; exactly `size` if given.
    fn chain(&self, first: u32, size: Option<usize>) -> Result<Vec<u8>, FatError> {
        let broken = FatError::Damaged("a chain of clusters is broken");
        if size.is_some_and(|size| size > MAX_FILE) {
            return Err(FatError::Damaged("a file is implausibly large"));
        }
        let mut bytes = Vec::new();
        let mut current = first;
        for _ in 0..self.clusters {
            if size.is_some_and(|size| bytes.len() >= size) {
                break;
            }
            let index = current.checked_sub(2).filter(|n| *n < self.clusters).ok_or(broken.clone())?;
            let at = read::index(index).checked_mul(self.cluster).and_then(|n| n.checked_add(self.data));
            bytes.extend(at.and_then(|at| read::slice(self.volume, at, self.cluster)).ok_or(broken.clone())?);
            current = self.next(current).ok_or(broken.clone())?;
            if current >= self.end_mark() {
                break;
            }
        }
        match size {
            Some(size) if bytes.len() < size => Err(broken),
            Some(size) => {
                bytes.truncate(size);
                Ok(bytes)
            }
            None => Ok(bytes),
        }
    }

    fn next(&self, cluster: u32) -> Option<u32> {
        let index = read::index(cluster);
        match self.bits {
            12 => {
                let pair = read::u16(self.table, index + index / 2)?;
                Some(u32::from(if index % 2 == 1 { pair >> 4 } else { pair & 0xfff }))
            }
            16 => read::u16(self.table, index.checked_mul(2)?).map(u32::from),
            _ => read::u32(self.table, index.checked_mul(4)?).map(|entry| entry & 0x0fff_ffff),
        }
    }

    fn end_mark(&self) -> u32 {
        match self.bits {
            12 => 0xff8,
            16 => 0xfff8,
            _ => 0x0fff_fff8,
        }
    }
}

/// The entry called `name`; long names, labels and deleted entries don't match.
fn find<'d>(directory: &'d [u8], name: &[u8; 11]) -> Option<&'d [u8; ENTRY]> {
    let entries = directory.as_chunks::<ENTRY>().0.iter();
    entries.take_while(|entry| entry[0] != 0).find(|entry| entry[..11] == *name && entry[11] & 0x08 == 0)
}

/// Why the boot loader can't be read from the EFI system partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// Not FAT, or damaged.
    #[error("EFI system partition is damaged: {0}")]
    Damaged(&'static str),
    /// Nothing that firmware would boot.
    #[error("EFI system partition has no \\EFI\\BOOT\\BOOTX64.EFI")]
    NotFound,
}
