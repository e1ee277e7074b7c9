//! DSSE envelopes: a payload with its type, and signatures over both.
//!
//! Stricter than the specification asks: base64 has one spelling, the file has one byte form (canonical JSON and a newline),
//! and the payload type is always in-toto's. So a file can't be changed without the change being seen.

use serde::{Deserialize, Serialize};

use crate::key::{KeyId, KeyKind, SigningKey, VerifierKey};
use crate::{base64, canonical};

/// The only payload type: in-toto statements (in-toto attestation framework, "Envelope").
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Longer envelopes are refused unread: four thirds of the longest pin and the same again for the files beside it.
pub const MAX_TEXT: usize = 24 << 20;

/// More signatures are refused.
const MAX_SIGNATURES: usize = 16;

/// A text is no envelope, or nobody who counts signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not an envelope.
    #[error("not a DSSE envelope: {0}")]
    Shape(String),
    /// The same could be said in another way, so that changes might go unseen.
    #[error("the envelope is not in its one form: canonical JSON and a newline, payload type {PAYLOAD_TYPE}")]
    Spelling,
    /// A signature that names a known key isn't that key's.
    #[error("the signature that names {0} is not that key's over this payload")]
    Wrong(KeyId),
    /// No known key signed it.
    #[error("signed by none of the known keys; it names {0}")]
    Unknown(String),
}

