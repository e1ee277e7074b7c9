//! Digests of the two algorithms that registers are made of, and the arithmetic on them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha384};

/// Hash algorithm of a register bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4): the usual TPM bank.
    Sha256,
    /// SHA-384 (FIPS 180-4): SNP launch digest, MRTD, RTMRs, and a TPM bank.
    Sha384,
}

impl Algorithm {
    /// The identifier in the TCG algorithm registry (`TPM_ALG_ID`).
    pub const fn tpm_id(self) -> u16 {
        match self {
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
        }
    }

    /// Digest length in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The hash of `bytes`.
    pub fn hash(self, bytes: &[u8]) -> Digest {
        self.hash_parts(&[bytes])
    }

    /// The hash of the concatenation of `parts`.
    pub fn hash_parts(self, parts: &[&[u8]]) -> Digest {
        match self {
            Self::Sha256 => {
                let mut hasher = Sha256::new();
                parts.iter().for_each(|part| hasher.update(part));
                Digest::Sha256(hasher.finalize().into())
            }
            Self::Sha384 => {
                let mut hasher = Sha384::new();
                parts.iter().for_each(|part| hasher.update(part));
                Digest::Sha384(hasher.finalize().into())
            }
        }
    }

    /// A register's reset value: all zero.
    pub const fn zero(self) -> Digest {
        match self {
            Self::Sha256 => Digest::Sha256([0; 32]),
            Self::Sha384 => Digest::Sha384([0; 48]),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        })
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            other => Err(DigestError::Algorithm(other.to_owned())),
        }
    }
}

/// A digest that knows its algorithm by its length. Text form: lower-case hex, nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// 32 bytes.
    Sha256([u8; 32]),
    /// 48 bytes.
    Sha384([u8; 48]),
}

impl Digest {
    /// Reads raw bytes; the length decides the algorithm.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        if let Ok(bytes) = bytes.try_into() {
            return Ok(Self::Sha256(bytes));
        }
        match bytes.try_into() {
            Ok(bytes) => Ok(Self::Sha384(bytes)),
            Err(_) => Err(DigestError::Length(bytes.len())),
        }
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha384(bytes) => bytes,
        }
    }

    /// The algorithm that made it.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha384(_) => Algorithm::Sha384,
        }
    }

    /// `H(self ‖ digest)`: what a PCR or RTMR becomes when `digest` is extended into it.
    pub fn extend(&self, digest: &Digest) -> Digest {
        self.algorithm().hash_parts(&[self.as_bytes(), digest.as_bytes()])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(self.as_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.algorithm())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::from_bytes(&from_hex(text)?)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text or byte string that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Neither 32 nor 48 bytes: cut, or of an algorithm that no register here uses.
    #[error("a digest has 32 (sha256) or 48 (sha384) bytes, not {0}")]
    Length(usize),
    /// Not lower-case hex with an even number of digits.
    #[error("not lower-case hex: {0:?}")]
    Hex(String),
    /// A bank name other than `sha256` or `sha384`.
    #[error("unknown hash algorithm {0:?}; use sha256 or sha384")]
    Algorithm(String),
}

/// Lower-case hex of `bytes`.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

/// Bytes of lower-case hex; anything else is an error.
pub fn from_hex(text: &str) -> Result<Vec<u8>, DigestError> {
    let bad = || DigestError::Hex(text.chars().take(100).collect());
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(bad()),
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(bad());
    }
    pairs.iter().map(|[high, low]| Ok(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_strict() {
        assert_eq!(from_hex("00ff").unwrap(), [0, 255]);
        for bad in ["0", "0F", "zz", "0x00", " 00", "é"] {
            assert!(from_hex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn length_decides_the_algorithm() {
        assert_eq!(Digest::from_bytes(&[0; 32]).unwrap().algorithm(), Algorithm::Sha256);
        assert_eq!(Digest::from_bytes(&[0; 48]).unwrap().algorithm(), Algorithm::Sha384);
        assert_eq!(Digest::from_bytes(&[0; 20]), Err(DigestError::Length(20)));
    }

    #[test]
    fn known_answer() {
        // FIPS 180-4 example: SHA-384("abc").
        assert!(Algorithm::Sha384.hash(b"abc").to_string().starts_with("cb00753f45a35e8bb5a03d699ac65007"));
    }
}
