//! Proofs that need nothing but keys (C2SP tlog-proof): checkpoint, index and hashes in one text.

use super::TlogError;
use super::checkpoint::{Checkpoint, decimal, hash};
use super::merkle::{Hash, verify_inclusion};
use crate::base64;
use crate::key::{KeyKind, VerifierKey};
use crate::note::Note;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A tree of 2^62 entries has no longer way to its root.
const MAX_HASHES: usize = 63;

/// A proof that was read; it proves nothing before [`Proof::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The entry's place in the log.
    pub index: u64,
    /// The hashes from the entry's neighbour to the root's child.
    pub path: Vec<Hash>,
    /// The log's signed checkpoint, with cosignatures.
    pub checkpoint: Note,
}

/// Whose cosignatures are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Witnesses<'a> {
    /// The witnesses that are believed.
    pub keys: &'a [VerifierKey],
    /// How many of them must have cosigned.
    pub quorum: usize,
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The log.
    pub log: &'a VerifierKey,
    /// Its state that the entry is in.
    pub checkpoint: Checkpoint,
    /// Witnesses that cosigned, each with its time in seconds since 1970.
    pub witnesses: Vec<(&'a VerifierKey, u64)>,
}

impl Proof {
    /// Reads a proof.
    ///
    /// # Errors
    /// [`TlogError::Shape`]. A line `extra` is refused: nothing authenticates it, and no entry of ours needs one.
    pub fn parse(text: &str) -> Result<Self, TlogError> {
        let bad = |problem: &str| TlogError::shape("tlog-proof", problem);
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| bad("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(bad("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let index = lines.next().and_then(|line| decimal(line.strip_prefix("index ")?));
        let index = index.ok_or_else(|| bad("the second line is not `index` and a number"))?;
        let path: Option<Vec<Hash>> = lines.map(hash).collect();
        let path = path.filter(|path| path.len() <= MAX_HASHES).ok_or_else(|| bad("a line is not 32 bytes in base64"))?;
        Ok(Self { index, path, checkpoint: Note::parse(checkpoint)? })
    }

    /// The proof as it is stored.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\nindex {}\n", self.index);
        for hash in &self.path {
            text.push_str(&format!("{}\n", base64::encode(hash.as_bytes())));
        }
        format!("{text}\n{}", self.checkpoint.to_text())
    }

    /// That the entry with this hash is in one of `logs`, and that enough witnesses saw the log so.
    ///
    /// # Errors
    /// [`TlogError`] says which step failed.
    pub fn verify<'a>(&self, leaf: Hash, logs: &'a [VerifierKey], witnesses: Witnesses<'a>) -> Result<Shown<'a>, TlogError> {
        let (checkpoint, log) = Checkpoint::verify(&self.checkpoint, logs)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        let signed = match witnesses.keys {
            [] => Vec::new(),
            keys => match self.checkpoint.verify(keys) {
                Ok(signed) => signed,
                Err(crate::note::NoteError::Unknown(_)) => Vec::new(),
                Err(error) => return Err(error.into()),
            },
        };
        let witness = |by: crate::note::Verified<'a>| {
            // A log that cosigns its own checkpoint witnesses nothing.
            let counts = by.key.kind() == KeyKind::Cosignature && by.key.bytes() != log.bytes();
            by.time.filter(|_| counts).map(|time| (by.key, time))
        };
        let cosigned: Vec<_> = signed.into_iter().filter_map(witness).collect();
        if cosigned.len() < witnesses.quorum {
            return Err(TlogError::Witnesses { found: cosigned.len(), asked: witnesses.quorum });
        }
        Ok(Shown { log, checkpoint, witnesses: cosigned })
    }
}

#[cfg(test)]
mod tests {
    use super::super::merkle::{leaf, node};
    use super::*;
    use crate::key::SigningKey;

    fn key(name: &str, kind: KeyKind) -> SigningKey {
        SigningKey::from_seed(name.parse().unwrap(), kind, &[name.len() as u8; 32])
    }

