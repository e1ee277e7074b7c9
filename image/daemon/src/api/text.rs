//! Text from bytes that come in pieces.

/// Puts characters together whose bytes come in different pieces. What can't become a character is replaced as
/// [`String::from_utf8_lossy`] does.
#[derive(Debug, Default)]
pub(super) struct Characters {
    /// The beginning of a character: at most three bytes.
    begun: Vec<u8>,
}

impl Characters {
    /// The characters that are complete with `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let complete = self.begun.len().saturating_sub(unfinished(&self.begun));
        let rest = self.begun.split_off(complete);
        let whole = std::mem::replace(&mut self.begun, rest);
        String::from_utf8(whole).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// What stands for a character that never was completed.
    pub(super) fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default();
    for (at, byte) in tail.iter().enumerate() {
        let rest = tail.get(at..).unwrap_or_default();
        if *byte >= 0xc0 && std::str::from_utf8(rest).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        {
            return rest.len();
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8], size: usize) -> String {
        let mut characters = Characters::default();
        let mut text: String = bytes.chunks(size).map(|piece| characters.push(piece)).collect();
        text.push_str(&characters.end());
        text
    }

    #[test]
    fn the_same_text_however_it_is_cut() {
        let table: &[&[u8]] = &[
            "plain".as_bytes(),
            "añ日本語🦭e\u{301}".as_bytes(),
            b"cut \xf0\x9f\xa6",
            b"\xff\xfe bad \xc3( \xe2\x28\xa1 \xf0\x28\x8c\xbc",
            b"\xed\xa0\x80 surrogate",
            b"\x80\x80\x80\x80",
        ];
        for bytes in table {
            for size in 1..6 {
                assert_eq!(pieces(bytes, size), String::from_utf8_lossy(bytes), "{bytes:?} by {size}");
            }
        }
    }

    #[test]
    fn a_begun_character_waits() {
        let mut characters = Characters::default();
        assert_eq!(characters.push(b"a\xf0\x9f"), "a");
        assert_eq!(characters.push(b"\xa6"), "");
        assert_eq!(characters.push(b"\xadb"), "🦭b");
    }
}
