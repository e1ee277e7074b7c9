//! Texts of a narrow alphabet. None of them can hold a character that JSON would escape, that a kernel interface would
//! take for a separator, or that would leave a folder.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::ValueError;

/// The name of an image or a model: a host name label (RFC 1123 section 2.1) in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// The text, which is safe as a path component, host name and device-mapper name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Name, ValueError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(inner);
        if fits && !text.starts_with('-') && !text.ends_with('-') { Ok(Name(text)) } else { Err(ValueError::Name) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version of an image, as its spec states it. Shown, never compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Version(String);

impl Version {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Version {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Version, ValueError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b".+~-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) { Ok(Version(text)) } else { Err(ValueError::Version) }
    }
}

/// A file's path inside a pack, relative to the pack's root; it cannot leave the pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PackPath(String);

impl PackPath {
    /// The text, to be joined to the pack's mount point.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PackPath {
    type Error = ValueError;

    fn try_from(text: String) -> Result<PackPath, ValueError> {
        let character = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
        let part = |p: &str| !p.is_empty() && p != "." && p != ".." && p.bytes().all(character);
        if text.len() <= 255 && text.split('/').all(part) { Ok(PackPath(text)) } else { Err(ValueError::PackPath) }
    }
}

/// 32 bytes, written as 64 lower-case hex digits: a dm-verity root or salt, or a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of `data`.
    pub fn of(data: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(data).into())
    }

    /// A digest of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Digest, ValueError> {
        let mut bytes = [0u8; 32];
        if text.len() != 64 {
            return Err(ValueError::Digest);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return Err(ValueError::Digest) };
            *byte = (nibble(*high)? << 4) | nibble(*low)?;
        }
        Ok(Digest(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, ValueError> {
    match digit {
        b'0'..=b'9' => Ok(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Ok(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => Err(ValueError::Digest),
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: TryFrom<String, Error = ValueError>>(good: &[&str], bad: &[&str], error: ValueError) {
        for text in good {
            assert!(T::try_from((*text).to_owned()).is_ok(), "{text:?} should be taken");
        }
        for text in bad {
            assert_eq!(T::try_from((*text).to_owned()).err().as_ref(), Some(&error), "{text:?} should be refused");
        }
    }

    #[test]
    fn names() {
        let longest = "a".repeat(63);
        let too_long = "a".repeat(64);
        check::<Name>(
            &["a", "0", "inference", "qwen3-0-6b", &longest],
            &["", "-a", "a-", "A", "a.b", "a b", "a/b", "..", "a\n", "a\"", "\u{e9}", &too_long],
            ValueError::Name,
        );
    }

    #[test]
    fn versions() {
        check::<Version>(&["0.1.0", "1.0.0-rc.1+b2", "1~x"], &["", "1 0", "1\"", "1/2", &"1".repeat(65)], ValueError::Version);
    }

    #[test]
    fn pack_paths() {
        check::<PackPath>(
            &["model.gguf", "a/b/model-00001-of-00002.gguf", "...", "a..b"],
            &["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a b", "a\\b", "a\0", &"a".repeat(256)],
            ValueError::PackPath,
        );
    }

    #[test]
    fn digests() {
        let digits = "0123456789abcdef".repeat(4);
        check::<Digest>(
            &[&digits],
            &["", &digits[1..], &format!("{digits}00"), &digits.to_uppercase(), &digits.replace('0', "g"), &"\u{e9}".repeat(32)],
            ValueError::Digest,
        );
        assert_eq!(Digest::try_from(digits.clone()).unwrap().to_string(), digits);
        // FIPS 180-4, SHA-256 of "abc" (NIST's example).
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
    }
}
