//! What stands where on a GPT disk.
//!
//! Source: UEFI specification 2.10, section 5.2.3 "Protective MBR", table 5.5 "GPT Header", table 5.6 "GPT Partition
//! Entry".

use crate::bytes::Field;

/// Bytes of a logical block. A disk with 4096-byte blocks would be laid out differently throughout.
pub const SECTOR: usize = 512;

/// Partitions start at multiples of this many bytes, as every partitioning tool does it, so that no flash or
/// RAID block is shared.
pub const ALIGNMENT: usize = 1 << 20;

/// Logical block at which the first partition starts. A FAT volume repeats it in its boot sector ("hidden sectors").
pub const FIRST_PARTITION_LBA: u32 = 2048;

/// Which of the two copies of header and entry array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the start of the disk.
    Primary,
    /// At its end.
    Backup,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Place::Primary => "primary",
            Place::Backup => "backup",
        })
    }
}

/// "EFI PART".
pub(super) const SIGNATURE: &[u8; 8] = b"EFI PART";

/// Version 1.0, the only one.
pub(super) const REVISION: u32 = 0x0001_0000;

/// Bytes of the header that its CRC covers and that firmware measures into PCR 5.
pub(super) const HEADER_LEN: usize = 92;

/// Bytes of one partition entry.
pub(super) const ENTRY_LEN: usize = 128;

/// Entries in the array: at least 16 KiB must be set aside for it, which is exactly these.
pub(super) const ENTRY_COUNT: usize = 128;

/// Bytes and blocks of the entry array.
pub(super) const ARRAY_LEN: usize = ENTRY_COUNT * ENTRY_LEN;
pub(super) const ARRAY_SECTORS: u64 = (ARRAY_LEN / SECTOR) as u64;

/// Where the primary structures stand; the backup array ends right before the backup header, which is the last block.
pub(super) const HEADER_LBA: u64 = 1;
pub(super) const ARRAY_LBA: u64 = 2;
pub(super) const FIRST_USABLE_LBA: u64 = ARRAY_LBA + ARRAY_SECTORS;

/// UTF-16 code units of a partition's name.
pub(super) const NAME_UNITS: usize = 36;

/// Partition type of the protective MBR's only record, and the signature of every MBR.
pub(super) const MBR_GPT_PROTECTIVE: u8 = 0xEE;
pub(super) const MBR_SIGNATURE: [u8; 2] = [0x55, 0xAA];

/// Where the MBR's first partition record and its signature stand.
pub(super) const MBR_RECORD: usize = 446;
pub(super) const MBR_SIGNATURE_AT: usize = 510;

/// The protective MBR.
pub(super) const MBR: &[Field] = &[
    Field { name: "boot code", at: 0, len: 440 },
    Field { name: "unique disk signature", at: 440, len: 4 },
    Field { name: "unknown", at: 444, len: 2 },
    Field { name: "record 0 boot indicator", at: 446, len: 1 },
    Field { name: "record 0 starting CHS", at: 447, len: 3 },
    Field { name: "record 0 OS type", at: 450, len: 1 },
    Field { name: "record 0 ending CHS", at: 451, len: 3 },
    Field { name: "record 0 starting LBA", at: 454, len: 4 },
    Field { name: "record 0 size in LBA", at: 458, len: 4 },
    Field { name: "records 1 to 3", at: 462, len: 48 },
    Field { name: "signature", at: 510, len: 2 },
];

/// The header.
pub(super) const HEADER: &[Field] = &[
    Field { name: "signature", at: 0, len: 8 },
    Field { name: "revision", at: 8, len: 4 },
    Field { name: "header size", at: 12, len: 4 },
    Field { name: "header CRC32", at: 16, len: 4 },
    Field { name: "reserved", at: 20, len: 4 },
    Field { name: "my LBA", at: 24, len: 8 },
    Field { name: "alternate LBA", at: 32, len: 8 },
    Field { name: "first usable LBA", at: 40, len: 8 },
    Field { name: "last usable LBA", at: 48, len: 8 },
    Field { name: "disk GUID", at: 56, len: 16 },
    Field { name: "partition entry LBA", at: 72, len: 8 },
    Field { name: "number of partition entries", at: 80, len: 4 },
    Field { name: "size of partition entry", at: 84, len: 4 },
    Field { name: "partition entry array CRC32", at: 88, len: 4 },
];

/// One entry of the array.
pub(super) const ENTRY: &[Field] = &[
    Field { name: "partition type GUID", at: 0, len: 16 },
    Field { name: "unique partition GUID", at: 16, len: 16 },
    Field { name: "starting LBA", at: 32, len: 8 },
    Field { name: "ending LBA", at: 40, len: 8 },
    Field { name: "attributes", at: 48, len: 8 },
    Field { name: "partition name", at: 56, len: 72 },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::tests::assert_covers;

    #[test]
    fn the_tables_cover_their_records() {
        assert_covers(MBR, SECTOR);
        assert_covers(HEADER, HEADER_LEN);
        assert_covers(ENTRY, ENTRY_LEN);
    }
}
