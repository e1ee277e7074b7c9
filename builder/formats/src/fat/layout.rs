//! What stands where in a FAT32 volume.
//!
//! Source: fatgen103, "Boot Sector and BPB", "FAT32 FSInfo Sector Structure and Backup Boot Sector", "FAT Directory
//! Structure", "FAT Long Directory Entries".

use crate::bytes::Field;

/// Bytes of a sector. Firmware requires it to equal the disk's block size.
pub(super) const SECTOR: usize = 512;

/// Sectors before the first FAT, as `mkfs.fat` has it for FAT32.
pub(super) const RESERVED_SECTORS: u16 = 32;

/// Two copies of the FAT; drivers may assume it.
pub(super) const FATS: u8 = 2;

/// Where FSInfo, the backup boot sector, and the backup of FSInfo stand.
pub(super) const FSINFO_SECTOR: u16 = 1;
pub(super) const BACKUP_BOOT_SECTOR: u16 = 6;
pub(super) const BACKUP_FSINFO_SECTOR: u16 = 7;

/// First cluster of the root directory, and of the data area.
pub(super) const ROOT_CLUSTER: u32 = 2;

/// A volume with fewer clusters *is* FAT16 or FAT12, whatever its boot sector says: the type is decided by the count.
/// fatgen103 asks to stay clear of the limit by 16, since many drivers are off by a few.
pub(super) const FAT32_MIN_CLUSTERS: u64 = 65525;
pub(super) const SAFE_MIN_CLUSTERS: u64 = FAT32_MIN_CLUSTERS + 16;

/// More clusters than this would run into the reserved entry values.
pub(super) const FAT32_MAX_CLUSTERS: u64 = 0x0FFF_FFF4;

/// Bits of a FAT entry that count; the upper four are reserved and are kept zero.
pub(super) const FAT_ENTRY_MASK: u32 = 0x0FFF_FFFF;

/// Entries 0 and 1 hold no cluster: the media byte, and the flags "cleanly unmounted" and "no errors".
pub(super) const FAT_ENTRY_0: u32 = 0x0FFF_FF00 | MEDIA as u32;
pub(super) const FAT_ENTRY_1: u32 = 0x0FFF_FFFF;

/// The last cluster of a chain, as written; a reader takes anything from `0x0FFFFFF8`.
pub(super) const END_OF_CHAIN: u32 = 0x0FFF_FFFF;
pub(super) const END_OF_CHAIN_MIN: u32 = 0x0FFF_FFF8;

/// "Fixed disk".
pub(super) const MEDIA: u8 = 0xF8;

/// Bytes of a directory entry, short or long.
pub(super) const ENTRY_LEN: usize = 32;

/// A directory holds at most 65536 entries.
pub(super) const MAX_DIRECTORY_LEN: usize = 65536 * ENTRY_LEN;

/// Attribute bits of a directory entry.
pub(super) const ATTR_VOLUME_ID: u8 = 0x08;
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
pub(super) const ATTR_ARCHIVE: u8 = 0x20;
pub(super) const ATTR_LONG_NAME: u8 = 0x0F;

/// Set in the order byte of the long entry that stands first, which holds the name's end.
pub(super) const LAST_LONG_ENTRY: u8 = 0x40;

/// UTF-16 code units in one long entry.
pub(super) const LONG_UNITS: usize = 13;

/// The numbers that mark an FSInfo sector.
pub(super) const FSINFO_LEAD: u32 = 0x4161_5252;
pub(super) const FSINFO_STRUCT: u32 = 0x6141_7272;
pub(super) const FSINFO_TRAIL: u32 = 0xAA55_0000;

/// Last two bytes of a boot sector.
pub(super) const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xAA];

/// The boot sector.
pub(super) const BOOT: &[Field] = &[
    Field { name: "jump", at: 0, len: 3 },
    Field { name: "OEM name", at: 3, len: 8 },
    Field { name: "bytes per sector", at: 11, len: 2 },
    Field { name: "sectors per cluster", at: 13, len: 1 },
    Field { name: "reserved sectors", at: 14, len: 2 },
    Field { name: "number of FATs", at: 16, len: 1 },
    Field { name: "root entries", at: 17, len: 2 },
    Field { name: "total sectors (16 bit)", at: 19, len: 2 },
    Field { name: "media", at: 21, len: 1 },
    Field { name: "sectors per FAT (16 bit)", at: 22, len: 2 },
    Field { name: "sectors per track", at: 24, len: 2 },
    Field { name: "heads", at: 26, len: 2 },
    Field { name: "hidden sectors", at: 28, len: 4 },
    Field { name: "total sectors", at: 32, len: 4 },
    Field { name: "sectors per FAT", at: 36, len: 4 },
    Field { name: "extended flags", at: 40, len: 2 },
    Field { name: "version", at: 42, len: 2 },
    Field { name: "root cluster", at: 44, len: 4 },
    Field { name: "FSInfo sector", at: 48, len: 2 },
    Field { name: "backup boot sector", at: 50, len: 2 },
    Field { name: "reserved", at: 52, len: 12 },
    Field { name: "drive number", at: 64, len: 1 },
    Field { name: "reserved 1", at: 65, len: 1 },
    Field { name: "extended boot signature", at: 66, len: 1 },
    Field { name: "volume id", at: 67, len: 4 },
    Field { name: "volume label", at: 71, len: 11 },
    Field { name: "file system type", at: 82, len: 8 },
    Field { name: "boot code", at: 90, len: 420 },
    Field { name: "signature", at: 510, len: 2 },
];

