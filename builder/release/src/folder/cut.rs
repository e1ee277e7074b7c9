//! Making a release's folder.

use super::{DOCUMENTS, Files, MANIFEST, PIN, PROOF, REBUILDS, STATEMENT, digests, is_stated};
use crate::canonical;
use crate::dsse::Envelope;
use crate::hex::Sha256;
use crate::key::SigningKey;
use crate::pin::{Contents, Pin, Validity};
use crate::statement::manifest::Manifest;
use crate::statement::rebuild::Rebuild;
use crate::statement::release::Release;
use crate::statement::{Digests, StatementError};
use crate::tlog::merkle::{Hash, leaf};
use crate::tlog::proof::Proof;

/// What a release is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The pin that the build made.
    pub pin: Pin,
    /// When the release may be used.
    pub validity: Validity,
    /// Id of the pin that it takes the place of.
    pub supersedes: Option<Sha256>,
    /// What [`artefacts`] gives.
    pub artefacts: Digests,
    /// The [`DOCUMENTS`].
    pub documents: Files,
}

/// The artefacts among the files of a build's output folder: all but pin and [`DOCUMENTS`]. Model packs aren't among them: the
/// pin names their roots, and a verity root is a digest of all their bytes.
pub fn artefacts(output: &Files) -> Digests {
    digests(output.iter().filter(|(name, _)| *name != PIN && !DOCUMENTS.contains(&name.as_str()) && !name.starts_with("packs/")))
}

/// The folder with its signed statement, but without log proof and manifest, and the statement itself.
///
/// # Errors
/// If the parts don't belong together.
pub fn cut(parts: Parts, key: &SigningKey) -> Result<(Files, Release), StatementError> {
    let contents = Contents { validity: Some(parts.validity), supersedes: parts.supersedes, ..parts.pin.contents().clone() };
    let pin = Pin::new(contents)?;
    let mut files = Files::new();
    files.insert(PIN.to_owned(), pin.to_text().into_bytes());
    files.extend(parts.documents);
    if let Some(missing) = DOCUMENTS.iter().find(|name| !files.contains_key(**name)) {
        return Err(StatementError::Contradiction(format!("{missing} is missing; `sealstone build` writes it")));
    }
    let release = Release::new(pin, parts.artefacts, digests(files.iter()))?;
    files.insert(STATEMENT.to_owned(), release.sign(key).to_text().into_bytes());
    Ok((files, release))
}

/// What a log lists of a release: enough for whoever watches the log to see that something was published under a name, and
/// to find it; bound to the exact bytes of the statement's envelope. Well below the 65,535 bytes of an entry.
pub fn log_entry(release: &Release, envelope: &[u8]) -> Vec<u8> {
    let image = &release.pin().contents().image;
    canonical::write(&serde_json::json!({
        "envelope_sha256": Sha256::of(envelope), "image": image.name, "pin": release.pin().id(),
        "schema": "sealstone/log-entry/v1", "version": image.version,
    }))
    .into_bytes()
}

/// The hash of that entry.
pub fn log_leaf(release: &Release, envelope: &[u8]) -> Hash {
    leaf(&log_entry(release, envelope))
}

/// Puts a log's proof into the folder.
pub fn put_proof(files: &mut Files, proof: &Proof) {
    files.insert(PROOF.to_owned(), proof.to_text().into_bytes());
}

/// Puts a rebuild statement into the folder; returns its path. The name is a digest, so that statements never collide.
///
/// # Errors
/// If it is no rebuild statement about this release.
pub fn put_rebuild(files: &mut Files, release: &Release, envelope: &Envelope) -> Result<String, StatementError> {
    Rebuild::unverified(envelope)?.is_of(release)?;
    let text = envelope.to_text().into_bytes();
    let digest = Sha256::of(&text).to_string();
    let path = format!("{REBUILDS}{}.json", digest.get(..16).unwrap_or(&digest));
    files.insert(path.clone(), text);
    Ok(path)
}

/// Writes the manifest over everything that is in the folder now.
pub fn seal(files: &mut Files, release: &Release, key: &SigningKey) {
    files.remove(MANIFEST);
    let manifest = Manifest::new(release.pin().id(), digests(files.iter()));
    files.insert(MANIFEST.to_owned(), manifest.sign(key).to_text().into_bytes());
}

/// Whether the files that the publisher's statement lists are those of the folder; a sentence says where not.
pub(super) fn stated_differs(files: &Files, release: &Release) -> Option<String> {
    let found = digests(files.iter().filter(|(path, _)| is_stated(path)));
    differs(release.files(), &found)
}

/// The first path whose digests aren't equal.
pub(super) fn differs(listed: &Digests, found: &Digests) -> Option<String> {
    let path = listed.keys().chain(found.keys()).filter(|path| listed.get(*path) != found.get(*path)).min()?;
    Some(match (listed.get(path), found.get(path)) {
        (Some(_), Some(_)) => format!("{path} is not the file that was signed"),
        (Some(_), None) => format!("{path} is missing"),
        (None, _) => format!("{path} was added"),
    })
}
