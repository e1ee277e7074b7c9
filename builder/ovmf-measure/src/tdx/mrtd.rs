//! MRTD: one SHA-384 stream over the operations by which the VMM builds the TD (TDX Module 1.5 base architecture, section
//! 12.2.1: TDH.MEM.PAGE.ADD and TDH.MR.EXTEND).

use sha2::{Digest as _, Sha384};

use crate::boot::PageOrder;
use crate::digest::Digest;
use crate::firmware::{Firmware, FirmwareError, PAGE, TdvfSection};

/// Bytes that one TDH.MR.EXTEND covers.
const CHUNK: usize = 256;

/// The register's value for `firmware`, built in `order`. Memory size and vCPUs don't matter.
pub fn mrtd(firmware: &Firmware<'_>, order: PageOrder) -> Result<Digest, FirmwareError> {
    let mut stream = Sha384::new();
    for section in &firmware.tdvf_metadata()?.sections {
        let data = section.data(firmware.bytes());
        let pages = || (0..section.memory).step_by(PAGE);
        match order {
            PageOrder::PerPage => pages().for_each(|page| {
                add(&mut stream, section, page);
                extend(&mut stream, section, data, page);
            }),
            PageOrder::AddThenExtend => {
                pages().for_each(|page| add(&mut stream, section, page));
                pages().for_each(|page| extend(&mut stream, section, data, page));
            }
        }
    }
    Ok(Digest::Sha384(stream.finalize().into()))
}

fn add(stream: &mut Sha384, section: &TdvfSection, page: u64) {
    if !section.augmented {
        stream.update(operation(b"MEM.PAGE.ADD", section.gpa + page));
    }
}

fn extend(stream: &mut Sha384, section: &TdvfSection, data: &[u8], page: u64) {
    if !section.extended {
        return;
    }
    for offset in (page..page + PAGE as u64).step_by(CHUNK) {
        stream.update(operation(b"MR.EXTEND", section.gpa + offset));
        // Memory beyond the section's data is zero.
        let mut chunk = [0; CHUNK];
        let tail = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)).unwrap_or_default();
        let length = tail.len().min(CHUNK);
        chunk[..length].copy_from_slice(&tail[..length]);
        stream.update(chunk);
    }
}

/// The 128 bytes that stand for one operation: its name, then at 16 the address, else zero.
fn operation(name: &[u8], gpa: u64) -> [u8; 128] {
    let mut buffer = [0; 128];
    buffer[..name.len()].copy_from_slice(name);
    buffer[16..24].copy_from_slice(&gpa.to_le_bytes());
    buffer
}
