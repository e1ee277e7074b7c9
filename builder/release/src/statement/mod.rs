//! In-toto statements (attestation framework, Statement v1): what somebody says of files, by digest.
//!
//! | module | somebody says |
//! | --- | --- |
//! | [`release`] | a publisher: these artefacts are this pin's, and these files stand beside it |
//! | [`rebuild`] | anybody: I built it again, and it came out the same |
//! | [`manifest`] | a publisher: these are the files of the release's folder, and no others |
//! | [`notice`] | a publisher: that pin is superseded or revoked, that key gave way to another |
//!
//! Each is a type that exists only if it says what its kind must say. A payload has one byte form, canonical JSON, so a digest
//! of it is a digest of what it says.

pub mod manifest;
pub mod notice;
pub mod rebuild;
pub mod release;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical;
use crate::dsse::{Envelope, EnvelopeError};
use crate::hex::Sha256;
use crate::key::{SigningKey, VerifierKey};
use crate::pin::PinError;

/// What `_type` says (in-toto attestation framework, Statement v1).
pub const TYPE: &str = "https://in-toto.io/Statement/v1";

/// More subjects are refused.
const MAX_SUBJECTS: usize = 4096;

/// A payload that isn't the statement that was asked for, or that nobody who counts signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not a statement in its one form.
    #[error("not an in-toto statement: {0}")]
    Shape(String),
    /// A statement of another kind.
    #[error("the statement is a {found}, not a {wanted}")]
    Kind {
        /// Its predicate type.
        found: String,
        /// The one that was asked for.
        wanted: &'static str,
    },
    /// The pin inside.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It contradicts itself.
    #[error("the statement contradicts itself: {0}")]
    Contradiction(String),
}

/// Digests by name.
pub type Digests = BTreeMap<String, Sha256>;

/// Subjects and predicate, before their meaning.
#[derive(Clone, Debug, PartialEq)]
struct Statement {
    kind: String,
    subjects: Digests,
    predicate: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "_type")]
    of: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    kind: String,
    predicate: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    digest: Digest,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    sha256: Sha256,
}

impl Statement {
    fn new(kind: &'static str, subjects: &Digests, predicate: Value) -> Self {
        Self { kind: kind.to_owned(), subjects: subjects.clone(), predicate }
    }

    /// Reads a payload. Subjects are sorted by name, each with a SHA-256 and nothing else.
    fn parse(payload: &[u8], wanted: &'static str) -> Result<Self, StatementError> {
        let shape = |problem: &str| StatementError::Shape(problem.to_owned());
        let text = std::str::from_utf8(payload).map_err(|_| shape("not UTF-8"))?;
        let value = canonical::read(text).map_err(|e| StatementError::Shape(e.to_string()))?;
        if canonical::write(&value) != text {
            return Err(shape("not in canonical form"));
        }
        let document: Document = serde_json::from_value(value).map_err(|e| StatementError::Shape(e.to_string()))?;
        if document.of != TYPE {
            return Err(shape("its _type is not in-toto's Statement v1"));
        }
        if document.kind != wanted {
            let found = document.kind.chars().take(80).collect();
            return Err(StatementError::Kind { found, wanted });
        }
        if document.subject.len() > MAX_SUBJECTS || !document.subject.is_sorted_by(|a, b| a.name < b.name) {
            return Err(shape("subjects must be sorted by name, each once, at most 4096"));
        }
        let subjects = document.subject.into_iter().map(|subject| (subject.name, subject.digest.sha256)).collect();
        Ok(Self { kind: document.kind, subjects, predicate: document.predicate })
    }

    fn sign(&self, keys: &[&SigningKey]) -> Envelope {
        Envelope::sign(self.to_payload(), keys)
    }

    fn to_payload(&self) -> Vec<u8> {
        let subject = |(name, sha256): (&String, &Sha256)| serde_json::json!({"name": name, "digest": {"sha256": sha256}});
        let subjects: Vec<Value> = self.subjects.iter().map(subject).collect();
        canonical::write(&serde_json::json!({
            "_type": TYPE, "predicate": self.predicate, "predicateType": self.kind, "subject": subjects,
        }))
        .into_bytes()
    }

    /// The statement in an envelope, if one of `known` signed it, and who did.
    fn verify<'a>(
        envelope: &Envelope,
        known: &'a [VerifierKey],
        wanted: &'static str,
    ) -> Result<(Self, Vec<&'a VerifierKey>), StatementError> {
        let (payload, by) = envelope.verify(known)?;
        Ok((Self::parse(payload, wanted)?, by))
    }

    /// The predicate as a type of ours.
    fn predicate<T: for<'de> Deserialize<'de>>(&self) -> Result<T, StatementError> {
        serde_json::from_value(self.predicate.clone()).map_err(|e| StatementError::Shape(format!("its predicate: {e}")))
    }
}

/// A predicate of ours as JSON. Its fields are texts, numbers, lists and maps of them, so nothing in it can fail.
fn to_value(predicate: &impl Serialize) -> Value {
    serde_json::to_value(predicate).unwrap_or_default()
}

/// Whether a name is a path below a folder that is the same on every system: parts of ordinary characters, no `.` or `..`.
pub(crate) fn is_path(name: &str) -> bool {
    let part = |part: &str| {
        let ordinary = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(ordinary)
    };
    name.len() <= 512 && name.split('/').all(part)
}

fn paths_only(digests: &Digests) -> Result<(), StatementError> {
    match digests.keys().find(|name| !is_path(name)) {
        None => Ok(()),
        Some(bad) => {
            Err(StatementError::Shape(format!("{:?} is no path below a folder", bad.chars().take(80).collect::<String>())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "sealstone:test/v1";

    #[test]
    fn one_form() {
        let subjects: Digests = [("b".to_owned(), Sha256::of(b"b")), ("a".to_owned(), Sha256::of(b"a"))].into();
        let statement = Statement::new(KIND, &subjects, serde_json::json!({"z": 1, "a": null}));
        let payload = statement.to_payload();
        let text = String::from_utf8(payload.clone()).unwrap();
        assert!(text.starts_with(r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":null,"z":1},"predicateType":"#));
        assert_eq!(Statement::parse(&payload, KIND).unwrap(), statement);
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let swapped = text.replace(&a.to_string(), "A").replace(&b.to_string(), &a.to_string()).replace('A', &b.to_string());
        for (bad, says) in [
            (text.replace(":1", ": 1"), "canonical"),
            (text.replace("Statement/v1", "Statement/v0.1"), "_type"),
            (text.replace("test/v1", "test/v2"), "test/v2"),
            (text.replace("\"name\":\"b\"", "\"name\":\"a\""), "sorted"),
            (text.replace("\"name\":\"a\"", "\"name\":\"c\""), "sorted"),
            (text.replace("sha256", "sha512"), "sha512"),
            (text.replace("\"name\":\"a\"", "\"name\":\"a\",\"uri\":\"x\""), "uri"),
            (text.replace("{\"_type\"", "{\"_more\":1,\"_type\""), "_more"),
        ] {
            let error = Statement::parse(bad.as_bytes(), KIND).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
        assert_ne!(Statement::parse(swapped.as_bytes(), KIND).unwrap(), statement, "digests belong to names");
    }

    #[test]
    fn paths() {
        for good in ["a", "firmware/OVMF.amdsev.fd", "source/image/inference.yaml", "a.b", "..."] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a b", "a\\b", "a\0", "ä", "C:a"] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
