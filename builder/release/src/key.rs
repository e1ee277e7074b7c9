//! Ed25519 keys in the text forms of C2SP signed-note: a name, a short id, and the key.
//!
//! The name belongs to the key: the id is a digest over both. A key is believed only where somebody wrote down its verifier
//! key beforehand; ids are a means of finding it, never a reason to trust it.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ed25519_dalek::{SECRET_KEY_LENGTH, SIGNATURE_LENGTH, Signature, Signer as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::base64;

/// What a private key's text begins with, as in Go's `sumdb/note`; chosen there so that searches for leaked keys find it.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Longer names are refused. ML-DSA cosignatures hold a name in 255 bytes; another limit would part those keys from these.
const MAX_NAME: usize = 255;

/// The part of a name that marks keys whose private half is public. Default policies refuse them.
const DEMONSTRATION: &str = "demonstration";

/// A text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not `name+hash+base64`.
    #[error("{0}: write it as `sealstone release keygen` does: NAME+HASH+BASE64")]
    Shape(&'static str),
    /// The name can't be a key's.
    #[error(
        "{0:?} is no name of a key: 1 to 255 bytes without white space, control characters and `+`, such as example.com/release"
    )]
    Name(String),
    /// The key is of a kind that is not used here.
    #[error("signature type {0:#04x} is not Ed25519 (0x01) or an Ed25519 cosignature (0x04)")]
    Kind(u8),
    /// The short id isn't the one that name and key give: a typing error, or parts of two keys.
    #[error("the key's id is {stated}, but name and key give {computed}")]
    Id {
        /// What the text says.
        stated: String,
        /// What it should say.
        computed: String,
    },
}

/// The name of a key: a URL without scheme by custom, such as `example.com/release`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name marks a key of a demonstration, which anybody can sign with.
    pub fn is_demonstration(&self) -> bool {
        self.0.to_lowercase().contains(DEMONSTRATION)
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > MAX_NAME || text.contains(forbidden) {
            return Err(KeyError::Name(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key's signatures are over. The number is the signature type identifier of signed-note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The text itself (0x01): publishers, rebuilders and logs.
    Plain,
    /// A checkpoint and a time, `cosignature/v1` (0x04): witnesses.
    Cosignature,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Plain => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    fn from_byte(byte: u8) -> Result<Self, KeyError> {
        match byte {
            0x01 => Ok(Self::Plain),
            0x04 => Ok(Self::Cosignature),
            other => Err(KeyError::Kind(other)),
        }
    }
}

/// Name and id of a key, `name+hash`: enough to find a key, not to believe it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    name: KeyName,
    hash: [u8; 4],
}

impl KeyId {
    pub(crate) fn new(name: KeyName, hash: [u8; 4]) -> Self {
        Self { name, hash }
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The four bytes in front of a note's signature.
    pub fn hash(&self) -> [u8; 4] {
        self.hash
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.name, HEXLOWER.encode(&self.hash))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, hash) = text.split_once('+').ok_or(KeyError::Shape("not NAME+HASH"))?;
        Ok(Self { name: name.parse()?, hash: short(hash)? })
    }
}

/// A public key that somebody may trust: `name+hash+base64(type ‖ key)`, the *vkey* of signed-note.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    id: KeyId,
    kind: KeyKind,
    /// A point on the curve, and none of small order: whatever makes one of these has looked.
    key: [u8; 32],
}

impl VerifierKey {
    fn new(name: KeyName, kind: KeyKind, key: &ed25519_dalek::VerifyingKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(name.as_str());
        hash.update([b'\n', kind.byte()]);
        let key = key.to_bytes();
        hash.update(key);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        Self { id: KeyId { name, hash: [a, b, c, d] }, kind, key }
    }

    /// Name and id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The name.
    pub fn name(&self) -> &KeyName {
        &self.id.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 32 bytes of the key (RFC 8032, section 5.1.5). Two keys with equal bytes are one signer, whatever their names.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether `signature` is this key's over `message`. Strict: one signature has one spelling, and keys of small order,
    /// for which a signature can fit any message, sign nothing.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(bytes) = <&[u8; SIGNATURE_LENGTH]>::try_from(signature) else { return false };
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&self.key) else { return false };
        key.verify_strict(message, &Signature::from_bytes(bytes)).is_ok()
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, kind, hash, bytes) = parts(text)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak());
        let key = Self::new(name, kind, &key.ok_or(KeyError::Shape("the bytes are no Ed25519 public key"))?);
        key.with_id(hash)
    }
}

