//! Decompression of archive indexes, with a bound: what comes from a mirror may be made to unpack to anything.

use std::io::{self, Read};

use crate::error::{InputsError, Result, WrongBytes};

/// First bytes of an xz stream (The .xz File Format 1.2.1, section 2.1.1.1).
const XZ_MAGIC: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// First bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Memory that an xz stream may ask for, in KiB. The highest preset needs 65 MiB; more is a trap.
const XZ_MEMORY_KIB: u32 = 80 * 1024;

/// Unpacks an xz or gzip file, told apart by their first bytes; anything else is returned as it is. The result has at most
/// `limit` bytes. `what` names the file in errors.
pub fn unpack(what: &str, packed: &[u8], limit: u64) -> Result<Vec<u8>> {
    let unpacked = if packed.starts_with(XZ_MAGIC) {
        bounded(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB), limit)
    } else if packed.starts_with(GZIP_MAGIC) {
        bounded(flate2::read::MultiGzDecoder::new(packed), limit)
    } else {
        bounded(packed, limit)
    };
    unpacked.map_err(|problem| InputsError::Wrong { what: what.to_owned(), problem })
}

fn bounded(reader: impl Read, limit: u64) -> std::result::Result<Vec<u8>, WrongBytes> {
    let mut bytes = Vec::new();
    let corrupt = |error: io::Error| WrongBytes::Corrupt(error.to_string());
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(corrupt)?;
    if bytes.len() as u64 > limit { Err(WrongBytes::TooBig { limit }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    /// Made by the independent tools: `printf 'Package: a\n' | gzip -n9` and `… | xz`.
    const PLAIN: &[u8] = b"Package: a\n";

    fn packed() -> [(&'static str, Vec<u8>); 2] {
        let decode = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
        [
            ("gz", decode(include_str!("../tests/data/package.gz.b64").trim())),
            ("xz", decode(include_str!("../tests/data/package.xz.b64").trim())),
        ]
    }

    #[test]
    fn known_answers() {
        for (name, file) in packed() {
            assert_eq!(unpack(name, &file, 11).unwrap(), PLAIN, "{name}");
            assert_eq!(unpack(name, &file.repeat(3), 33).unwrap(), PLAIN.repeat(3), "{name} in three parts");
        }
        assert_eq!(unpack("plain", PLAIN, 11).unwrap(), PLAIN);
    }

    #[test]
    fn bounds() {
        for (name, file) in packed().into_iter().chain([("plain", PLAIN.to_vec())]) {
            let error = unpack(name, &file, 10).unwrap_err().to_string();
            assert_eq!(error, format!("{name}: unpacks to more than 10 bytes"));
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_noticed() {
        for (name, file) in packed() {
            for end in 6..file.len() {
                let result = unpack(name, &file[..end], 100);
                assert!(result.is_err(), "{name} cut to {end}: {result:?}");
            }
            for at in 0..file.len() {
                let mut flipped = file.clone();
                flipped[at] ^= 0x10;
                // A changed header field that carries no content (gzip's system byte) may go unnoticed, changed content may not.
                if let Ok(bytes) = unpack(name, &flipped, 100) {
                    assert!(bytes == PLAIN || bytes == flipped, "{name} flipped at {at}");
                }
            }
        }
    }
}
