//! `auth:` who may use the API of an image.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;

use crate::error::ProblemKind;
use crate::reader::{Cursor, shorten};
use crate::value::BadValue;

/// The most keys that an image takes (docs/formats/config.md).
const MAX_KEYS: usize = 8;

/// Only whoever shows a token that one of the keys has signed for this audience may use the API. Without it everybody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What a token's `aud` has to hold: 1 to 128 letters, digits and `-._~:/`.
    pub audience: String,
    /// In ascending order, which is the one that is measured: an author's order means nothing.
    pub keys: Vec<AuthKey>,
}

/// An Ed25519 public key (RFC 8032) as 64 lower-case hexadecimal digits, which is a point of the curve and not one of the few by which anybody could
/// sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthKey([u8; 32]);

impl FromStr for AuthKey {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<AuthKey, BadValue> {
        const REMEDY: &str =
            "write the key's 32 bytes as 64 lower-case hexadecimal digits; docs/howto/spec.md says how to get them";
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| BadValue::new(format!("`{}` isn't a key", shorten(text)), REMEDY))?;
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(AuthKey(bytes)),
            _ => Err(BadValue::new(format!("`{}` isn't an Ed25519 public key", shorten(text)), REMEDY)),
        }
    }
}

impl fmt::Display for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({self})")
    }
}

pub(super) fn read(cursor: &Cursor<'_>) -> Option<Auth> {
    let fields = cursor.fields(&["audience", "keys"])?;
    let audience = fields.need("audience", audience);
    let keys = fields.need("keys", keys);
    Some(Auth { audience: audience?, keys: keys? })
}

fn audience(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b);
    if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
        return Some(text.to_owned());
    }
    cursor.refuse(
        ProblemKind::BadValue,
        format!("`{}` isn't an audience", shorten(text)),
        "use 1 to 128 letters, digits and `-._~:/`, such as https://llm.example",
    )
}

fn keys(cursor: &Cursor<'_>) -> Option<Vec<AuthKey>> {
    let mut keys = cursor.unique_list(AuthKey::to_string, Cursor::value::<AuthKey>)?;
    keys.sort();
    if (1..=MAX_KEYS).contains(&keys.len()) {
        return Some(keys);
    }
    cursor.refuse(ProblemKind::BadValue, format!("{} keys", keys.len()), format!("list 1 to {MAX_KEYS}"))
}
