//! Signed notes (C2SP signed-note v1.0.0): text, a blank line, a line per signature.

use crate::base64;
use crate::key::{KeyId, KeyKind, SigningKey, VerifierKey};

/// Longer notes are refused unread. A checkpoint with a hundred post-quantum cosignatures stays below.
pub const MAX_LENGTH: usize = 1 << 20;

/// More signatures are refused; C2SP asks for at least 16.
const MAX_SIGNATURES: usize = 128;

/// Begins a signature line: em dash, space.
const MARK: &str = "\u{2014} ";

/// A text that is no note, or a note whose signatures don't hold. Its text means nothing then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not of a note's shape.
    #[error("not a signed note: {0}")]
    Shape(&'static str),
    /// A signature that names a known key isn't that key's.
    #[error("the signature that names {0} is not that key's over this text")]
    Wrong(KeyId),
    /// No key that is known signed it.
    #[error("signed by none of the known keys; it names {0}")]
    Unknown(String),
}

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    key: KeyId,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// Which key it says it is by.
    pub fn key(&self) -> &KeyId {
        &self.key
    }
}

/// A note that was read; nothing in it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The key, one of those that the caller knows.
    pub key: &'a VerifierKey,
    /// When a witness says that it signed, in seconds since 1970; `None` for plain signatures.
    pub time: Option<u64>,
}

