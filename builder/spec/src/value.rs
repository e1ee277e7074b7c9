//! The small values that specs and locks are made of. Each can only be made by parsing, so one that exists is valid.

mod name;
mod path;
mod sha256;
mod time;
mod version;

pub use name::{ModelName, Name, PackageName};
pub use path::{PackPath, RootPath, SpecPath};
pub use sha256::Sha256;
pub use time::{Snapshot, UtcTime};
pub use version::Version;

/// Why a text isn't a value of the wanted type. The place in the file is added by whoever reads the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct BadValue {
    /// What is wrong with the text.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl BadValue {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> BadValue {
        BadValue { what: what.into(), remedy: remedy.into() }
    }
}

/// `Display`, `AsRef<str>` and serde for a newtype around a `String` that has `FromStr<Err = BadValue>`.
macro_rules! text_value {
    ($type:ident) => {
        impl $type {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_value;
