//! Reading fixed-width fields from untrusted bytes, and hexadecimal constants.

use data_encoding::HEXLOWER;

/// The input ended inside a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} needs {needed} bytes at offset {offset}, but only {left} are left: the input is truncated")]
pub struct Truncated {
    /// The field that was being read.
    pub what: &'static str,
    /// Where it starts, in bytes from the start of the input.
    pub offset: usize,
    /// Its length in bytes.
    pub needed: usize,
    /// Bytes that were left.
    pub left: usize,
}

/// A cursor that hands out fields in order.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.all.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn take(&mut self, what: &'static str, needed: usize) -> Result<&'a [u8], Truncated> {
        let rest = self.rest();
        match rest.split_at_checked(needed) {
            Some((field, _)) => {
                self.at += field.len();
                Ok(field)
            }
            None => Err(Truncated { what, offset: self.at, needed, left: rest.len() }),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Truncated> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    pub(crate) fn u16_le(&mut self, what: &'static str) -> Result<u16, Truncated> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32_le(&mut self, what: &'static str) -> Result<u32, Truncated> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64_le(&mut self, what: &'static str) -> Result<u64, Truncated> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u16_be(&mut self, what: &'static str) -> Result<u16, Truncated> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u32_be(&mut self, what: &'static str) -> Result<u32, Truncated> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u64_be(&mut self, what: &'static str) -> Result<u64, Truncated> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }
}

/// Whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Lower-case hexadecimal, as every digest is shown.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// A constant from its hexadecimal text. Evaluated by the compiler: a wrong digit or length doesn't compile.
pub(crate) const fn unhex<const N: usize>(text: &[u8]) -> [u8; N] {
    assert!(text.len() == 2 * N, "two digits a byte");
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = nibble(text[2 * at]) << 4 | nibble(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    assert!(digit.is_ascii_digit() || (digit >= b'a' && digit <= b'f'), "lower-case hexadecimal");
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}
