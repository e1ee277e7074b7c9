//! CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) as the kernel's `crc32c(~0, …)` calculates it: all ones before,
//! and *not* inverted after.

/// The checksum of some bytes that are read as one. Bit by bit: it is taken of one block per image.
pub(super) fn crc32c<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    bytes.into_iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 })
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
