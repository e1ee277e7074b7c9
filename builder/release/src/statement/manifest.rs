//! A publisher's list of every file of a release's folder.
//!
//! The release's own statement can't list what is made from it (its log proof) or after it (others' rebuild statements). This
//! list is made last and again whenever one of those is added, so that no byte of the folder is outside a signature.

use serde::{Deserialize, Serialize};

use super::{Digests, Statement, StatementError, paths_only, to_value};
use crate::dsse::Envelope;
use crate::hex::Sha256;
use crate::key::{SigningKey, VerifierKey};

/// The predicate's type.
pub const KIND: &str = "sealstone:manifest/v1";

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pin: Sha256,
    files: Digests,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    pin: Sha256,
}

impl Manifest {
    /// The list of `files`, by path, of the release of the pin with this id.
    pub fn new(pin: Sha256, files: Digests) -> Self {
        Self { pin, files }
    }

    /// Id of the pin that the folder is about.
    pub fn pin(&self) -> &Sha256 {
        &self.pin
    }

    /// Every file but the list itself.
    pub fn files(&self) -> &Digests {
        &self.files
    }

    /// An envelope with the list.
    pub fn sign(&self, key: &SigningKey) -> Envelope {
        Statement::new(KIND, &self.files, to_value(&Predicate { pin: self.pin })).sign(&[key])
    }

    /// The list in an envelope that one of `known` signed, and which.
    ///
    /// # Errors
    /// [`StatementError`]; also for an envelope with more than one signature, since a stranger's could change unseen.
    pub fn verify<'a>(envelope: &Envelope, known: &'a [VerifierKey]) -> Result<(Self, Vec<&'a VerifierKey>), StatementError> {
        if envelope.key_ids().len() != 1 {
            return Err(StatementError::Shape("a manifest has one signature".to_owned()));
        }
        let (statement, by) = Statement::verify(envelope, known, KIND)?;
        let Predicate { pin } = statement.predicate()?;
        paths_only(&statement.subjects)?;
        Ok((Self { pin, files: statement.subjects }, by))
    }
}
