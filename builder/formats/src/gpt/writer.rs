//! Declared partitions → disk.

use std::io;

use super::crc::crc32;
use super::guid::Guid;
use super::layout::{
    ALIGNMENT, ARRAY_LBA, ARRAY_LEN, ARRAY_SECTORS, ENTRY_COUNT, ENTRY_LEN, FIRST_PARTITION_LBA, FIRST_USABLE_LBA, HEADER_LBA,
    HEADER_LEN, MBR_GPT_PROTECTIVE, MBR_RECORD, MBR_SIGNATURE, NAME_UNITS, Place, REVISION, SECTOR, SIGNATURE,
};

/// Blocks between two possible starts of a partition.
const ALIGNMENT_SECTORS: u64 = (ALIGNMENT / SECTOR) as u64;

/// A disk to be written.
#[derive(Clone, Debug)]
pub struct Disk<'a> {
    /// The disk's own GUID.
    pub guid: Guid,
    /// The partitions, in the order in which they stand on the disk and in the table.
    pub partitions: &'a [Partition<'a>],
}

/// A partition to be written.
#[derive(Clone, Debug)]
pub struct Partition<'a> {
    /// What is in it, such as [`Guid::EFI_SYSTEM`].
    pub kind: Guid,
    /// Its own GUID.
    pub guid: Guid,
    /// Its name: 1 to 36 UTF-16 code units without control characters.
    pub name: &'a str,
    /// Attribute bits (UEFI 2.10, table 5.8); usually 0.
    pub attributes: u64,
    /// What stands in it; its length, a multiple of 512 and not 0, is the partition's.
    pub content: &'a [u8],
}

/// Why a disk couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The table holds 128 partitions.
    #[error("writing the partition table: {count} partitions are too many; at most {ENTRY_COUNT}")]
    TooMany {
        /// How many were declared.
        count: usize,
    },
    /// A partition's name, type, GUID or length isn't one that the table can hold. The caller must change it.
    #[error("writing the partition table: partition {name:?}: {fault}")]
    Partition {
        /// The partition's name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The disk's GUID is zero or also a partition's; it must be its own.
    #[error("writing the partition table: the disk's GUID {guid} is zero or used for a partition, too")]
    DiskGuid {
        /// The GUID.
        guid: Guid,
    },
    /// Whatever the bytes are written into failed.
    #[error("writing the disk: {0}")]
    Output(#[from] io::Error),
}

/// Writes the disk and returns its length in bytes.
///
/// Every partition starts at the next multiple of 1 MiB; the disk's length is the smallest multiple of 1 MiB that holds
/// the partitions and the backup table. All that no structure claims is zero. See `docs/formats/disk.md`.
///
/// # Errors
/// [`WriteError`]; on any but `Output` nothing has been written.
pub fn write(disk: &Disk<'_>, out: &mut impl io::Write) -> Result<u64, WriteError> {
    check(disk)?;
    let extents = extents(disk);
    let used_end = extents.last().map_or(u64::from(FIRST_PARTITION_LBA), |extent| extent.end);
    let sectors = (used_end + ARRAY_SECTORS + 1).next_multiple_of(ALIGNMENT_SECTORS);
    let array = array(disk, &extents);
    let array_crc = crc32(&array);

    let mut out = Sectors { out, written: 0 };
    out.bytes(&protective_mbr(sectors))?;
    out.bytes(&header(disk.guid, sectors, array_crc, Place::Primary))?;
    out.bytes(&array)?;
    for (partition, extent) in disk.partitions.iter().zip(&extents) {
        out.zeros_until(extent.start)?;
        out.bytes(partition.content)?;
    }
    out.zeros_until(sectors - 1 - ARRAY_SECTORS)?;
    out.bytes(&array)?;
    out.bytes(&header(disk.guid, sectors, array_crc, Place::Backup))?;
    Ok(sectors * SECTOR as u64)
}

fn check(disk: &Disk<'_>) -> Result<(), WriteError> {
    if disk.partitions.len() > ENTRY_COUNT {
        return Err(WriteError::TooMany { count: disk.partitions.len() });
    }
    if disk.guid == Guid::ZERO || disk.partitions.iter().any(|partition| partition.guid == disk.guid) {
        return Err(WriteError::DiskGuid { guid: disk.guid });
    }
    for (index, partition) in disk.partitions.iter().enumerate() {
        let fault = |fault| Err(WriteError::Partition { name: partition.name.to_owned(), fault });
        let units = partition.name.encode_utf16().count();
        if units == 0 || units > NAME_UNITS || partition.name.chars().any(char::is_control) {
            return fault("the name must have 1 to 36 UTF-16 code units and no control characters");
        }
        if partition.kind == Guid::ZERO || partition.guid == Guid::ZERO {
            return fault("its type and its own GUID must not be zero: zero marks an unused entry");
        }
        if disk.partitions.iter().skip(index + 1).any(|other| other.guid == partition.guid) {
            return fault("another partition has the same GUID; derive it from the partition's own name");
        }
        if partition.content.is_empty() || !partition.content.len().is_multiple_of(SECTOR) {
            return fault("its length must be a multiple of 512 and not zero; pad the content");
        }
    }
    Ok(())
}

/// Where each partition stands, in blocks. A slice's length is below 2^63 bytes and there are at most 128 of them, so
/// sums of blocks stay below 2^62.
fn extents(disk: &Disk<'_>) -> Vec<std::ops::Range<u64>> {
    let mut next = u64::from(FIRST_PARTITION_LBA);
    let mut extents = Vec::with_capacity(disk.partitions.len());
    for partition in disk.partitions {
        let end = next + (partition.content.len() / SECTOR) as u64;
        extents.push(next..end);
        next = end.next_multiple_of(ALIGNMENT_SECTORS);
    }
    extents
}

/// UEFI 2.10, table 5.4: one record over the whole disk, which keeps tools that don't know GPT from seeing free space.
fn protective_mbr(sectors: u64) -> Vec<u8> {
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    let mut mbr = vec![0; MBR_RECORD];
    mbr.push(0); // boot indicator
    mbr.extend_from_slice(&[0x00, 0x02, 0x00]); // CHS of LBA 1
    mbr.push(MBR_GPT_PROTECTIVE);
    mbr.extend_from_slice(&[0xFF; 3]); // CHS that isn't representable
    mbr.extend_from_slice(&1u32.to_le_bytes());
    mbr.extend_from_slice(&size.to_le_bytes());
    mbr.resize(SECTOR - MBR_SIGNATURE.len(), 0);
    mbr.extend_from_slice(&MBR_SIGNATURE);
    mbr
}

fn array(disk: &Disk<'_>, extents: &[std::ops::Range<u64>]) -> Vec<u8> {
    let mut array = Vec::with_capacity(ARRAY_LEN);
    for (partition, extent) in disk.partitions.iter().zip(extents) {
        let end = array.len() + ENTRY_LEN;
        array.extend_from_slice(&partition.kind.to_disk());
        array.extend_from_slice(&partition.guid.to_disk());
        array.extend_from_slice(&extent.start.to_le_bytes());
        array.extend_from_slice(&(extent.end - 1).to_le_bytes());
        array.extend_from_slice(&partition.attributes.to_le_bytes());
        for unit in partition.name.encode_utf16() {
            array.extend_from_slice(&unit.to_le_bytes());
        }
        array.resize(end, 0);
    }
    array.resize(ARRAY_LEN, 0);
    array
}

/// One whole block with the header in it.
fn header(disk_guid: Guid, sectors: u64, array_crc: u32, place: Place) -> Vec<u8> {
    let last = sectors - 1;
    let (mine, other, array_lba) = match place {
        Place::Primary => (HEADER_LBA, last, ARRAY_LBA),
        Place::Backup => (last, HEADER_LBA, last - ARRAY_SECTORS),
    };
    let fields = |crc: u32| {
        let mut header = Vec::with_capacity(SECTOR);
        header.extend_from_slice(SIGNATURE);
        header.extend_from_slice(&REVISION.to_le_bytes());
        header.extend_from_slice(&(HEADER_LEN as u32).to_le_bytes());
        header.extend_from_slice(&crc.to_le_bytes());
        header.extend_from_slice(&0u32.to_le_bytes());
        header.extend_from_slice(&mine.to_le_bytes());
        header.extend_from_slice(&other.to_le_bytes());
        header.extend_from_slice(&FIRST_USABLE_LBA.to_le_bytes());
        header.extend_from_slice(&(last - ARRAY_SECTORS - 1).to_le_bytes());
        header.extend_from_slice(&disk_guid.to_disk());
        header.extend_from_slice(&array_lba.to_le_bytes());
        header.extend_from_slice(&(ENTRY_COUNT as u32).to_le_bytes());
        header.extend_from_slice(&(ENTRY_LEN as u32).to_le_bytes());
        header.extend_from_slice(&array_crc.to_le_bytes());
        header
    };
    // The CRC is calculated with its own field zero.
    let mut header = fields(crc32(&fields(0)));
    header.resize(SECTOR, 0);
    header
}

/// An output that knows its position; everything written to it is whole blocks.
struct Sectors<'w, W> {
    out: &'w mut W,
    written: u64,
}

