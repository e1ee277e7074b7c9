//! The table of GUIDed entries at the end of OVMF (`OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm`).
//!
//! It is read backwards: each entry is data, then a `u16` length of the whole entry, then its GUID. The last entry, 32
//! bytes before the end of the file (the reset vector), has the length of the whole table.

use super::FirmwareError;
use crate::guid::Guid;
use crate::read;

/// The last entry.
const TABLE_FOOTER: Guid = Guid::new(0x96b5_82de, 0x1fb2, 0x45f7, 0xbaea, 0xa366_c55a_082d);
/// Where the VMM puts the hashes of kernel, initrd and cmdline: `u32` address, `u32` size.
pub(super) const SEV_HASH_TABLE: Guid = Guid::new(0x7255_371f, 0x3a3b, 0x4b04, 0x927b, 0x1da6_efa8_d454);
/// Start address of application processors: `u32`.
pub(super) const SEV_ES_RESET_BLOCK: Guid = Guid::new(0x00f7_71de, 0x1a7e, 0x4fcb, 0x890e, 0x68c7_7e2f_b44e);
/// Offset of the SEV metadata from the end of the file: `u32`.
pub(super) const SEV_METADATA: Guid = Guid::new(0xdc88_6566, 0x984a, 0x4798, 0xa75e, 0x5585_a7bf_67cc);
/// Offset of the TDVF metadata from the end of the file: `u32`.
pub(super) const TDVF_METADATA: Guid = Guid::new(0xe47a_6535, 0x984a, 0x4798, 0x865e, 0x4685_a7bf_8ec2);

/// Bytes after the table: the reset vector.
const RESET_VECTOR: usize = 32;
/// A `u16` length and a GUID.
const ENTRY_HEADER: usize = 18;

/// The entries of the table, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterTable {
    entries: Vec<(Guid, Vec<u8>)>,
}

impl FooterTable {
    pub(super) fn parse(firmware: &[u8]) -> Result<Self, FirmwareError> {
        let end = firmware.len().checked_sub(RESET_VECTOR).ok_or(FirmwareError::NoFooter)?;
        let (size, guid) = header(firmware, end).ok_or(FirmwareError::NoFooter)?;
        if guid != TABLE_FOOTER {
            return Err(FirmwareError::NoFooter);
        }
        let body = size.checked_sub(ENTRY_HEADER).ok_or(FirmwareError::Footer("its length is less than its header"))?;
        let body_end = end - ENTRY_HEADER;
        let body_start = body_end.checked_sub(body).ok_or(FirmwareError::Footer("it is longer than the file"))?;
        let table = &firmware[body_start..body_end];

        let mut entries = Vec::new();
        let mut left = table;
        while !left.is_empty() {
            let (size, guid) = header(left, left.len()).ok_or(FirmwareError::Footer("an entry is cut"))?;
            let start = left.len().checked_sub(size).filter(|_| size >= ENTRY_HEADER);
            let start = start.ok_or(FirmwareError::Footer("an entry's length doesn't fit"))?;
            if entries.iter().any(|(other, _)| *other == guid) {
                // Readers differ in which of two they take, so there is no one right answer.
                return Err(FirmwareError::Footer("an entry occurs twice"));
            }
            entries.push((guid, left[start..left.len() - ENTRY_HEADER].to_vec()));
            left = &left[..start];
        }
        entries.reverse();
        Ok(Self { entries })
    }

    /// The data of the entry `guid`.
    pub fn entry(&self, guid: Guid) -> Option<&[u8]> {
        self.entries.iter().find(|(other, _)| *other == guid).map(|(_, data)| data.as_slice())
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (Guid, &[u8])> {
        self.entries.iter().map(|(guid, data)| (*guid, data.as_slice()))
    }
}

/// Length and GUID of the entry that ends at `end`.
fn header(bytes: &[u8], end: usize) -> Option<(usize, Guid)> {
    let start = end.checked_sub(ENTRY_HEADER)?;
    Some((usize::from(read::u16(bytes, start)?), Guid(read::array(bytes, start + 2)?)))
}
