//! What a publisher says after a release: that a pin or a key is no longer to be used.
//!
//! Times play no part in whom to believe: who holds a stolen key can write any time. A rotation instead names the pins that
//! the old key signed; whatever else it signs counts for nothing from then on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Digests, Statement, StatementError, to_value};
use crate::dsse::Envelope;
use crate::hex::Sha256;
use crate::key::{KeyKind, SigningKey, VerifierKey};

/// The predicate's type.
pub const KIND: &str = "sealstone:notice/v1";

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Notice {
    /// A newer release takes the place of this one.
    Superseded {
        /// Id of the older pin.
        pin: Sha256,
        /// Id of the newer one.
        by: Sha256,
    },
    /// The release must not be used.
    Revoked {
        /// Id of its pin.
        pin: Sha256,
        /// Why, for people.
        reason: String,
    },
    /// A key gives way to another. Signed by both, so that nobody can name a key that he doesn't hold.
    KeyRotated {
        /// The key that signs nothing new from now on.
        old: VerifierKey,
        /// The key that takes its place.
        new: VerifierKey,
        /// Ids of the pins that the old key signed and that stay valid.
        keeps: BTreeSet<Sha256>,
    },
    /// A key whose private half others may have: nothing that it signed counts any longer. Signed by the key itself.
    KeyRevoked {
        /// The key.
        key: VerifierKey,
        /// Why, for people.
        reason: String,
    },
}

impl Notice {
    /// Signs the notice. A rotation takes the old and the new key, anything else one.
    ///
    /// # Errors
    /// [`StatementError::Contradiction`] if the keys are others than the notice needs.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Envelope, StatementError> {
        let envelope = Statement::new(KIND, &Digests::new(), to_value(self)).sign(keys);
        let known: Vec<VerifierKey> = keys.iter().map(|key| key.verifier().clone()).collect();
        Self::verify(&envelope, &known).map(|_| envelope)
    }

    /// The notice in an envelope that one of `known` signed, and which. Of a rotation, only the old key need be known.
    ///
    /// # Errors
    /// [`StatementError`]; a rotation without both signatures, or a key's revocation by another, is a contradiction.
    pub fn verify<'a>(envelope: &Envelope, known: &'a [VerifierKey]) -> Result<(Self, Vec<&'a VerifierKey>), StatementError> {
        let (statement, by) = Statement::verify(envelope, known, KIND)?;
        let notice: Self = statement.predicate()?;
        let contradiction = |problem: &str| Err(StatementError::Contradiction(problem.to_owned()));
        match &notice {
            Self::KeyRotated { old, new, .. } => {
                if old.bytes() == new.bytes() || [old, new].iter().any(|key| key.kind() != KeyKind::Plain) {
                    return contradiction("a rotation leads from one plain key to another");
                }
                if !by.contains(&old) {
                    return contradiction("the key that is rotated did not sign the rotation");
                }
                envelope.verify(std::slice::from_ref(new))?;
            }
            Self::KeyRevoked { key, .. } if !by.contains(&key) => {
                return contradiction("the key that is revoked did not sign the revocation");
            }
            Self::Superseded { pin, by } if pin == by => return contradiction("a pin supersedes itself"),
            Self::KeyRevoked { .. } | Self::Superseded { .. } | Self::Revoked { .. } => {}
        }
        Ok((notice, by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(name.parse().unwrap(), KeyKind::Plain, &[name.len() as u8; 32])
    }

    #[test]
    fn every_kind_round_trips() {
        let (old, new) = (key("old"), key("newer"));
        let id = Sha256::of(b"pin");
        let rotated = |keeps: &[Sha256]| Notice::KeyRotated {
            old: old.verifier().clone(),
            new: new.verifier().clone(),
            keeps: keeps.iter().copied().collect(),
        };
        let table: [(Notice, Vec<&SigningKey>); 4] = [
            (Notice::Superseded { pin: id, by: Sha256::of(b"next") }, vec![&old]),
            (Notice::Revoked { pin: id, reason: "leaks".into() }, vec![&old]),
            (rotated(&[id]), vec![&old, &new]),
            (Notice::KeyRevoked { key: old.verifier().clone(), reason: "stolen".into() }, vec![&old]),
        ];
        let known = [old.verifier().clone()];
        for (notice, keys) in table {
            let envelope = notice.sign(&keys).unwrap();
            let read = Envelope::parse(envelope.to_text().as_bytes()).unwrap();
            assert_eq!(Notice::verify(&read, &known).unwrap(), (notice, vec![old.verifier()]));
            assert!(Notice::verify(&read, &[]).is_err());
        }
        // A rotation needs both keys, and the old one's trust.
        assert!(rotated(&[]).sign(&[&old]).is_err());
        assert!(rotated(&[]).sign(&[&new]).is_err());
        let envelope = rotated(&[]).sign(&[&old, &new]).unwrap();
        assert!(Notice::verify(&envelope, &[new.verifier().clone()]).is_err());
        let other = key("another");
        assert!(Notice::KeyRevoked { key: old.verifier().clone(), reason: String::new() }.sign(&[&other]).is_err());
        assert!(Notice::Superseded { pin: id, by: id }.sign(&[&old]).is_err());
    }
}
