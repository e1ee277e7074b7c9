//! GUIDs as EFI stores them: the first three fields little-endian, the last two as bytes.

use std::fmt;

/// An EFI GUID in its 16-byte stored form (UEFI 2.10, Appendix A).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// From the fields of the text form `aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee`.
    pub const fn new(a: u32, b: u16, c: u16, d: u16, e: u64) -> Self {
        let a = a.to_le_bytes();
        let b = b.to_le_bytes();
        let c = c.to_le_bytes();
        let d = d.to_be_bytes();
        let e = e.to_be_bytes();
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], e[2], e[3], e[4], e[5], e[6], e[7]])
    }

    /// All zero: "unused" in a partition table, "no table" in a footer.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = &self.0;
        write!(f, "{:08x}", u32::from_le_bytes([g[0], g[1], g[2], g[3]]))?;
        write!(f, "-{:04x}", u16::from_le_bytes([g[4], g[5]]))?;
        write!(f, "-{:04x}", u16::from_le_bytes([g[6], g[7]]))?;
        write!(f, "-{:02x}{:02x}-", g[8], g[9])?;
        g[10..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_is_mixed_endian() {
        let guid = Guid::new(0x96b5_82de, 0x1fb2, 0x45f7, 0xbaea, 0xa366_c55a_082d);
        assert_eq!(guid.0[..8], [0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45]);
        assert_eq!(guid.to_string(), "96b582de-1fb2-45f7-baea-a366c55a082d");
    }
}
