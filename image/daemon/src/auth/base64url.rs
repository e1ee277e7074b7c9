//! Base64url without padding (RFC 4648, section 5; RFC 7515, section 2): one spelling for each content.

/// The bytes that `text` stands for; `None` if it isn't their only spelling.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | value(*digit)?;
        }
        // Fewer than four digits end with bits that stand for nothing, and have to be zero.
        match (group.len(), bits.trailing_zeros()) {
            (4, _) => bytes.extend(bits.to_be_bytes().iter().skip(1)),
            (3, 2..) => bytes.extend((bits << 6).to_be_bytes().iter().skip(1).take(2)),
            (2, 4..) => bytes.extend((bits << 12).to_be_bytes().iter().skip(1).take(1)),
            _ => return None,
        }
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit.wrapping_sub(b'A'),
        b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10, without padding.
    #[test]
    fn known_answers() {
        for (text, bytes) in [
            ("", ""),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmE", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode(b"-_-_").unwrap(), [0xfb, 0xff, 0xbf]);
    }

    /// Every text of up to three characters: no two give the same bytes, and everything up to two bytes has one.
    #[test]
    fn one_spelling_each() {
        let characters: Vec<u8> = (0..=127).filter(|b| value(*b).is_some() || b"=+/ ".contains(b)).collect();
        let mut seen = std::collections::HashSet::new();
        let mut try_one = |text: &[u8]| decode(text).is_none_or(|bytes| seen.insert(bytes));
        assert!(try_one(b""));
        for a in &characters {
            assert!(try_one(&[*a]));
            for b in &characters {
                assert!(try_one(&[*a, *b]));
                assert!(characters.iter().all(|c| try_one(&[*a, *b, *c])));
            }
        }
        assert_eq!(seen.len(), 1 + 256 + 65_536);
    }
}
