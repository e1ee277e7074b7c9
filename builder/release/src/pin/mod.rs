//! The pin: what a client keeps of an image, and all that it needs to tell whether a machine runs it.
//!
//! What it must prove: each register value in [`launch`](Profile) is the fold of the events that stand beside it. How it
//! could fool: a document whose values and events disagree, or that two parsers read differently. Hence a [`Pin`] exists only
//! after every register was recomputed, and a text is taken only if it says exactly what its canonical form says.

mod check;
mod error;
mod profile;

use ovmf_measure::transcript::{Event, Register};
use serde::{Deserialize, Serialize};

pub use error::PinError;
pub use profile::{
    Boot, Firmware, KernelHeader, NamedFile, PackagedFile, PageOrder, PcrIndex, Profile, SnpLaunch, SnpParams, SnpProfile,
    TdxLaunch, TdxParams, TdxProfile, TpmLaunch, TpmParams, TpmProfile, VcpuCount,
};

use crate::canonical;
use crate::hex::{Bytes, Sha256};
use crate::time::Moment;

/// What `schema` says. Another layout gets another word; this one never changes its meaning.
pub const SCHEMA: &str = "sealstone/pin/v1";

/// Longer texts are refused unread. The default image's pin has about 60 KB.
pub const MAX_TEXT: usize = 8 << 20;

/// A pin whose registers were recomputed from its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    contents: Contents,
}

/// Everything that a pin says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What boots.
    pub image: Image,
    /// What it was built from.
    pub source: Source,
    /// Model packs that the image takes, and no others.
    pub models: Vec<Model>,
    /// The registers, platform by platform.
    pub profiles: Vec<Profile>,
    /// When the pin may be used; a build has no say in that, a release has.
    #[serde(deserialize_with = "present")]
    pub validity: Option<Validity>,
    /// Id of the pin that this one takes the place of.
    #[serde(deserialize_with = "present")]
    pub supersedes: Option<Sha256>,
}

/// The files of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The image's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `vmlinuz`, for a direct boot.
    pub kernel: File,
    /// `initrd`, for a direct boot.
    pub initrd: File,
    /// The kernel's command line, without a final NUL or newline.
    pub cmdline: String,
    /// `uki.efi`: the same kernel, initrd and command line as one UEFI program.
    pub uki: File,
    /// `disk.raw`: the UKI on a bootable disk.
    pub disk: File,
}

/// A file, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Digest of its bytes.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

impl File {
    /// The digest and size of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256::of(bytes), size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) }
    }
}

/// What an image was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Digest of the spec's text.
    pub spec_sha256: Sha256,
    /// Digest of the lock's text.
    pub lock_sha256: Sha256,
}

/// A model pack: an EROFS file system under dm-verity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name that requests ask for.
    pub name: String,
    /// Verity root.
    pub root: Sha256,
    /// Verity salt.
    pub salt: Bytes<32>,
    /// Bytes of the whole pack.
    pub size: u64,
}

/// When a pin may be used: from `not_before` on, and no longer than to `not_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// The first moment.
    pub not_before: Moment,
    /// The last moment.
    pub not_after: Moment,
}

impl Pin {
    /// A pin that says `contents`.
    ///
    /// # Errors
    /// [`PinError`] for names, numbers and digests that can't be, and for registers that aren't the fold of their events.
    pub fn new(contents: Contents) -> Result<Self, PinError> {
        check::contents(&contents)?;
        Ok(Self { contents })
    }

    /// Reads `pin.json`.
    ///
    /// # Errors
    /// As [`Pin::new`], and for text that isn't JSON, has unknown or missing fields, a field twice, or says something in
    /// another way than the canonical form does (`null` for a field that would be left out, say).
    pub fn parse(text: &str) -> Result<Self, PinError> {
        if text.len() > MAX_TEXT {
            return Err(PinError::TooLong { length: text.len() });
        }
        let value = canonical::read(text)?;
        // The schema first: of another one, nothing else means anything.
        match value.get("schema").and_then(|schema| schema.as_str()) {
            Some(SCHEMA) => {}
            other => {
                let found =
                    other.map_or_else(|| "missing".into(), |other| format!("{:?}", other.chars().take(80).collect::<String>()));
                return Err(PinError::Schema { found });
            }
        }
        let pin = Self::new(serde_json::from_str(text)?)?;
        if canonical::write(&value) != pin.canonical() {
            return Err(PinError::Spelling);
        }
        Ok(pin)
    }

    /// The form that is hashed and signed: RFC 8785.
    pub fn canonical(&self) -> String {
        canonical::write(&self.value())
    }

    /// The pin's id: the SHA-256 of its canonical form.
    pub fn id(&self) -> Sha256 {
        Sha256::of(self.canonical().as_bytes())
    }

    /// The form that is written to disk: sorted, indented, with a final newline.
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> serde_json::Value {
        // Everything in it is a string, integer, list or map with string keys, so there is nothing that could fail.
        let mut value = serde_json::to_value(&self.contents).unwrap_or_default();
        value.sort_all_objects();
        value
    }

    /// What it says.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The profile called `id`.
    ///
    /// # Errors
    /// [`PinError::UnknownProfile`] lists those that there are.
    pub fn profile(&self, id: &str) -> Result<&Profile, PinError> {
        self.contents.profiles.iter().find(|profile| profile.id() == id).ok_or_else(|| {
            let known: Vec<&str> = self.contents.profiles.iter().map(Profile::id).collect();
            PinError::UnknownProfile { given: id.to_owned(), known: known.join(", ") }
        })
    }
}

/// A field that may be `null`, but not missing.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

/// The events of one register, in order.
pub fn events_of(events: &[Event], register: Register) -> impl Iterator<Item = &Event> {
    events.iter().filter(move |event| event.register == register)
}
