//! GUID partition tables (UEFI 2.10, chapter 5), and the event that firmware makes of one.

use crate::guid::Guid;
use crate::read;

/// The only block size that is supported: QEMU's virtio and IDE disks have it unless told otherwise.
const BLOCK: usize = 512;
/// Length of the header; a longer one has never been defined.
const HEADER: usize = 92;
/// Length of an entry, which all tools use.
const ENTRY: usize = 128;
/// What tools reserve; more entries would be hostile.
const MAX_ENTRIES: u32 = 1024;
/// Type of the EFI system partition.
const ESP: Guid = Guid::new(0xc12a_7328, 0xf81f, 0x11d2, 0xba4b, 0x00a0_c93e_c93b);

/// A partition that is in use.
#[derive(Debug, Clone, Copy)]
struct Partition<'a> {
    entry: &'a [u8; ENTRY],
    first: u64,
    last: u64,
}

/// A disk image with a valid primary partition table that fits it.
#[derive(Debug, Clone)]
pub struct Gpt<'a> {
    disk: &'a [u8],
    header: [u8; HEADER],
    partitions: Vec<Partition<'a>>,
}

impl<'a> Gpt<'a> {
    /// Reads and checks the primary table of `disk`, a whole disk image.
    pub fn parse(disk: &'a [u8]) -> Result<Self, GptError> {
        let header: [u8; HEADER] = read::array(disk, BLOCK).ok_or(GptError::NotGpt)?;
        if header[..8] != *b"EFI PART" {
            return Err(GptError::NotGpt);
        }
        let word = |offset| read::u32(&header, offset).unwrap_or_default();
        let long = |offset| read::u64(&header, offset).unwrap_or_default();
        if word(8) != 0x0001_0000 || word(12) as usize != HEADER || word(84) as usize != ENTRY || long(24) != 1 {
            return Err(GptError::Header("its revision, lengths or own position aren't the usual ones"));
        }
        let mut zeroed = header;
        zeroed[16..20].fill(0);
        if crc32(&zeroed) != word(16) {
            return Err(GptError::HeaderChecksum);
        }
        let (backup, entries_lba, count) = (long(32), long(72), word(80));
        if count > MAX_ENTRIES {
            return Err(GptError::Header("it has more than 1024 entries"));
        }
        check_length(disk, backup)?;
        let entries = blocks(disk, entries_lba).and_then(|at| read::slice(disk, at, count as usize * ENTRY));
        let entries = entries.ok_or(GptError::Header("its entries lie outside the disk"))?;
        if crc32(entries) != word(88) {
            return Err(GptError::EntriesChecksum);
        }
        let partitions = partitions(entries, long(40), long(48))?;
        Ok(Self { disk, header, partitions })
    }

    /// The data of EV_EFI_GPT_EVENT: header, number of used entries as `u64`, used entries (TCG PC Client Platform
    /// Firmware Profile, 10.2.4.1; EDK2 `Tcg2MeasureGptTable`).
    pub fn event(&self) -> Vec<u8> {
        let mut event = self.header.to_vec();
        event.extend((self.partitions.len() as u64).to_le_bytes());
        self.partitions.iter().for_each(|partition| event.extend(partition.entry));
        event
    }

    /// The bytes of the EFI system partition, of which there must be one.
    pub fn esp(&self) -> Result<&'a [u8], GptError> {
        let mut found = self.partitions.iter().filter(|p| read::array(p.entry, 0).map(Guid) == Some(ESP));
        match (found.next(), found.next()) {
            (Some(partition), None) => self.partition(partition),
            _ => Err(GptError::Esp),
        }
    }

    fn partition(&self, partition: &Partition<'_>) -> Result<&'a [u8], GptError> {
        let range = || {
            let start = blocks(self.disk, partition.first)?;
            let end = blocks(self.disk, partition.last.checked_add(1)?)?;
            self.disk.get(start..end)
        };
        range().ok_or(GptError::Header("a partition lies outside the disk"))
    }
}

/// Byte offset of a block, if it is on the disk (or right at its end).
fn blocks(disk: &[u8], lba: u64) -> Option<usize> {
    let offset = usize::try_from(lba.checked_mul(BLOCK as u64)?).ok()?;
    (offset <= disk.len()).then_some(offset)
}

/// The backup table is the disk's last block; a disk that ends earlier was cut, one that ends later isn't this disk.
fn check_length(disk: &[u8], backup: u64) -> Result<(), GptError> {
    let described = backup.checked_add(1).and_then(|n| n.checked_mul(BLOCK as u64)).unwrap_or(u64::MAX);
    let actual = read::length(disk);
    if actual < described {
        return Err(GptError::Cut { described, actual });
    }
    let backup = blocks(disk, backup).and_then(|at| read::slice(disk, at, 8));
    if backup != Some(b"EFI PART") { Err(GptError::NoBackup) } else { Ok(()) }
}

fn partitions(entries: &[u8], first_usable: u64, last_usable: u64) -> Result<Vec<Partition<'_>>, GptError> {
    let mut partitions = Vec::new();
    for entry in entries.as_chunks::<ENTRY>().0 {
        // Firmware counts an entry as used if its type isn't zero.
        if read::array(entry, 0).map(Guid).is_none_or(|guid| guid.is_zero()) {
            continue;
        }
        let first = read::u64(entry, 32).unwrap_or_default();
        let last = read::u64(entry, 40).unwrap_or_default();
        if first < first_usable || last > last_usable || first > last {
            return Err(GptError::Header("a partition lies outside the usable blocks"));
        }
        partitions.push(Partition { entry, first, last });
    }
    let mut ranges: Vec<_> = partitions.iter().map(|p| (p.first, p.last)).collect();
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[0].1 >= pair[1].0) {
        return Err(GptError::Header("two partitions overlap"));
    }
    Ok(partitions)
}

/// CRC-32 (IEEE 802.3), bit by bit: tables are for those who hash more than a partition table.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Why a disk has no partition table that could be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GptError {
    /// No GPT in the second block of 512 bytes.
    #[error("disk has no GUID partition table in its second 512-byte block")]
    NotGpt,
    /// The header says something that firmware refuses or this reader doesn't know.
    #[error("partition table is invalid: {0}")]
    Header(&'static str),
    /// The header's checksum is wrong; firmware would fall back to the backup table.
    #[error("partition table's header checksum is wrong")]
    HeaderChecksum,
    /// The entries' checksum is wrong.
    #[error("partition table's entries checksum is wrong")]
    EntriesChecksum,
    /// The file is shorter than the disk that its table describes.
    #[error("disk is cut off: its partition table describes {described} bytes, the file has {actual}")]
    Cut {
        /// Bytes that the table describes.
        described: u64,
        /// Bytes in the file.
        actual: u64,
    },
    /// No backup table where the header says: the file was extended, cut and refilled, or overwritten.
    #[error("disk has no backup partition table where the primary one says")]
    NoBackup,
    /// Not exactly one EFI system partition, so what firmware boots isn't determined by the disk alone.
    #[error("disk must have exactly one EFI system partition")]
    Esp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_known_answer() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