impl<W: io::Write> Sectors<'_, W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += (bytes.len() / SECTOR) as u64;
        Ok(())
    }

    fn zeros_until(&mut self, lba: u64) -> io::Result<()> {
        while self.written < lba {
            self.bytes(&[0; SECTOR])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid(last: u8) -> Guid {
        let mut bytes = [7; 16];
        bytes[15] = last;
        Guid::from_disk(bytes)
    }

    #[test]
    fn impossible_partitions_are_refused() {
        let good = Partition { kind: Guid::EFI_SYSTEM, guid: guid(1), name: "esp", attributes: 0, content: &[0; 512] };
        let long = "a".repeat(37);
        let cases = [
            (Partition { name: "", ..good.clone() }, "1 to 36"),
            (Partition { name: &long, ..good.clone() }, "1 to 36"),
            (Partition { name: "a\nb", ..good.clone() }, "control"),
            (Partition { kind: Guid::ZERO, ..good.clone() }, "unused entry"),
            (Partition { guid: Guid::ZERO, ..good.clone() }, "unused entry"),
            (Partition { content: &[], ..good.clone() }, "multiple of 512"),
            (Partition { content: &[0; 513], ..good.clone() }, "multiple of 512"),
            (Partition { guid: guid(0), ..good.clone() }, "disk's GUID"),
        ];
        for (partition, expected) in cases {
            let mut out = Vec::new();
            let error = write(&Disk { guid: guid(0), partitions: &[partition] }, &mut out).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(out.is_empty());
        }
        let twice = [good.clone(), good.clone()];
        let error = write(&Disk { guid: guid(0), partitions: &twice }, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("same GUID"), "{error}");
        let many: Vec<_> = (0..129).map(|n| Partition { guid: guid(n + 1), ..good.clone() }).collect();
        let error = write(&Disk { guid: guid(0), partitions: &many }, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, WriteError::TooMany { count: 129 }));
    }
}
