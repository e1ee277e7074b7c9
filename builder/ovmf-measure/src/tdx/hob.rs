//! The TD HOB: the list of memory ranges that QEMU hands to firmware (QEMU `hw/i386/tdvf-hob.c`, `target/i386/kvm/tdx.c`;
//! UEFI PI 1.8 volume 3, chapter 5). Firmware measures it without its end marker, as the first event of RTMR0.

use super::TdxError;
use crate::firmware::{TdvfMetadata, TdvfSectionKind};

/// From this size on the q35 machine moves memory above 4 GiB, and low memory ends at 2 GiB.
const SPLIT_FROM: u64 = 0xb000_0000;
const SPLIT_LOW: u64 = 0x8000_0000;
const FOUR_GIB: u64 = 1 << 32;
/// KVM and the TDX module allow no more in practice; beyond it the layout isn't verified.
const MAX_MEMORY: u64 = 16 << 40;
/// Present, initialised, tested: QEMU gives every range these attributes.
const ATTRIBUTES: u32 = 7;
/// Resource types: system memory, unaccepted memory.
const SYSTEM: u32 = 0;
const UNACCEPTED: u32 = 7;
const HANDOFF_LENGTH: u16 = 56;
const RESOURCE_LENGTH: u16 = 48;

/// The list for a machine with `memory` bytes of RAM, as it is measured (without the end marker).
pub fn td_hob(metadata: &TdvfMetadata, memory: u64) -> Result<Vec<u8>, TdxError> {
    if memory == 0 || !memory.is_multiple_of(1 << 20) || memory > MAX_MEMORY {
        return Err(TdxError::Memory(memory));
    }
    let hob = metadata.section(TdvfSectionKind::TdHob).ok_or(TdxError::Layout("there is no TD HOB section"))?;
    let ranges = ranges(metadata, memory)?;

    let body = u64::from(HANDOFF_LENGTH) + ranges.len() as u64 * u64::from(RESOURCE_LENGTH);
    // The end marker is 8 bytes; EfiEndOfHobList points behind it.
    let end = body + 8;
    if end > hob.memory {
        return Err(TdxError::Layout("the TD HOB is longer than its section"));
    }
    let mut list = Vec::new();
    header(&mut list, 1, HANDOFF_LENGTH);
    list.extend(9u32.to_le_bytes()); // version
    list.extend([0; 4 + 4 * 8]); // boot mode, then four addresses that QEMU leaves zero
    list.extend((hob.gpa + end).to_le_bytes());
    for range in ranges {
        header(&mut list, 3, RESOURCE_LENGTH);
        list.extend([0; 16]); // owner
        list.extend(range.kind.to_le_bytes());
        list.extend(ATTRIBUTES.to_le_bytes());
        list.extend(range.start.to_le_bytes());
        list.extend((range.end - range.start).to_le_bytes());
    }
    Ok(list)
}

fn header(list: &mut Vec<u8>, kind: u16, length: u16) {
    list.extend(kind.to_le_bytes());
    list.extend(length.to_le_bytes());
    list.extend([0; 4]);
}

struct Range {
    start: u64,
    end: u64,
    kind: u32,
}

/// RAM, cut up by the sections that the VMM adds to it.
fn ranges(metadata: &TdvfMetadata, memory: u64) -> Result<Vec<Range>, TdxError> {
    let low = if memory >= SPLIT_FROM { SPLIT_LOW } else { memory };
    let mut added: Vec<(u64, u64)> = metadata
        .sections
        .iter()
        // The firmware volumes are flash, not RAM; sections that the TD adds itself stay unaccepted.
        .filter(|s| matches!(s.kind, TdvfSectionKind::TdHob | TdvfSectionKind::TempMem) && s.memory > 0)
        .map(|s| (s.gpa, s.gpa + s.memory))
        .collect();
    added.sort_unstable();
    if metadata.sections.iter().any(|s| {
        !matches!(s.kind, TdvfSectionKind::Bfv | TdvfSectionKind::Cfv | TdvfSectionKind::TdHob | TdvfSectionKind::TempMem)
    }) {
        return Err(TdxError::Layout("a section of a kind for which QEMU's layout isn't known"));
    }
    let mut ranges = Vec::new();
    let mut at = 0;
    for (start, end) in added {
        if end > low {
            return Err(TdxError::Memory(memory));
        }
        if start > at {
            ranges.push(Range { start: at, end: start, kind: UNACCEPTED });
        }
        ranges.push(Range { start, end, kind: SYSTEM });
        at = end;
    }
    if low > at {
        ranges.push(Range { start: at, end: low, kind: UNACCEPTED });
    }
    if memory > low {
        ranges.push(Range { start: FOUR_GIB, end: FOUR_GIB + memory - low, kind: UNACCEPTED });
    }
    Ok(ranges)
}