/// An envelope that was read; its payload is not believed before [`Envelope::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<(KeyId, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// An envelope around `payload`, signed by every one of `keys`.
    pub fn sign(payload: Vec<u8>, keys: &[&SigningKey]) -> Self {
        let message = pae(PAYLOAD_TYPE, &payload);
        let sign = |key: &&SigningKey| (key.verifier().id().clone(), key.sign(&message).to_vec());
        Self { signatures: keys.iter().map(sign).collect(), payload }
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`EnvelopeError::Shape`] or [`EnvelopeError::Spelling`].
    pub fn parse(text: &[u8]) -> Result<Self, EnvelopeError> {
        let shape = |problem: &str| EnvelopeError::Shape(problem.to_owned());
        if text.len() > MAX_TEXT {
            return Err(shape("longer than 24 MiB"));
        }
        let text = std::str::from_utf8(text).map_err(|_| shape("not UTF-8"))?;
        let value = canonical::read(text).map_err(|e| EnvelopeError::Shape(e.to_string()))?;
        let document: Document = serde_json::from_value(value).map_err(|e| EnvelopeError::Shape(e.to_string()))?;
        let bytes_of = |text: &str| base64::decode(text).ok_or_else(|| shape("base64 that is damaged"));
        let mut signatures = Vec::new();
        for Line { keyid, sig } in &document.signatures {
            let key: KeyId = keyid.parse().map_err(|_| shape("a keyid that is not NAME+HASH"))?;
            if signatures.iter().any(|(earlier, _)| *earlier == key) {
                return Err(shape("two signatures that name one key"));
            }
            signatures.push((key, bytes_of(sig)?));
        }
        if !(1..=MAX_SIGNATURES).contains(&signatures.len()) {
            return Err(shape("there must be 1 to 16 signatures"));
        }
        let envelope = Self { payload: bytes_of(&document.payload)?, signatures };
        if envelope.to_text() != text {
            return Err(EnvelopeError::Spelling);
        }
        Ok(envelope)
    }

    /// The envelope as it is stored.
    pub fn to_text(&self) -> String {
        let line = |(key, sig): &(KeyId, Vec<u8>)| serde_json::json!({"keyid": key.to_string(), "sig": base64::encode(sig)});
        let signatures: Vec<_> = self.signatures.iter().map(line).collect();
        let payload = base64::encode(&self.payload);
        canonical::write(&serde_json::json!({"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": signatures})) + "\n"
    }

    /// The payload, if `known` keys signed it, and which did, each once. Signatures by other keys are passed over.
    ///
    /// # Errors
    /// If none signed, or a signature that names a known key doesn't hold.
    pub fn verify<'a>(&self, known: &'a [VerifierKey]) -> Result<(&[u8], Vec<&'a VerifierKey>), EnvelopeError> {
        let message = pae(PAYLOAD_TYPE, &self.payload);
        let mut verified: Vec<&'a VerifierKey> = Vec::new();
        for (id, signature) in &self.signatures {
            let Some(key) = known.iter().find(|key| key.kind() == KeyKind::Plain && key.id() == id) else { continue };
            if !key.verifies(&message, signature) {
                return Err(EnvelopeError::Wrong(id.clone()));
            }
            if !verified.iter().any(|earlier| earlier.bytes() == key.bytes()) {
                verified.push(key);
            }
        }
        if verified.is_empty() {
            let named: Vec<String> = self.key_ids().map(KeyId::to_string).collect();
            return Err(EnvelopeError::Unknown(named.join(", ")));
        }
        Ok((&self.payload, verified))
    }

    /// Which keys it says it is signed by.
    pub fn key_ids(&self) -> impl ExactSizeIterator<Item = &KeyId> {
        self.signatures.iter().map(|(key, _)| key)
    }

    /// The payload as it stands, believed by nobody; for showing what an envelope is about.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The pre-authentication encoding, which is what is signed (DSSE v1.0.2, protocol).
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(name.parse().unwrap(), KeyKind::Plain, &[name.len() as u8; 32])
    }

    #[test]
    fn what_is_signed() {
        // The example of the DSSE specification.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        assert_eq!(pae("\u{e9}", b""), "DSSEv1 2 \u{e9} 0 ".as_bytes(), "lengths are in bytes");
    }

    #[test]
    fn round_trip_and_who_signed() {
        let (a, ab, stranger) = (key("a"), key("ab"), key("abc"));
        let envelope = Envelope::sign(b"{}".to_vec(), &[&a, &ab]);
        let read = Envelope::parse(envelope.to_text().as_bytes()).unwrap();
        assert_eq!(read, envelope);
        let known = [a.verifier().clone(), stranger.verifier().clone()];
        assert_eq!(read.verify(&known), Ok((b"{}".as_slice(), vec![a.verifier()])));
        assert!(matches!(read.verify(&known[1..]), Err(EnvelopeError::Unknown(_))));
        assert!(read.verify(&[]).is_err());
        // The same key under another name is one signer.
        let alias = SigningKey::from_seed("b".parse().unwrap(), KeyKind::Plain, &[1; 32]);
        let twice = Envelope::sign(b"{}".to_vec(), &[&a, &alias]);
        assert_eq!(twice.verify(&[a.verifier().clone(), alias.verifier().clone()]).unwrap().1.len(), 1);
        // A witness's key signs checkpoints, not statements.
        let witness = SigningKey::from_seed("w".parse().unwrap(), KeyKind::Cosignature, &[5; 32]);
        let envelope = Envelope::sign(b"{}".to_vec(), &[&witness]);
        assert!(envelope.verify(&[witness.verifier().clone()]).is_err());
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let key = key("a");
        let text = Envelope::sign(b"{\"a\":1}".to_vec(), &[&key]).to_text().into_bytes();
        let known = [key.verifier().clone()];
        for at in 0..text.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut other = text.clone();
                other[at] ^= flip;
                let accepted = Envelope::parse(&other).is_ok_and(|envelope| envelope.verify(&known).is_ok());
                assert!(!accepted, "byte {at} changed by {flip:#x}");
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = Envelope::sign(b"{}".to_vec(), &[&key("a")]).to_text();
        for bad in [
            text.trim_end().to_owned(),
            format!(" {text}"),
            format!("{text}\n"),
            text.replace("\":\"", "\": \""),
            text.replace("in-toto", "in\\u002dtoto"),
            text.replace("in-toto", "other"),
            text.replace("e30=", "e31="),
            text.replace("e30=", "e30"),
            text.replace('{', "{\"more\":1,"),
            text.replace("\"sig\"", "\"cert\":\"\",\"sig\""),
            "{\"payload\":\"\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[]}\n".into(),
            "[]\n".into(),
            String::new(),
        ] {
            assert!(Envelope::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