impl VerifierKey {
    fn with_id(self, stated: [u8; 4]) -> Result<Self, KeyError> {
        if stated == self.id.hash {
            return Ok(self);
        }
        Err(KeyError::Id { stated: HEXLOWER.encode(&stated), computed: HEXLOWER.encode(&self.id.hash) })
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.id, encode(self.kind, &self.key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A private key. It has no `Display`; [`SigningKey::to_secret_text`] says what it does. Its bytes are wiped when it is dropped.
pub struct SigningKey {
    verifier: VerifierKey,
    secret: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The key that 32 random bytes make. Whoever knows them can sign.
    pub fn from_seed(name: KeyName, kind: KeyKind, seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        Self { verifier: VerifierKey::new(name, kind, &secret.verifying_key()), secret }
    }

    /// Reads `PRIVATE+KEY+name+hash+base64(type ‖ seed)`.
    ///
    /// # Errors
    /// [`KeyError`], which never quotes the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PRIVATE).ok_or(KeyError::Shape("not a private key, which begins with PRIVATE+KEY+"))?;
        let (name, kind, hash, seed) = parts(rest)?;
        let Self { verifier, secret } = Self::from_seed(name, kind, &seed);
        Ok(Self { verifier: verifier.with_id(hash)?, secret })
    }

    /// The private key as text, for a file that nobody else may read.
    pub fn to_secret_text(&self) -> String {
        format!("{PRIVATE}{}+{}", self.verifier.id, encode(self.verifier.kind, self.secret.as_bytes()))
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A signature over `message` (RFC 8032: the same message gives the same signature).
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier.id)
    }
}

fn encode(kind: KeyKind, bytes: &[u8; 32]) -> String {
    let mut all = vec![kind.byte()];
    all.extend_from_slice(bytes);
    base64::encode(&all)
}

/// `name+hash+base64`; the base64 may hold `+` as well.
fn parts(text: &str) -> Result<(KeyName, KeyKind, [u8; 4], [u8; 32]), KeyError> {
    let mut fields = text.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(KeyError::Shape("not three parts with `+` between"));
    };
    let bytes = base64::decode(key).ok_or(KeyError::Shape("the key is not in base64"))?;
    let (kind, bytes) = bytes.split_first().ok_or(KeyError::Shape("the key is empty"))?;
    let kind = KeyKind::from_byte(*kind)?;
    let bytes = bytes.try_into().map_err(|_| KeyError::Shape("the key is not 32 bytes long"))?;
    Ok((name.parse()?, kind, short(hash)?, bytes))
}

fn short(hash: &str) -> Result<[u8; 4], KeyError> {
    let bytes = HEXLOWER.decode(hash.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(KeyError::Shape("the key's id is not eight lower-case hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of Go's sumdb/note documentation.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

    #[test]
    fn known_keys() {
        let secret = SigningKey::parse(SKEY).unwrap();
        assert_eq!(secret.verifier().to_string(), VKEY);
        assert_eq!(secret.to_secret_text(), SKEY);
        assert_eq!(VKEY.parse::<VerifierKey>().unwrap(), *secret.verifier());
        // The example of C2SP signed-note.
        let example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        assert_eq!(example.parse::<VerifierKey>().unwrap().to_string(), example);
        assert!(!format!("{secret:?}").contains("AYEK"), "debug output keeps the secret");
    }

    #[test]
    fn other_texts_are_no_keys() {
        for (bad, says) in [
            ("", "three parts"),
            ("PeterNeumann+c74f20a3", "three parts"),
            (&VKEY.replace("c74f20a3", "c74f20a4"), "name and key give c74f20a3"),
            (&VKEY.replace("Peter", "Pether"), "name and key give"),
            (&VKEY.replace("c74f20a3", "C74F20A3"), "lower-case"),
            (&VKEY.replace("Peter", "Peter "), "no name"),
            (&VKEY.replace("+ARpc", "+AhPc"), "0x02"),
            (&VKEY[..VKEY.len() - 4], "32 bytes"),
            (&format!("{VKEY}="), "base64"),
            (&format!("{VKEY}\n"), "base64"),
            ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "no name"),
            ("PeterNeumann+c74f20a3+", "empty"),
        ] {
            let error = bad.parse::<VerifierKey>().unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
        assert!(SigningKey::parse(VKEY).is_err());
    }

    #[test]
    fn weak_keys_are_refused() {
        // The identity, of order one: R = identity, S = 0 verifies for any message under lax rules.
        let mut identity = [0; 32];
        identity[0] = 1;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&identity).unwrap();
        let text = VerifierKey::new("weak".parse().unwrap(), KeyKind::Plain, &key).to_string();
        assert!(text.parse::<VerifierKey>().is_err());
    }

    #[test]
    fn one_signature_has_one_spelling() {
        let secret = SigningKey::parse(SKEY).unwrap();
        let signature = secret.sign(b"message");
        assert!(secret.verifier().verifies(b"message", &signature));
        assert!(!secret.verifier().verifies(b"massage", &signature));
        for bit in 0..512 {
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!secret.verifier().verifies(b"message", &other), "bit {bit}");
        }
        // S + L names the same point; RFC 8032, section 5.1.7, refuses it.
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut malleated = signature;
        let mut carry = 0u16;
        for (byte, add) in malleated[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!secret.verifier().verifies(b"message", &malleated));
    }

    #[test]
    fn demonstration_keys_are_known_by_name() {
        for (name, demonstration) in
            [("sealstone.example/demonstration-release", true), ("a/DEMONSTRATION", true), ("example.com/release", false)]
        {
            assert_eq!(name.parse::<KeyName>().unwrap().is_demonstration(), demonstration);
        }
    }
}
