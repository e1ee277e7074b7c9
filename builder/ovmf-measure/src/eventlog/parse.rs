//! The binary form: a header event in the old SHA-1 layout, then events with one digest per bank.

use super::{EventLog, Flavour, LogError, LogEvent, kinds};
use crate::read::{self, Cursor};
use crate::transcript::Register;

/// Identifies the crypto-agile header.
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
/// More banks than any TPM has.
const MAX_BANKS: u32 = 16;
/// More than any event's data; a model's weights aren't logged.
const MAX_EVENT: usize = 16 << 20;

pub(super) fn parse(bytes: &[u8]) -> Result<EventLog, LogError> {
    let mut cursor = Cursor::new(bytes);
    let (first_register, spec_id) = header(&mut cursor)?;
    let banks = banks(spec_id)?;
    // A CC log has its header in register 1 (RTMR0), because 0 is MRTD; a TCG log in PCR 0 (EDK2
    // `OvmfPkg/Tcg/TdTcg2Dxe`, `SecurityPkg/Tcg/Tcg2Dxe`).
    let flavour = match first_register {
        0 => Flavour::Tcg,
        1 => Flavour::Cc,
        _ => return Err(LogError::Header("its header event is in neither register 0 nor 1")),
    };
    let mut events = Vec::new();
    while !cursor.rest().is_empty() {
        let offset = cursor.offset;
        if is_padding(cursor.rest()) {
            break;
        }
        if starts_with_padding(cursor.rest()) {
            return Err(LogError::Hole { offset });
        }
        events.push(event(&mut cursor, flavour, &banks)?);
    }
    Ok(EventLog { flavour, banks, events })
}

/// The first event: register, type, 20 zero bytes, length, data. Returns the register and the data.
fn header<'a>(cursor: &mut Cursor<'a>) -> Result<(u32, &'a [u8]), LogError> {
    let mut fields = || Some((cursor.u32()?, cursor.u32()?, cursor.take(20)?, cursor.u32()?));
    let (register, event_type, digest, size) = fields().ok_or(LogError::Header("it is too short"))?;
    if event_type != kinds::NO_ACTION || digest.iter().any(|byte| *byte != 0) {
        return Err(LogError::Header("its first event isn't EV_NO_ACTION with a zero digest"));
    }
    let data = cursor.take(read::index(size)).ok_or(LogError::Header("its header is cut off"))?;
    Ok((register, data))
}

/// TCG_EfiSpecIDEvent: signature, platform class, version, errata, size of UINTN, banks, vendor information.
fn banks(spec_id: &[u8]) -> Result<Vec<(u16, u16)>, LogError> {
    let damaged = LogError::Header("its header doesn't list its digest algorithms");
    let mut cursor = Cursor::new(spec_id);
    if cursor.take(16) != Some(SPEC_ID) {
        return Err(LogError::Header("its header isn't `Spec ID Event03` (a TCG 1.2 log can't be replayed)"));
    }
    cursor.take(8).ok_or(damaged.clone())?;
    let count = cursor.u32().filter(|n| (1..=MAX_BANKS).contains(n)).ok_or(damaged.clone())?;
    let mut banks: Vec<(u16, u16)> = Vec::new();
    for _ in 0..count {
        let bank = cursor.u16().zip(cursor.u16()).ok_or(damaged.clone())?;
        let expected = match bank.0 {
            0x0004 => Some(20),
            0x000b | 0x0012 | 0x0027 => Some(32),
            0x000c | 0x0028 => Some(48),
            0x000d | 0x0029 => Some(64),
            _ => None,
        };
        if expected.is_some_and(|size| size != bank.1) || bank.1 == 0 || banks.iter().any(|b| b.0 == bank.0) {
            return Err(damaged);
        }
        banks.push(bank);
    }
    let vendor = cursor.u8().ok_or(damaged.clone())?;
    cursor.take(vendor.into()).ok_or(damaged)?;
    Ok(banks)
}

/// TCG_PCR_EVENT2, and CC_EVENT, which has the same layout.
fn event(cursor: &mut Cursor<'_>, flavour: Flavour, banks: &[(u16, u16)]) -> Result<LogEvent, LogError> {
    let offset = cursor.offset;
    let cut = LogError::Truncated { offset };
    let mut fields = || Some((cursor.u32()?, cursor.u32()?, cursor.u32()?));
    let (number, event_type, count) = fields().ok_or(cut.clone())?;
    let register = register(flavour, number).ok_or(LogError::Register { offset, number })?;
    if read::index(count) != banks.len() {
        return Err(LogError::MissingDigest { offset });
    }
    let mut digests: Vec<(u16, Vec<u8>)> = Vec::new();
    for _ in 0..count {
        let id = cursor.u16().ok_or(cut.clone())?;
        let bank = banks.iter().find(|bank| bank.0 == id);
        let (_, size) = bank.ok_or(LogError::UndeclaredAlgorithm { offset, id })?;
        if digests.iter().any(|(other, _)| *other == id) {
            return Err(LogError::MissingDigest { offset });
        }
        digests.push((id, cursor.take(usize::from(*size)).ok_or(cut.clone())?.to_vec()));
    }
    let size = cursor.u32().map(read::index).filter(|size| *size <= MAX_EVENT).ok_or(cut.clone())?;
    let data = cursor.take(size).ok_or(cut)?.to_vec();
    Ok(LogEvent { register, event_type, digests, data, offset })
}

fn register(flavour: Flavour, number: u32) -> Option<Register> {
    let number = u8::try_from(number).ok()?;
    match (flavour, number) {
        (Flavour::Tcg, 0..=23) => Some(Register::Pcr(number)),
        (Flavour::Cc, 0) => Some(Register::Mrtd),
        (Flavour::Cc, 1..=4) => Some(Register::Rtmr(number - 1)),
        _ => None,
    }
}

/// Firmware reserves more room than it uses, and fills it with ones or zeros.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0xff) || rest.iter().all(|byte| *byte == 0)
}

/// No event begins so: register 2^32−1, or type 0 without digests in register 0.
fn starts_with_padding(rest: &[u8]) -> bool {
    rest.starts_with(&[0xff; 12]) || rest.starts_with(&[0; 12])
}
