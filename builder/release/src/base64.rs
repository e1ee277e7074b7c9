//! Base64 (RFC 4648, section 4) in one spelling.

use data_encoding::BASE64;

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes of `text`; `None` if they would be written in another way. `data-encoding` takes several padded texts one behind
/// the other for one, which has the same bytes without padding in between.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| encode(bytes) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        // RFC 4648, section 10.
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        for bad in ["Zg", "Zg=", "Zh==", "Zm9v\n", " Zm9v", "Zm8=Zm9v", "Zg==Zg==", "Z===", "Zm9-", "===="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
