//! Why a pin is refused.

use ovmf_measure::transcript::{Register, TranscriptError};

/// A text or contents that are no pin. Whoever gets one must not go on with an older or partial reading of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Not JSON, or not of a pin's shape: damaged, or written for another version of the schema.
    #[error("not a pin: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Too long to be a pin at all.
    #[error("not a pin: {length} bytes, the most is {}", super::MAX_TEXT)]
    TooLong {
        /// Bytes of the text.
        length: usize,
    },
    /// Another kind of document, or a newer pin than this program knows.
    #[error("not a pin that this version reads: `schema` is {found}, not {:?}", super::SCHEMA)]
    Schema {
        /// What `schema` says, in quotes, or `missing`.
        found: String,
    },
    /// The same could be said in another way, so its digest would be ambiguous.
    #[error("the pin spells something in another way than its canonical form; write it with `sealstone build`, not by hand")]
    Spelling,
    /// A value that can't be.
    #[error("{field}: {problem}")]
    Value {
        /// The field's path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The events of a profile can't be folded.
    #[error("profile {profile}: {source}")]
    Transcript {
        /// The profile.
        profile: String,
        /// What is wrong with the events.
        source: TranscriptError,
    },
    /// A register's values aren't what its events fold to: the pin was altered or made by a faulty program.
    #[error("profile {profile}: launch says {stated} for {register}, its events give {recomputed}")]
    Register {
        /// The profile.
        profile: String,
        /// The register.
        register: Register,
        /// What `launch` says.
        stated: String,
        /// What the events fold to.
        recomputed: String,
    },
    /// A launch digest of an SNP profile isn't what its parts give.
    #[error("profile {profile}: launch.{field} is {stated}, its events give {recomputed}")]
    Launch {
        /// The profile.
        profile: String,
        /// The field below `launch`.
        field: String,
        /// What it says.
        stated: String,
        /// What the events give.
        recomputed: String,
    },
    /// No profile has this name.
    #[error("the pin has no profile {given:?}; it has: {known}")]
    UnknownProfile {
        /// The name asked for.
        given: String,
        /// Those that there are.
        known: String,
    },
}
