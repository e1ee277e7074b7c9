//! A release as a folder of files, `measurements/vX.Y.Z/`: how it is made, and how it is judged.
//!
//! | module | does |
//! | --- | --- |
//! | [`cut`] | build outputs and keys → files |
//! | [`trust`] | keys of a policy and notices → whom to believe about which pin |
//! | [`judge`] | files × notices × policy → checks `release.*` |
//!
//! What it must prove: every byte of the folder is one that the publisher signed. How it could fool: a file that no check
//! looks at. Hence the manifest lists every file, and a file more or less refuses.

pub mod cut;
pub mod judge;
pub mod trust;

use std::collections::BTreeMap;

use crate::hex::Sha256;
use crate::statement::Digests;

/// Files by path; parts of paths have a slash between.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The pin, as a client keeps it.
pub const PIN: &str = "pin.json";
/// The publisher's statement in its envelope.
pub const STATEMENT: &str = "pin.sigs";
/// The log's proof of the statement.
pub const PROOF: &str = "tlog-proof";
/// The list of every file, in its envelope.
pub const MANIFEST: &str = "manifest.json";
/// The bill of materials.
pub const SBOM: &str = "sbom.cdx.json";
/// How it was built.
pub const PROVENANCE: &str = "provenance.json";
/// Below this stand rebuild statements.
pub const REBUILDS: &str = "rebuilds/";
/// Everything of the source tree that a rebuild reads: spec, lock, what the spec names, the programs of the image. A copy and
/// not digests alone, so that a rebuild needs this folder and the lock's inputs, and nothing that may have moved since.
pub const SOURCE: &str = "source.tar";

/// What a build writes about its artefacts; the other files of its output folder are the artefacts.
pub const DOCUMENTS: [&str; 3] = [PROVENANCE, SBOM, SOURCE];

/// Whether the publisher's statement lists the file; what is made from it or after it can't be in it.
fn is_stated(path: &str) -> bool {
    ![STATEMENT, PROOF, MANIFEST].contains(&path) && !path.starts_with(REBUILDS)
}

fn digests<'a>(files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> Digests {
    files.map(|(path, bytes)| (path.clone(), Sha256::of(bytes))).collect()
}