    struct Set {
        log: SigningKey,
        witnesses: Vec<SigningKey>,
        proof: Proof,
    }

    /// Entry 1 of two.
    fn set() -> Set {
        let log = key("log", KeyKind::Plain);
        let witnesses: Vec<_> = ["witness", "witness2", "witness34"].map(|name| key(name, KeyKind::Cosignature)).into();
        let (first, second) = (leaf(b"first"), leaf(b"second"));
        let checkpoint = Checkpoint { origin: "log".into(), size: 2, root: node(&first, &second) };
        let mut note = checkpoint.sign(&log).unwrap();
        for witness in &witnesses[..2] {
            note.sign(witness, 1_700_000_000);
        }
        Set { log, witnesses, proof: Proof { index: 1, path: vec![first], checkpoint: note } }
    }

    fn judge(set: &Set, proof: &Proof, entry: &[u8], quorum: usize) -> Result<usize, TlogError> {
        let logs = [set.log.verifier().clone()];
        let keys: Vec<_> = set.witnesses.iter().map(|key| key.verifier().clone()).collect();
        Ok(proof.verify(leaf(entry), &logs, Witnesses { keys: &keys, quorum })?.witnesses.len())
    }

    #[test]
    fn what_is_accepted() {
        let set = set();
        let read = Proof::parse(&set.proof.to_text()).unwrap();
        assert_eq!(read, set.proof);
        for quorum in 0..=2 {
            assert_eq!(judge(&set, &read, b"second", quorum), Ok(2));
        }
        assert_eq!(judge(&set, &read, b"second", 3), Err(TlogError::Witnesses { found: 2, asked: 3 }));
        assert_eq!(judge(&set, &read, b"first", 0), Err(TlogError::Inclusion));
        let stranger = [key("other", KeyKind::Plain).verifier().clone()];
        let none = Witnesses { keys: &[], quorum: 0 };
        assert!(read.verify(leaf(b"second"), &stranger, none).is_err());
        assert!(read.verify(leaf(b"second"), &[], none).is_err());
        let logs = [set.log.verifier().clone()];
        assert!(read.verify(leaf(b"second"), &logs, Witnesses { keys: &[], quorum: 1 }).is_err());
    }

    #[test]
    fn a_log_is_no_witness_of_its_own() {
        let mut set = set();
        set.witnesses = vec![SigningKey::from_seed("log".parse().unwrap(), KeyKind::Cosignature, &[3; 32])];
        assert_eq!(set.witnesses[0].verifier().bytes(), set.log.verifier().bytes());
        let mut proof = set.proof.clone();
        proof.checkpoint.sign(&set.witnesses[0], 1);
        assert_eq!(judge(&set, &proof, b"second", 1), Err(TlogError::Witnesses { found: 0, asked: 1 }));
    }

    #[test]
    fn every_changed_byte_of_what_is_known_is_seen() {
        let set = set();
        let text = set.proof.to_text().into_bytes();
        for at in 0..text.len() {
            for flip in [0x01, 0x80] {
                let mut other = text.clone();
                other[at] ^= flip;
                let read = std::str::from_utf8(&other).ok().and_then(|text| Proof::parse(text).ok());
                // Both witnesses are asked for, so that a cosignature that became a stranger's is missed.
                let accepted = read.is_some_and(|proof| judge(&set, &proof, b"second", 2).is_ok());
                assert!(!accepted, "byte {at} changed by {flip:#x}");
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = set().proof.to_text();
        for bad in [
            String::new(),
            text.replace("@v1", "@v2"),
            text.replace("index 1", "index 01"),
            text.replace("index 1", "index -1"),
            text.replace("index 1", "extra AA==\nindex 1"),
            text.replace("index 1\n", ""),
            text.replace("\nlog\n", "log\n"),
            text.replacen('\n', "\r\n", 1),
            text.replacen("index 1\n", &format!("index 1\n{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(63)), 1),
        ] {
            assert!(Proof::parse(&bad).is_err(), "{bad}");
        }
    }
}