/// The FSInfo sector.
pub(super) const FSINFO: &[Field] = &[
    Field { name: "lead signature", at: 0, len: 4 },
    Field { name: "reserved 1", at: 4, len: 480 },
    Field { name: "structure signature", at: 484, len: 4 },
    Field { name: "free cluster count", at: 488, len: 4 },
    Field { name: "next free cluster", at: 492, len: 4 },
    Field { name: "reserved 2", at: 496, len: 12 },
    Field { name: "trail signature", at: 508, len: 4 },
];

/// A short directory entry.
pub(super) const ENTRY: &[Field] = &[
    Field { name: "short name", at: 0, len: 11 },
    Field { name: "attributes", at: 11, len: 1 },
    Field { name: "reserved", at: 12, len: 1 },
    Field { name: "creation time tenths", at: 13, len: 1 },
    Field { name: "creation time", at: 14, len: 2 },
    Field { name: "creation date", at: 16, len: 2 },
    Field { name: "last access date", at: 18, len: 2 },
    Field { name: "first cluster high", at: 20, len: 2 },
    Field { name: "write time", at: 22, len: 2 },
    Field { name: "write date", at: 24, len: 2 },
    Field { name: "first cluster low", at: 26, len: 2 },
    Field { name: "file size", at: 28, len: 4 },
];

/// A long directory entry.
pub(super) const LONG_ENTRY: &[Field] = &[
    Field { name: "order", at: 0, len: 1 },
    Field { name: "name 1", at: 1, len: 10 },
    Field { name: "attributes", at: 11, len: 1 },
    Field { name: "type", at: 12, len: 1 },
    Field { name: "checksum", at: 13, len: 1 },
    Field { name: "name 2", at: 14, len: 12 },
    Field { name: "first cluster low", at: 26, len: 2 },
    Field { name: "name 3", at: 28, len: 4 },
];

/// Sizes of a volume's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) total_sectors: u32,
    pub(super) sectors_per_cluster: u8,
    pub(super) sectors_per_fat: u32,
    pub(super) clusters: u32,
}

impl Geometry {
    /// The smallest volume of whole MiB that has room for `wanted` clusters of `sectors_per_cluster` sectors and is
    /// FAT32; `None` beyond what 32 bits of sectors or the FAT can count.
    pub(super) fn smallest(wanted: u64, sectors_per_cluster: u8) -> Option<Geometry> {
        const MIB_SECTORS: u64 = (1 << 20) / SECTOR as u64;
        let wanted = wanted.max(SAFE_MIN_CLUSTERS);
        let per_cluster = u64::from(sectors_per_cluster);
        let data = wanted.checked_mul(per_cluster)?;
        let mut total = data.checked_next_multiple_of(MIB_SECTORS)?;
        loop {
            let geometry = Geometry::of(total, sectors_per_cluster)?;
            if u64::from(geometry.clusters) >= wanted {
                return Some(geometry);
            }
            total = total.checked_add(MIB_SECTORS)?;
        }
    }

    /// The parts of a volume of that many sectors: one FAT sector serves 128 clusters, and as the FATs grow the data
    /// area shrinks; so `fat >= (data + 2 clusters) / (128 clusters + 2)` in sectors.
    fn of(total: u64, sectors_per_cluster: u8) -> Option<Geometry> {
        const ENTRIES_PER_SECTOR: u64 = SECTOR as u64 / 4;
        let per_cluster = u64::from(sectors_per_cluster);
        let data = total.checked_sub(u64::from(RESERVED_SECTORS))?;
        let per_fat = (data + 2 * per_cluster).div_ceil(ENTRIES_PER_SECTOR * per_cluster + u64::from(FATS));
        let clusters = data.checked_sub(u64::from(FATS) * per_fat)? / per_cluster;
        if clusters > FAT32_MAX_CLUSTERS {
            return None;
        }
        Some(Geometry {
            total_sectors: u32::try_from(total).ok()?,
            sectors_per_cluster,
            sectors_per_fat: u32::try_from(per_fat).ok()?,
            clusters: u32::try_from(clusters).ok()?,
        })
    }

    /// Bytes of a cluster.
    pub(super) fn cluster_len(&self) -> usize {
        usize::from(self.sectors_per_cluster) * SECTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::tests::assert_covers;

    #[test]
    fn the_tables_cover_their_records() {
        assert_covers(BOOT, SECTOR);
        assert_covers(FSINFO, SECTOR);
        assert_covers(ENTRY, ENTRY_LEN);
        assert_covers(LONG_ENTRY, ENTRY_LEN);
    }

    #[test]
    fn the_fat_has_an_entry_for_every_cluster() {
        for wanted in (0..3_000_000u64).step_by(9973) {
            for per_cluster in [1u8, 2, 8, 64] {
                let geometry = Geometry::smallest(wanted, per_cluster).unwrap();
                assert!(u64::from(geometry.clusters) >= wanted.max(SAFE_MIN_CLUSTERS));
                assert!(u64::from(geometry.sectors_per_fat) * 128 >= u64::from(geometry.clusters) + 2);
                let used = u64::from(RESERVED_SECTORS)
                    + 2 * u64::from(geometry.sectors_per_fat)
                    + u64::from(geometry.clusters) * u64::from(per_cluster);
                assert!(used <= u64::from(geometry.total_sectors));
                assert_eq!(geometry.total_sectors % 2048, 0);
            }
        }
        assert_eq!(Geometry::smallest(1 << 32, 1), None);
    }
}
