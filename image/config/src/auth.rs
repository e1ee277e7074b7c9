//! What the configuration says about who may use the API.

use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, ValueError};
use crate::text::Digest;

/// The most keys: one that is used, one that takes its place, and some for more issuers. Each is tried for every token.
pub const MAX_KEYS: usize = 8;

/// Who signs tokens, and for whom they have to be. Without it, everybody who accepts the evidence may use the API.
///
/// The order of the fields is the order in the canonical form, which is alphabetical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// What a token's `aud` has to hold.
    pub audience: Audience,
    /// Ed25519 keys, any of which may have signed it, in ascending order.
    pub keys: Vec<AuthKey>,
}

impl Auth {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let is_ascending = self.keys.iter().zip(self.keys.iter().skip(1)).all(|(a, b)| a.as_bytes() < b.as_bytes());
        let fits = (1..=MAX_KEYS).contains(&self.keys.len());
        if is_ascending && fits { Ok(()) } else { Err(ConfigError::AuthKeys) }
    }
}

/// An Ed25519 public key (RFC 8032, section 5.1.5), written as 64 lower-case hex digits. Whether it is one that verifies anything is for the
/// daemon to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthKey(Digest);

impl AuthKey {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// The name by which issuers know an image or a service, often a URL. Compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Audience(String);

impl Audience {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Audience {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Audience, ValueError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) { Ok(Audience(text)) } else { Err(ValueError::Audience) }
    }
}
