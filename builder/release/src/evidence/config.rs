//! The measured configuration as far as a verifier looks into it (docs/formats/config.md).

use serde::Deserialize;
use serde_json::Value;

use crate::canonical;
use crate::hex::Sha256;

/// What `schema` says.
const SCHEMA: &str = "sealstone/config/v1";
/// Longer texts are refused unread (docs/formats/config.md, "Canonical form").
const MAX_TEXT: usize = 65_536;

/// What a machine says that it is configured to. Its digest is part of what the evidence is bound to, and the file stands
/// in the measured initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Digest of the text.
    pub sha256: Sha256,
    /// Whether the machine may serve without evidence.
    pub attestation: Attestation,
    /// Name of the image.
    pub name: String,
    /// Version of the image.
    pub version: String,
    /// Its model packs, by name.
    pub models: Vec<ConfigModel>,
}

/// Whether a machine may serve without evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attestation {
    /// It may not.
    Required,
    /// It may: a build for development.
    Insecure,
}

/// A model pack that the machine takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConfigModel {
    /// Its name.
    pub name: String,
    /// Verity root.
    pub root: Sha256,
    /// Verity salt.
    pub salt: Sha256,
}

/// A text that is no measured configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// More bytes than any image takes.
    #[error("{0} bytes, the most is {MAX_TEXT}")]
    TooLong(usize),
    /// Not JSON, or something that a verifier must know is missing or of the wrong type.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
    /// No image would take it: its file is the canonical form and nothing else.
    #[error("not in canonical form")]
    Spelling,
    /// A configuration of another version.
    #[error("schema is {0:?}, not {SCHEMA:?}")]
    Schema(String),
}

/// What is looked at. Other members are the image's business: the digest covers them, and so does the measurement.
#[derive(Deserialize)]
struct Document {
    attestation: Attestation,
    image: Image,
    models: Vec<ConfigModel>,
    schema: String,
}

#[derive(Deserialize)]
struct Image {
    name: String,
    version: String,
}

impl Config {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// If it isn't canonical JSON of this schema, or a part that is looked at can't be read.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_TEXT {
            return Err(ConfigError::TooLong(text.len()));
        }
        let value: Value = canonical::read(text)?;
        if canonical::write(&value) != text {
            return Err(ConfigError::Spelling);
        }
        let Document { attestation, image, models, schema } = serde_json::from_value(value)?;
        if schema != SCHEMA {
            return Err(ConfigError::Schema(schema.chars().take(80).collect()));
        }
        let sha256 = Sha256::of(text.as_bytes());
        Ok(Self { sha256, attestation, name: image.name, version: image.version, models })
    }
}
