//! Disk → table. Everything is checked: both headers, both arrays, all checksums, and that the two copies say the same.

use crate::bytes::{Comparison, all_zero, array, slice, u16_at, u32_at, u64_at};

use super::crc::crc32;
use super::dump::locate;
use super::guid::Guid;
use super::layout::{
    ARRAY_LBA, ARRAY_LEN, ARRAY_SECTORS, ENTRY_COUNT, ENTRY_LEN, FIRST_USABLE_LBA, HEADER_LBA, HEADER_LEN, MBR_GPT_PROTECTIVE,
    MBR_RECORD, MBR_SIGNATURE, MBR_SIGNATURE_AT, NAME_UNITS, Place, REVISION, SECTOR, SIGNATURE,
};
use super::writer::{Disk, Partition, write};

/// A disk's partition table, borrowed from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table<'a> {
    /// The primary header's 92 bytes, which firmware measures.
    pub header: &'a [u8],
    /// The disk's GUID.
    pub disk_guid: Guid,
    /// First and last block that a partition may use.
    pub usable: (u64, u64),
    /// The used entries, in the order of the table.
    pub partitions: Vec<PartitionEntry<'a>>,
}

/// A used entry of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionEntry<'a> {
    /// Its number in the table, from 0.
    pub index: usize,
    /// Its 128 bytes, which firmware measures.
    pub raw: &'a [u8],
    /// Partition type.
    pub kind: Guid,
    /// The partition's own GUID.
    pub guid: Guid,
    /// First block.
    pub first_lba: u64,
    /// Last block, itself included.
    pub last_lba: u64,
    /// Attribute bits.
    pub attributes: u64,
    /// Name.
    pub name: String,
    /// Offset of the content on the disk.
    pub offset: usize,
    /// The content.
    pub content: &'a [u8],
}

/// Why a disk was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk's length isn't a multiple of 512, or it is too short for any table.
    #[error("reading a GPT disk: {len} bytes are no disk of 512-byte blocks with two tables")]
    Length {
        /// Bytes.
        len: usize,
    },
    /// The protective MBR isn't one: another tool may see other partitions.
    #[error("reading a GPT disk: protective MBR: {fault}")]
    Mbr {
        /// What is wrong.
        fault: &'static str,
    },
    /// A header has a value that the format, or this program, doesn't allow.
    #[error("reading a GPT disk: {place} header: {fault}")]
    Header {
        /// Which of the two.
        place: Place,
        /// What is wrong.
        fault: &'static str,
    },
    /// A checksum doesn't fit: the disk was changed or damaged.
    #[error("reading a GPT disk: {place} {what}: CRC32 is {found:08x}, calculated {calculated:08x}")]
    Checksum {
        /// Which of the two copies.
        place: Place,
        /// Header or array.
        what: &'static str,
        /// The checksum on disk.
        found: u32,
        /// The right one.
        calculated: u32,
    },
    /// A partition lies outside the usable blocks or on another one, or its entry is malformed.
    #[error("reading a GPT disk: entry {index}: {fault}")]
    Entry {
        /// Number in the table, from 0.
        index: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// It is a GPT disk, but not byte for byte what this program writes for the same partitions.
    #[error("reading a GPT disk: it isn't in the form that sealstone writes: {fault}")]
    NotCanonical {
        /// The first place that differs, or what can't be expressed.
        fault: String,
    },
}

/// Reads a disk that [`write`] made: writes it again and compares, so that nothing can stand between the partitions
/// either. What stands in a partition is taken as it is.
///
/// # Errors
/// [`ReadError`]; `NotCanonical` names the first place that differs.
pub fn parse_canonical(disk: &[u8]) -> Result<Table<'_>, ReadError> {
    let table = parse(disk)?;
    let partitions: Vec<Partition<'_>> = table
        .partitions
        .iter()
        .map(|read| Partition {
            kind: read.kind,
            guid: read.guid,
            name: &read.name,
            attributes: read.attributes,
            content: read.content,
        })
        .collect();
    let mut comparison = Comparison::with(disk);
    write(&Disk { guid: table.disk_guid, partitions: &partitions }, &mut comparison)
        .map_err(|error| ReadError::NotCanonical { fault: error.to_string() })?;
    match comparison.difference() {
        None => Ok(table),
        Some(at) => {
            let fault = format!("it differs first at {at:#x}, {}", locate(disk, at));
            Err(ReadError::NotCanonical { fault })
        }
    }
}

