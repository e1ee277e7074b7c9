//! Checkpoints (C2SP tlog-checkpoint): a signed note that says how large a log is and what its root is.

use super::TlogError;
use super::merkle::{Hash, MAX_SIZE};
use crate::base64;
use crate::key::{KeyKind, SigningKey, VerifierKey};
use crate::note::Note;

/// A log's state at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; the name of its key, too.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`TlogError::Shape`]. Extension lines are refused: witnesses don't vouch for them, and no log that is read here needs any.
    pub fn parse(text: &str) -> Result<Self, TlogError> {
        let bad = |problem: &str| TlogError::shape("checkpoint", problem);
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(bad("there must be three lines: origin, size, root"));
        };
        if origin.is_empty() {
            return Err(bad("the origin is empty"));
        }
        let size = decimal(size).filter(|size| *size <= MAX_SIZE).ok_or_else(|| bad("the size is no number"))?;
        let root = hash(root).ok_or_else(|| bad("the root is not 32 bytes in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The text of the note.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64::encode(self.root.as_bytes()))
    }

    /// A note with the log's signature.
    ///
    /// # Errors
    /// If the key is of another name than the log, or a witness's.
    pub fn sign(&self, key: &SigningKey) -> Result<Note, TlogError> {
        let name = key.verifier().name().as_str();
        if name != self.origin || key.verifier().kind() != KeyKind::Plain {
            return Err(TlogError::Origin { origin: self.origin.clone(), key: name.to_owned() });
        }
        let mut note = Note::new(self.to_text())?;
        note.sign(key, 0);
        Ok(note)
    }

    /// What a note says, if one of `logs` signed it: the log whose name it bears.
    ///
    /// # Errors
    /// If none did, or the name is another's.
    pub fn verify<'a>(note: &Note, logs: &'a [VerifierKey]) -> Result<(Self, &'a VerifierKey), TlogError> {
        let signed = note.verify(logs)?;
        let checkpoint = Self::parse(note.text())?;
        let own = signed.iter().find(|by| by.key.kind() == KeyKind::Plain && by.key.name().as_str() == checkpoint.origin);
        let Some(own) = own else {
            let names: Vec<&str> = signed.iter().map(|by| by.key.name().as_str()).collect();
            return Err(TlogError::Origin { origin: checkpoint.origin, key: names.join(", ") });
        };
        Ok((checkpoint, own.key))
    }
}

/// A decimal number in its one spelling.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(super) fn hash(text: &str) -> Option<Hash> {
    base64::decode(text)?.try_into().ok().map(Hash::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.to_text(), TEXT);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "\n",
            "a\n1\n",
            &TEXT.replace("20852163", "020852163"),
            &TEXT.replace("20852163", "+20852163"),
            &TEXT.replace("20852163", "-1"),
            &TEXT.replace("20852163", "18446744073709551615"),
            &TEXT.replace("20852163", "99999999999999999999"),
            &TEXT.replace("CsU", "Cs"),
            &TEXT.replace("q2I=", "q2J="),
            &TEXT.replace("example.com/behind-the-sofa", ""),
            &format!("{TEXT}extension\n"),
            &format!("{TEXT}\n"),
        ] {
            assert!(Checkpoint::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_log_itself_signs() {
        let key = |name: &str, kind| SigningKey::from_seed(name.parse().unwrap(), kind, &[3; 32]);
        let log = key("example.com/log", KeyKind::Plain);
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 0, root: super::super::merkle::empty_root() };
        let note = checkpoint.sign(&log).unwrap();
        assert_eq!(Checkpoint::verify(&note, &[log.verifier().clone()]).unwrap().0, checkpoint);
        assert!(checkpoint.sign(&key("example.com/other", KeyKind::Plain)).is_err());
        assert!(checkpoint.sign(&key("example.com/log", KeyKind::Cosignature)).is_err());
        // Another log that the client knows can't speak for this one.
        let other = key("example.com/other", KeyKind::Plain);
        let mut forged = Note::new(checkpoint.to_text()).unwrap();
        forged.sign(&other, 0);
        let known = [log.verifier().clone(), other.verifier().clone()];
        assert!(matches!(Checkpoint::verify(&forged, &known), Err(TlogError::Origin { .. })));
    }
}
