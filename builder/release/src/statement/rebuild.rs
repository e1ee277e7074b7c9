//! A rebuilder's statement: from the release's sources, every artefact and register came out the same.
//!
//! There is no statement that they differ: a difference is a report for people, with the place where it begins.

use serde::{Deserialize, Serialize};

use super::release::Release;
use super::{Digests, Statement, StatementError, to_value};
use crate::dsse::Envelope;
use crate::hex::Sha256;
use crate::key::{SigningKey, VerifierKey};
use crate::time::Moment;

/// The predicate's type.
pub const KIND: &str = "sealstone:rebuild/v1";

/// What `build_type` says.
const REPRODUCED: &str = "reproduced";

/// The statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    predicate: Predicate,
    artefacts: Digests,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    at: Moment,
    build_type: String,
    builder: String,
    pin: Sha256,
}

/// Signs that `artefacts`, everything that the rebuild made, are those of `release`. `builder` says with what, such as
/// `sealstone 0.1.0`; `at` when.
///
/// # Errors
/// [`StatementError::Contradiction`] if they aren't: nobody can sign a rebuild that differs.
pub fn rebuild(
    release: &Release,
    artefacts: &Digests,
    builder: &str,
    at: Moment,
    key: &SigningKey,
) -> Result<Envelope, StatementError> {
    equal(release, artefacts)?;
    let predicate = Predicate { at, build_type: REPRODUCED.to_owned(), builder: builder.to_owned(), pin: release.pin().id() };
    Ok(Statement::new(KIND, artefacts, to_value(&predicate)).sign(&[key]))
}

impl Rebuild {
    /// The statement in an envelope that one of `known` signed, and which.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify<'a>(envelope: &Envelope, known: &'a [VerifierKey]) -> Result<(Self, Vec<&'a VerifierKey>), StatementError> {
        let (statement, by) = Statement::verify(envelope, known, KIND)?;
        Ok((Self::read(statement)?, by))
    }

    /// The statement as it stands, believed by nobody; for telling whether it belongs to a release at all.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn unverified(envelope: &Envelope) -> Result<Self, StatementError> {
        Self::read(Statement::parse(envelope.unverified_payload(), KIND)?)
    }

    fn read(statement: Statement) -> Result<Self, StatementError> {
        let predicate: Predicate = statement.predicate()?;
        if predicate.build_type != REPRODUCED {
            return Err(StatementError::Shape(format!("build_type is not {REPRODUCED:?}")));
        }
        Ok(Self { predicate, artefacts: statement.subjects })
    }

    /// Checks that it is about `release`, and about every artefact of it.
    ///
    /// # Errors
    /// [`StatementError::Contradiction`] says what differs.
    pub fn is_of(&self, release: &Release) -> Result<(), StatementError> {
        let id = release.pin().id();
        if self.predicate.pin != id {
            return Err(StatementError::Contradiction(format!("it is of pin {}, this is {id}", self.predicate.pin)));
        }
        equal(release, &self.artefacts)
    }

    /// When it was made, by its maker's clock.
    pub fn at(&self) -> Moment {
        self.predicate.at
    }

    /// With what, in its maker's words.
    pub fn builder(&self) -> &str {
        &self.predicate.builder
    }
}

fn equal(release: &Release, artefacts: &Digests) -> Result<(), StatementError> {
    let released = release.artefacts();
    let names = released.keys().chain(artefacts.keys());
    match names.into_iter().find(|name| released.get(*name) != artefacts.get(*name)) {
        None => Ok(()),
        Some(name) => {
            let show = |digest: Option<&Sha256>| digest.map_or_else(|| "missing".to_owned(), Sha256::to_string);
            let (theirs, ours) = (show(released.get(name)), show(artefacts.get(name)));
            Err(StatementError::Contradiction(format!("{name} is {ours} in the rebuild, {theirs} in the release")))
        }
    }
}
