//! The two header fields with which an HTTP request becomes a WebSocket (RFC 6455, section 4).

use sha1::{Digest, Sha1};

/// Says that the peer knows this protocol, and is no secret (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub fn accept(key: &str) -> String {
    base64(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether this can be a `Sec-WebSocket-Key`: base64 of 16 bytes.
pub fn is_key(key: &str) -> bool {
    key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(|byte| ALPHABET.contains(&byte)))
}

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (index, shift) in [18u32, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from(bits >> shift & 63).ok().and_then(|digit| ALPHABET.get(digit)).copied();
            text.push(if index <= group.len() { char::from(digit.unwrap_or_default()) } else { '=' });
        }
    }
    text
}
