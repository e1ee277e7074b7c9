//! What can't be read.

use std::fmt;

/// Something that was handed in can't be used. Nothing was judged: this is neither an accept nor a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{document}: {problem}")]
pub struct Error {
    document: Document,
    problem: String,
}

/// Which of the arguments it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Document {
    /// The pin.
    Pin,
    /// The evidence document.
    Evidence,
    /// The policy.
    Policy,
    /// Certificates that were given beside the evidence.
    Certificates,
    /// A revocation list that was given beside the evidence.
    RevocationList,
    /// Collateral that was given beside the evidence.
    Collateral,
    /// A raw SEV-SNP report.
    Report,
    /// A raw TDX quote.
    Quote,
    /// The nonce.
    Nonce,
    /// The time.
    Time,
    /// The name of a profile.
    Profile,
    /// A file of a release.
    Release,
    /// A request in JSON as a whole.
    Request,
}

impl Error {
    pub(crate) fn new(document: Document, problem: impl fmt::Display) -> Self {
        Self { document, problem: problem.to_string() }
    }

    /// What can't be used.
    pub fn document(&self) -> Document {
        self.document
    }

    /// Why, for people.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Exit code of the command line for input that can't be read: 3.
    pub fn exit_code(&self) -> u8 {
        3
    }
}

impl Document {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::Pin,
        Self::Evidence,
        Self::Policy,
        Self::Certificates,
        Self::RevocationList,
        Self::Collateral,
        Self::Report,
        Self::Quote,
        Self::Nonce,
        Self::Time,
        Self::Profile,
        Self::Release,
        Self::Request,
    ];

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Evidence => "evidence",
            Self::Policy => "policy",
            Self::Certificates => "certificates",
            Self::RevocationList => "revocation_list",
            Self::Collateral => "collateral",
            Self::Report => "report",
            Self::Quote => "quote",
            Self::Nonce => "nonce",
            Self::Time => "at",
            Self::Profile => "profile",
            Self::Release => "release",
            Self::Request => "request",
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
