//! Whom to believe: the keys that a policy names, as notices of their holders have changed them since.

use std::collections::BTreeSet;

use crate::dsse::{Envelope, EnvelopeError};
use crate::hex::Sha256;
use crate::key::VerifierKey;
use crate::statement::StatementError;
use crate::statement::notice::Notice;

/// Keys and pins after all notices.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: Vec<Trusted>,
    superseded: Vec<(Sha256, Sha256)>,
    revoked: Vec<(Sha256, String)>,
    problems: Vec<String>,
}

#[derive(Clone, Debug)]
struct Trusted {
    key: VerifierKey,
    state: State,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Believed about any pin.
    Live,
    /// Gave way to another: believed about these pins.
    Retired { keeps: BTreeSet<Sha256>, to: VerifierKey },
    /// Believed about nothing.
    Revoked(String),
}

impl Trust {
    /// The keys of a policy, and notices, each an envelope's bytes with the name that errors call it by.
    pub fn new<'n>(keys: &[VerifierKey], notices: impl IntoIterator<Item = (&'n str, &'n [u8])>) -> Self {
        let mut trust = Self::default();
        trust.keys.extend(keys.iter().map(|key| Trusted { key: key.clone(), state: State::Live }));
        let mut pending = Vec::new();
        for (name, bytes) in notices {
            match Envelope::parse(bytes) {
                Ok(envelope) => pending.push((name, envelope)),
                Err(error) => trust.problems.push(format!("{name}: {error}")),
            }
        }
        // A rotation may make the signer of another notice known, so go on until nothing is read any more.
        loop {
            let before = pending.len();
            pending.retain(|(name, envelope)| !trust.take(name, envelope));
            if pending.len() == before {
                break;
            }
        }
        // What is left is signed by nobody who is known here, and means nothing here.
        trust
    }

    /// Whether the notice has been dealt with.
    fn take(&mut self, name: &str, envelope: &Envelope) -> bool {
        let known: Vec<VerifierKey> = self.keys.iter().map(|trusted| trusted.key.clone()).collect();
        match Notice::verify(envelope, &known) {
            Ok((notice, _)) => {
                self.apply(name, notice);
                true
            }
            Err(StatementError::Envelope(EnvelopeError::Unknown(_))) => false,
            Err(error) => {
                self.problems.push(format!("{name}: {error}"));
                true
            }
        }
    }

    /// A notice counts whoever of the publisher's keys signed it, a retired or revoked one, too: it can only take away, but
    /// for rotations, and of those there may be one a key.
    fn apply(&mut self, name: &str, notice: Notice) {
        match notice {
            Notice::Superseded { pin, by } => self.superseded.push((pin, by)),
            Notice::Revoked { pin, reason } => self.revoked.push((pin, reason)),
            Notice::KeyRevoked { key, reason } => {
                for trusted in self.keys.iter_mut().filter(|trusted| trusted.key.bytes() == key.bytes()) {
                    // Whoever else has the key may have named the successor. The order in which notices are read must not
                    // decide, so this is refused the other way round, too.
                    if matches!(trusted.state, State::Retired { .. }) {
                        self.problems.push(format!("{name}: {} is revoked, and named another key", key.id()));
                    }
                    trusted.state = State::Revoked(reason.clone());
                }
            }
            Notice::KeyRotated { old, new, keeps } => self.rotate(name, &old, new, keeps),
        }
    }

    fn rotate(&mut self, name: &str, old: &VerifierKey, new: VerifierKey, keeps: BTreeSet<Sha256>) {
        let Some(trusted) = self.keys.iter_mut().find(|trusted| trusted.key == *old) else { return };
        let next = State::Retired { keeps, to: new.clone() };
        match &trusted.state {
            State::Live => trusted.state = next,
            same if *same == next => return,
            State::Revoked(_) => {
                self.problems.push(format!("{name}: {} is revoked, and named another key", old.id()));
                return;
            }
            State::Retired { .. } => {
                // Two holders: one of them is a thief, and which can't be told.
                self.problems.push(format!("{name}: {} was rotated twice, to different keys or for different pins", old.id()));
                return;
            }
        }
        if !self.keys.iter().any(|trusted| trusted.key.bytes() == new.bytes()) {
            self.keys.push(Trusted { key: new, state: State::Live });
        }
    }

    /// Every key that signatures are checked with; whether its word counts says [`Trust::believes`].
    pub fn keys(&self) -> Vec<VerifierKey> {
        self.keys.iter().map(|trusted| trusted.key.clone()).collect()
    }

    /// Whether `key` is believed about the pin; a sentence says why not.
    ///
    /// # Errors
    /// That sentence.
    pub fn believes(&self, key: &VerifierKey, pin: &Sha256) -> Result<(), String> {
        match self.keys.iter().find(|trusted| trusted.key == *key).map(|trusted| &trusted.state) {
            Some(State::Live) => Ok(()),
            Some(State::Retired { keeps, .. }) if keeps.contains(pin) => Ok(()),
            Some(State::Retired { to, .. }) => Err(format!("{} gave way to {} and did not sign this before", key.id(), to.id())),
            Some(State::Revoked(reason)) => Err(format!("{} is revoked: {reason}", key.id())),
            None => Err(format!("{} is not known", key.id())),
        }
    }

    /// Id of the pin that took the place of this one.
    pub fn superseded(&self, pin: &Sha256) -> Option<&Sha256> {
        self.superseded.iter().find(|(old, _)| old == pin).map(|(_, by)| by)
    }

    /// Why the pin is revoked.
    pub fn revoked(&self, pin: &Sha256) -> Option<&str> {
        self.revoked.iter().find(|(revoked, _)| revoked == pin).map(|(_, reason)| reason.as_str())
    }

    /// Notices that can't be right. Any of them refuses: a damaged notice may have been one against this very release.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyKind, SigningKey};

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(name.parse().unwrap(), KeyKind::Plain, &[name.len() as u8; 32])
    }

    fn rotation(old: &SigningKey, new: &SigningKey, keeps: &[Sha256]) -> Vec<u8> {
        let (from, to) = (old.verifier().clone(), new.verifier().clone());
        let notice = Notice::KeyRotated { old: from, new: to, keeps: keeps.iter().copied().collect() };
        notice.sign(&[old, new]).unwrap().to_text().into_bytes()
    }

    fn trust(keys: &[&SigningKey], notices: &[Vec<u8>]) -> Trust {
        let keys: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
        Trust::new(&keys, notices.iter().map(|bytes| ("notice", bytes.as_slice())))
    }

    #[test]
    fn rotations_chain_in_any_order() {
        let (a, bb, ccc) = (key("a"), key("bb"), key("ccc"));
        let (old, now) = (Sha256::of(b"old"), Sha256::of(b"now"));
        // The later rotation is read first, when its signer isn't known yet.
        let trust = trust(&[&a], &[rotation(&bb, &ccc, &[now]), rotation(&a, &bb, &[old])]);
        assert!(trust.problems().is_empty());
        let believes = |key: &SigningKey, pin| trust.believes(key.verifier(), pin).is_ok();
        assert!(believes(&a, &old) && !believes(&a, &now), "a retired key keeps what it signed");
        assert!(believes(&bb, &now) && !believes(&bb, &old));
        assert!(believes(&ccc, &old) && believes(&ccc, &now));
    }

    #[test]
    fn a_key_rotates_once() {
        let (a, bb, thief) = (key("a"), key("bb"), key("thief"));
        let fine = trust(&[&a], &[rotation(&a, &bb, &[]), rotation(&a, &bb, &[])]);
        assert!(fine.problems().is_empty(), "the same notice twice");
        assert_eq!(trust(&[&a], &[rotation(&a, &bb, &[]), rotation(&a, &thief, &[])]).problems().len(), 1);
        assert_eq!(trust(&[&a], &[rotation(&a, &bb, &[]), rotation(&a, &bb, &[Sha256::of(b"x")])]).problems().len(), 1);
    }

    #[test]
    fn revocations() {
        let (a, bb) = (key("a"), key("bb"));
        let pin = Sha256::of(b"pin");
        let revoked = Notice::KeyRevoked { key: a.verifier().clone(), reason: "stolen".into() };
        let revoked = revoked.sign(&[&a]).unwrap().to_text().into_bytes();
        let after = trust(&[&a, &bb], std::slice::from_ref(&revoked));
        assert!(after.believes(a.verifier(), &pin).unwrap_err().contains("stolen"));
        assert!(after.believes(bb.verifier(), &pin).is_ok());
        // It names no successor, whichever notice is read first.
        let rotated = rotation(&a, &bb, &[]);
        assert_eq!(trust(&[&a], &[revoked.clone(), rotated.clone()]).problems().len(), 1);
        assert_eq!(trust(&[&a], &[rotated, revoked]).problems().len(), 1);
        // A stranger's notices mean nothing; damaged ones refuse.
        let stranger = Notice::Revoked { pin, reason: "because".into() }.sign(&[&bb]).unwrap();
        let unmoved = trust(&[&a], &[stranger.to_text().into_bytes()]);
        assert!(unmoved.revoked(&pin).is_none() && unmoved.problems().is_empty());
        assert_eq!(trust(&[&a], &[b"damaged".to_vec()]).problems().len(), 1);
    }
}