/// Reads the table of a whole disk with 512-byte blocks.
///
/// # Errors
/// [`ReadError`] unless both copies are intact and alike, and the partitions lie apart in the usable blocks.
pub fn parse(disk: &[u8]) -> Result<Table<'_>, ReadError> {
    let length = ReadError::Length { len: disk.len() };
    let sectors = (disk.len() / SECTOR) as u64;
    if !disk.len().is_multiple_of(SECTOR) || sectors < FIRST_USABLE_LBA + ARRAY_SECTORS + 2 {
        return Err(length);
    }
    check_mbr(disk, sectors)?;
    let last = sectors - 1;
    let primary = header(disk, Place::Primary, HEADER_LBA, last, ARRAY_LBA)?;
    let backup = header(disk, Place::Backup, last, HEADER_LBA, last - ARRAY_SECTORS)?;
    // My LBA, alternate LBA, array LBA and the header's CRC must differ; all else must not.
    for (from, to) in [(0, 16), (20, 24), (40, 72), (80, 92)] {
        if primary.raw.get(from..to) != backup.raw.get(from..to) {
            return Err(ReadError::Header { place: Place::Backup, fault: "it says something else than the primary" });
        }
    }
    if primary.array != backup.array {
        return Err(ReadError::Header { place: Place::Backup, fault: "its entries aren't those of the primary" });
    }
    let mut partitions = Vec::new();
    for (index, raw) in primary.array.chunks_exact(ENTRY_LEN).enumerate() {
        partitions.extend(entry(disk, index, raw, primary.usable)?);
    }
    check_apart(&partitions)?;
    Ok(Table { header: primary.raw, disk_guid: primary.disk_guid, usable: primary.usable, partitions })
}

fn check_mbr(disk: &[u8], sectors: u64) -> Result<(), ReadError> {
    let fault = |fault| Err(ReadError::Mbr { fault });
    if slice(disk, MBR_SIGNATURE_AT, 2) != Some(&MBR_SIGNATURE) {
        return fault("it has no signature 55 aa");
    }
    let record = slice(disk, MBR_RECORD, 16).unwrap_or(&[]);
    if record.first() != Some(&0) || record.get(4) != Some(&MBR_GPT_PROTECTIVE) || u32_at(record, 8) != Some(1) {
        return fault("its first record must be of type ee, start at block 1 and not be bootable");
    }
    if u32_at(record, 12) != Some(u32::try_from(sectors - 1).unwrap_or(u32::MAX)) {
        return fault("its first record must cover the disk");
    }
    if !disk.get(MBR_RECORD + 16..MBR_SIGNATURE_AT).is_some_and(all_zero) {
        return fault("it has more than one record");
    }
    Ok(())
}

/// A header whose own values are right, with its array.
struct Header<'a> {
    raw: &'a [u8],
    array: &'a [u8],
    disk_guid: Guid,
    usable: (u64, u64),
}

fn header(disk: &[u8], place: Place, mine: u64, other: u64, array_lba: u64) -> Result<Header<'_>, ReadError> {
    let fault = |fault| ReadError::Header { place, fault };
    let outside = || fault("it lies outside the disk");
    let block = usize::try_from(mine).ok().and_then(|lba| slice(disk, lba.checked_mul(SECTOR)?, SECTOR));
    let (raw, rest) = block.and_then(|block| block.split_at_checked(HEADER_LEN)).ok_or_else(outside)?;
    if !raw.starts_with(SIGNATURE) {
        return Err(fault("it has no signature \"EFI PART\""));
    }
    if u32_at(raw, 8) != Some(REVISION) || u32_at(raw, 12) != Some(HEADER_LEN as u32) {
        return Err(fault("only revision 1.0 with 92 bytes is known"));
    }
    let found = u32_at(raw, 16).unwrap_or(0);
    let zeroed = raw.iter().take(16).chain(&[0; 4]).chain(raw.iter().skip(20));
    let calculated = crc32(zeroed);
    if found != calculated {
        return Err(ReadError::Checksum { place, what: "header", found, calculated });
    }
    if u32_at(raw, 20) != Some(0) || !all_zero(rest) {
        return Err(fault("reserved bytes must be zero"));
    }
    if u64_at(raw, 24) != Some(mine) || u64_at(raw, 32) != Some(other) || u64_at(raw, 72) != Some(array_lba) {
        return Err(fault("it must name the first and last block as headers, and the blocks beside them as entries"));
    }
    let usable = (u64_at(raw, 40).unwrap_or(0), u64_at(raw, 48).unwrap_or(0));
    // The backup array starts 32 blocks before the last block, the disk's or the other header's.
    let last_usable = mine.max(other).saturating_sub(ARRAY_SECTORS + 1);
    if usable.0 < FIRST_USABLE_LBA || usable.1 > last_usable || usable.0 > usable.1 {
        return Err(fault("the usable blocks must lie between the two tables"));
    }
    if u32_at(raw, 80) != Some(ENTRY_COUNT as u32) || u32_at(raw, 84) != Some(ENTRY_LEN as u32) {
        return Err(fault("only 128 entries of 128 bytes are supported"));
    }
    let array_bytes = usize::try_from(array_lba).ok().and_then(|lba| slice(disk, lba.checked_mul(SECTOR)?, ARRAY_LEN));
    let array_bytes = array_bytes.ok_or_else(outside)?;
    let (found, calculated) = (u32_at(raw, 88).unwrap_or(0), crc32(array_bytes));
    if found != calculated {
        return Err(ReadError::Checksum { place, what: "entry array", found, calculated });
    }
    let disk_guid = Guid::from_disk(array(raw, 56).ok_or_else(outside)?);
    Ok(Header { raw, array: array_bytes, disk_guid, usable })
}

