//! Why a configuration is refused.

use crate::{MAX_BYTES, MAX_KEYS, MAX_MODELS, PATH};

/// A configuration that init and daemon refuse. Every case is a fault of the builder or of a hand-made image, so the only
/// remedy is to build the image again; nothing at run time can mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is longer than any valid configuration.
    #[error("{PATH} has {0} bytes, more than {MAX_BYTES}")]
    TooLong(usize),
    /// Not JSON, or not of this schema: a missing, unknown, repeated or ill-typed field. The text names line and column.
    #[error("{PATH} is not a sealstone/config/v1 document: {0}")]
    Schema(#[from] serde_json::Error),
    /// Valid, but written differently from the canonical form, so that one meaning would have two digests.
    #[error("{PATH} is not in canonical form (first difference at byte {0})")]
    NotCanonical(usize),
    /// More models than an image may have.
    #[error("{PATH} names {0} models, more than {MAX_MODELS}")]
    TooManyModels(usize),
    /// The models aren't in strictly ascending order of their names, which also means that one may stand there twice.
    #[error("{PATH}: models must be sorted by name without repetition, {0} is out of order")]
    ModelOrder(crate::Name),
    /// No key, too many, or not in strictly ascending order.
    #[error("{PATH}: auth.keys must be 1 to {MAX_KEYS} keys in ascending order without repetition")]
    AuthKeys,
}

/// A single value that is not of its type. It reaches the caller inside [`ConfigError::Schema`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// An image's or model's name.
    #[error("a name is 1 to 63 of a-z, 0-9 and inner hyphens")]
    Name,
    /// An image's version.
    #[error("a version is 1 to 64 of A-Z, a-z, 0-9 and .+~-")]
    Version,
    /// A path inside a pack.
    #[error("a path in a pack is relative, of at most 255 of A-Z, a-z, 0-9 and ._-+ in parts that are neither empty, . nor ..")]
    PackPath,
    /// A root or salt.
    #[error("a digest is 64 lower-case hex digits")]
    Digest,
    /// An audience.
    #[error("an audience is 1 to 128 of A-Z, a-z, 0-9 and -._~:/")]
    Audience,
    /// A pack's size.
    #[error("a pack's size is a multiple of 4096 from 8192 to 16 TiB")]
    PackSize,
}
