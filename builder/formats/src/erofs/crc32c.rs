//! CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) as the kernel's `crc32c(~0, …)` calculates it: all ones before,
//! and *not* inverted after.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82F6_3B78 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// The checksum of some bytes that are read as one.
pub(super) fn crc32c<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    bytes.into_iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE[usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that every catalogue of CRCs lists for CRC-32/ISCSI, which is inverted after.
    #[test]
    fn check_value() {
        assert_eq!(!crc32c(b"123456789"), 0xE306_9283);
    }
}