impl Note {
    /// A note without signatures.
    ///
    /// # Errors
    /// If the text doesn't end in a newline or has another control character.
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        if !text.ends_with('\n') {
            return Err(NoteError::Shape("the text does not end in a newline"));
        }
        if text.len() > MAX_LENGTH || text.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Shape("the text is too long or has a control character"));
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Shape`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_LENGTH {
            return Err(NoteError::Shape("longer than a megabyte"));
        }
        // The last blank line parts them: the text may have blank lines, the signatures none.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Shape("no blank line before the signatures"))?;
        let mut read = Self::new(format!("{text}\n"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape("the last line has no newline"))?;
        for line in lines.split('\n') {
            if read.signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::Shape("more than 128 signatures"));
            }
            read.signatures.push(signature(line).ok_or(NoteError::Shape("a line below the text is no signature"))?);
        }
        Ok(read)
    }

    /// The signed text, with its final newline. Worth nothing before [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a plain signature, or a cosignature made at `time` by a witness's key. An older signature by the same key goes.
    pub fn sign(&mut self, key: &SigningKey, time: u64) {
        let id = key.verifier().id();
        let mut bytes = Vec::new();
        match key.verifier().kind() {
            KeyKind::Plain => bytes.extend_from_slice(&key.sign(self.text.as_bytes())),
            KeyKind::Cosignature => {
                bytes.extend_from_slice(&time.to_be_bytes());
                bytes.extend_from_slice(&key.sign(cosigned(time, &self.text).as_bytes()));
            }
        }
        self.signatures.retain(|signature| signature.key != *id);
        self.signatures.push(NoteSignature { key: id.clone(), bytes });
    }

    /// Which of the `known` keys signed, each once. Signatures by others are passed over, as the specification asks.
    ///
    /// # Errors
    /// If no known key signed, or a signature that names a known key doesn't hold.
    pub fn verify<'a>(&self, known: &'a [VerifierKey]) -> Result<Vec<Verified<'a>>, NoteError> {
        let mut verified: Vec<Verified<'a>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = known.iter().find(|key| *key.id() == signature.key) else { continue };
            let time = self.holds(key, &signature.bytes).ok_or_else(|| NoteError::Wrong(key.id().clone()))?;
            // By the key itself: one key under two names is one signer.
            if !verified.iter().any(|earlier| earlier.key.bytes() == key.bytes()) {
                verified.push(Verified { key, time });
            }
        }
        if verified.is_empty() {
            let named: Vec<String> = self.signatures.iter().map(|signature| signature.key.to_string()).collect();
            return Err(NoteError::Unknown(if named.is_empty() { "nobody".into() } else { named.join(", ") }));
        }
        Ok(verified)
    }

    /// The time of a signature that holds; `None` if it doesn't.
    fn holds(&self, key: &VerifierKey, bytes: &[u8]) -> Option<Option<u64>> {
        match key.kind() {
            KeyKind::Plain => key.verifies(self.text.as_bytes(), bytes).then_some(None),
            KeyKind::Cosignature => {
                let (time, signature) = bytes.split_first_chunk::<8>()?;
                // tlog-cosignature: the time must not exceed 2^63 - 1.
                let time = u64::from_be_bytes(*time);
                let fits = i64::try_from(time).is_ok();
                (fits && key.verifies(cosigned(time, &self.text).as_bytes(), signature)).then_some(Some(time))
            }
        }
    }

    /// The note as it is stored.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.text);
        for signature in &self.signatures {
            let mut bytes = signature.key.hash().to_vec();
            bytes.extend_from_slice(&signature.bytes);
            out.push_str(&format!("{MARK}{} {}\n", signature.key.name(), base64::encode(&bytes)));
        }
        out
    }
}

/// What a witness signs (C2SP tlog-cosignature, Ed25519 signed message).
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, base64) = line.strip_prefix(MARK)?.split_once(' ')?;
    let bytes = base64::decode(base64)?;
    let (hash, bytes) = bytes.split_first_chunk::<4>()?;
    if bytes.is_empty() {
        return None;
    }
    Some(NoteSignature { key: KeyId::new(name.parse().ok()?, *hash), bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // The example of Go's sumdb/note documentation.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const LINE: &str =
        "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn known(keys: &[&str]) -> Vec<VerifierKey> {
        keys.iter().map(|key| key.parse().unwrap()).collect()
    }

    #[test]
    fn known_notes() {
        let mut note = Note::new(TEXT).unwrap();
        note.sign(&SigningKey::parse(SKEY).unwrap(), 0);
        assert_eq!(note.to_text(), format!("{TEXT}\n{LINE}"));
        let keys = known(&[VKEY]);
        let read = Note::parse(&note.to_text()).unwrap();
        assert_eq!(read.verify(&keys).unwrap(), [Verified { key: &keys[0], time: None }]);
        // The example of C2SP signed-note.
        let text = "This is an example message.\n\n\u{2014} example.com/foo \
            Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let keys = known(&["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"]);
        assert_eq!(Note::parse(text).unwrap().verify(&keys).unwrap().len(), 1);
    }

    #[test]
    fn which_keys_count() {
        let note = Note::parse(&format!("{TEXT}\n{LINE}{LINE}")).unwrap();
        assert_eq!(note.verify(&known(&[VKEY])).unwrap().len(), 1, "a key counts once");
        let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        assert!(note.verify(&known(&[stranger])).unwrap_err().to_string().contains("PeterNeumann+c74f20a3"));
        assert!(note.verify(&[]).is_err());
        let altered = Note::parse(&format!("{TEXT}\n{LINE}").replace("answer", "question")).unwrap();
        assert!(matches!(altered.verify(&known(&[VKEY])), Err(NoteError::Wrong(_))));
        // A wrong signature refuses the note although another one holds.
        let other = SigningKey::from_seed("other".parse().unwrap(), KeyKind::Plain, &[7; 32]);
        let mut note = Note::parse(&format!("{TEXT}\n{LINE}")).unwrap();
        note.sign(&other, 0);
        note.signatures[0].bytes[0] ^= 1;
        assert!(note.verify(&[VKEY.parse().unwrap(), other.verifier().clone()]).is_err());
    }

    #[test]
    fn cosignatures_bind_their_time() {
        let witness = SigningKey::from_seed("witness.example/w1".parse().unwrap(), KeyKind::Cosignature, &[9; 32]);
        let keys = [witness.verifier().clone()];
        let mut note = Note::new(TEXT).unwrap();
        note.sign(&witness, 1_679_315_147);
        let read = Note::parse(&note.to_text()).unwrap();
        assert_eq!(read.verify(&keys).unwrap()[0].time, Some(1_679_315_147));
        for byte in 0..8 {
            let mut other = note.clone();
            other.signatures[0].bytes[byte] ^= 1;
            assert!(other.verify(&keys).is_err(), "byte {byte} of the time");
        }
        // The same secret as a plain key is another key, and its signature no cosignature.
        let plain = SigningKey::from_seed("witness.example/w1".parse().unwrap(), KeyKind::Plain, &[9; 32]);
        let mut note = Note::new(TEXT).unwrap();
        note.sign(&plain, 0);
        assert!(note.verify(&keys).is_err());
    }

    #[test]
    fn other_texts_are_no_notes() {
        let whole = format!("{TEXT}\n{LINE}");
        for bad in [
            "",
            "\n",
            TEXT,
            LINE,
            &whole[..whole.len() - 1],
            &format!("{TEXT}\n"),
            &format!("{whole}\n"),
            &format!("{whole}trailing\n"),
            &whole.replace(MARK, "- "),
            &whole.replace("\u{2014} ", "\u{2014}"),
            &whole.replace("x08go", "x08g!"),
            &whole.replace("AM=\n", "AN=\n"),
            &whole.replace("AM=\n", "AM\n"),
            &whole.replace("crypto", "crypt\to"),
            &whole.replace("crypto", "crypt\ro"),
            &format!("{TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
            &format!("{TEXT}\n{}", LINE.repeat(129)),
        ] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Note::parse(&format!("{TEXT}\n{}", LINE.repeat(128))).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(note in "([a-z\u{2014} \n]{0,40}\n\n)(\u{2014} [a-c]{1,3} [A-Za-z0-9+/]{8}\n){0,3}") {
            if let Ok(read) = Note::parse(&note) {
                prop_assert_eq!(read.to_text(), note);
            }
        }
    }
}