/// The entry, if it is used.
fn entry<'a>(disk: &'a [u8], index: usize, raw: &'a [u8], usable: (u64, u64)) -> Result<Option<PartitionEntry<'a>>, ReadError> {
    let fault = |fault| ReadError::Entry { index, fault };
    let guid = |at| array(raw, at).map(Guid::from_disk).ok_or_else(|| fault("it is cut off"));
    let kind = guid(0)?;
    if kind == Guid::ZERO {
        return if all_zero(raw) { Ok(None) } else { Err(fault("it has no type, but isn't empty")) };
    }
    let (first_lba, last_lba) = (u64_at(raw, 32).unwrap_or(0), u64_at(raw, 40).unwrap_or(0));
    if first_lba < usable.0 || last_lba > usable.1 || first_lba > last_lba {
        return Err(fault("its blocks lie outside the usable ones"));
    }
    let bounds = || -> Option<(usize, usize)> {
        let start = usize::try_from(first_lba).ok()?.checked_mul(SECTOR)?;
        let end = usize::try_from(last_lba).ok()?.checked_add(1)?.checked_mul(SECTOR)?;
        Some((start, end))
    };
    let content = bounds().and_then(|(start, end)| Some((start, disk.get(start..end)?)));
    let (offset, content) = content.ok_or_else(|| fault("its blocks lie outside the disk"))?;
    let name = name(raw).ok_or_else(|| fault("its name isn't UTF-16 up to zeros"))?;
    let attributes = u64_at(raw, 48).unwrap_or(0);
    Ok(Some(PartitionEntry { index, raw, kind, guid: guid(16)?, first_lba, last_lba, attributes, name, offset, content }))
}

fn name(raw: &[u8]) -> Option<String> {
    let units: Vec<u16> = (0..NAME_UNITS).map(|unit| u16_at(raw, 56 + unit * 2)).collect::<Option<_>>()?;
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(NAME_UNITS);
    let (used, rest) = units.split_at_checked(end)?;
    if rest.iter().any(|unit| *unit != 0) {
        return None;
    }
    String::from_utf16(used).ok()
}

fn check_apart(partitions: &[PartitionEntry<'_>]) -> Result<(), ReadError> {
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.first_lba);
    for (one, next) in sorted.iter().zip(sorted.iter().skip(1)) {
        if next.first_lba <= one.last_lba {
            return Err(ReadError::Entry { index: next.index, fault: "it overlaps another partition" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let content = vec![0xA5; 1536];
        let partition = |name, guid| Partition { kind: Guid::EFI_SYSTEM, guid, name, attributes: 4, content: &content };
        let partitions = [partition("esp", Guid::derive(&[1; 32], "esp")), partition("zwei", Guid::derive(&[1; 32], "zwei"))];
        let mut out = Vec::new();
        let len = write(&Disk { guid: Guid::derive(&[1; 32], "disk"), partitions: &partitions }, &mut out).unwrap();
        assert_eq!(len, out.len() as u64);
        out
    }

    #[test]
    fn reads_what_was_written() {
        let disk = sample();
        let table = parse(&disk).unwrap();
        assert_eq!(table.disk_guid, Guid::derive(&[1; 32], "disk"));
        assert_eq!(table.partitions.len(), 2);
        let two = &table.partitions[1];
        assert_eq!((two.first_lba, two.last_lba, two.name.as_str(), two.attributes), (4096, 4098, "zwei", 4));
        assert_eq!(two.content, &[0xA5; 1536]);
    }

    /// One changed bit in the tables is noticed. The places that nothing covers are the MBR's boot code and CHS numbers,
    /// which UEFI leaves open. Of the arrays, which one checksum covers each, a sample has to do.
    #[test]
    fn any_changed_byte_of_the_tables_is_refused() {
        let good = sample();
        let end = good.len();
        let mbr = (446..447).chain(450..451).chain(454..512);
        let arrays = (1024..17408).chain(end - 16896..end - 512).step_by(101);
        for at in mbr.chain(512..1024).chain(end - 512..end).chain(arrays) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(parse(&bad).is_err(), "{at:#x}");
        }
    }

    #[test]
    fn nothing_stands_between_the_partitions() {
        let mut disk = sample();
        parse_canonical(&disk).unwrap();
        for (at, place) in [(0, "boot code"), (20_000, "space between"), ((1 << 20) + 1536, "space between")] {
            disk[at] = 1;
            assert!(parse(&disk).is_ok());
            let message = parse_canonical(&disk).unwrap_err().to_string();
            assert!(message.contains(place), "{message}");
            disk[at] = 0;
        }
    }

    #[test]
    fn cut_off_disks_are_refused() {
        let good = sample();
        for len in [0, 1, 512, 34 * 512, good.len() - 512, good.len() - 1] {
            assert!(parse(&good[..len]).is_err(), "{len}");
        }
    }
}
