//! A publisher's statement: this pin is released, these are its artefacts, and these files stand beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digests, Statement, StatementError, paths_only, to_value};
use crate::canonical;
use crate::dsse::Envelope;
use crate::hex::Sha256;
use crate::key::{SigningKey, VerifierKey};
use crate::pin::Pin;

/// The predicate's type.
pub const KIND: &str = "sealstone:release/v1";

/// Files of the image that a pin names, with the names that a build gives them.
const OF_PIN: [&str; 4] = ["disk.raw", "initrd", "uki.efi", "vmlinuz"];

/// The statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pin: Pin,
    artefacts: Digests,
    files: Digests,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    files: Digests,
    pin: Value,
}

impl Release {
    /// The statement that `artefacts` are those of `pin`, and that `files` stand in the release's folder; both by name.
    ///
    /// # Errors
    /// If an artefact isn't the one that the pin names.
    pub fn new(pin: Pin, artefacts: Digests, files: Digests) -> Result<Self, StatementError> {
        let image = &pin.contents().image;
        for (name, file) in OF_PIN.into_iter().zip([&image.disk, &image.initrd, &image.uki, &image.kernel]) {
            same(name, artefacts.get(name), &file.sha256)?;
        }
        paths_only(&artefacts)?;
        paths_only(&files)?;
        Ok(Self { pin, artefacts, files })
    }

    /// The pin.
    pub fn pin(&self) -> &Pin {
        &self.pin
    }

    /// Every file that a build makes, by its name in the output folder.
    pub fn artefacts(&self) -> &Digests {
        &self.artefacts
    }

    /// Files of the folder that never change: the pin, bill of materials, provenance, sources.
    pub fn files(&self) -> &Digests {
        &self.files
    }

    /// An envelope with the statement.
    pub fn sign(&self, key: &SigningKey) -> Envelope {
        // A pin's canonical form is JSON: it was written from JSON.
        let pin = canonical::read(&self.pin.canonical()).unwrap_or_default();
        let predicate = Predicate { files: self.files.clone(), pin };
        Statement::new(KIND, &self.artefacts, to_value(&predicate)).sign(&[key])
    }

    /// The statement in an envelope that one of `known` signed, and which.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify<'a>(envelope: &Envelope, known: &'a [VerifierKey]) -> Result<(Self, Vec<&'a VerifierKey>), StatementError> {
        let (statement, by) = Statement::verify(envelope, known, KIND)?;
        Ok((Self::read(statement)?, by))
    }

    /// The statement as it stands, believed by nobody; for entering it into a log, which lists what anybody says.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn unverified(envelope: &Envelope) -> Result<Self, StatementError> {
        Self::read(Statement::parse(envelope.unverified_payload(), KIND)?)
    }

    fn read(statement: Statement) -> Result<Self, StatementError> {
        let Predicate { files, pin } = statement.predicate()?;
        let pin = Pin::parse(&canonical::write(&pin))?;
        Self::new(pin, statement.subjects, files)
    }
}

fn same(name: &str, found: Option<&Sha256>, expected: &Sha256) -> Result<(), StatementError> {
    if found == Some(expected) {
        return Ok(());
    }
    let found = found.map_or_else(|| "is missing".to_owned(), |found| format!("is {found}"));
    Err(StatementError::Contradiction(format!("{name} {found}, the pin says {expected}")))
}
