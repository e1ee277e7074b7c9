//! The bill of materials: CycloneDX 1.6 in JSON.
//!
//! What it must prove: that it lists what is in the image, and nothing else. How it could fool: by listing what the lock has.
//! So the list of files comes from the initramfs as it is, the crates of each program from the program, and whatever nobody
//! accounts for is an error.

mod components;
mod graph;

use std::collections::BTreeMap;

use sealstone_spec::{Lock, Sha256};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::BomError;
use components::Components;

/// The document's name in the output folder.
pub const FILE: &str = "sbom.cdx.json";

/// What `specVersion` says. Source: <https://cyclonedx.org/docs/1.6/json/>.
const SPEC_VERSION: &str = "1.6";

/// What a bill of materials is made from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Name of the image.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The time that the document bears, as `2026-07-11T10:16:37Z`.
    pub timestamp: &'a str,
    /// Version of the program that writes it.
    pub tool_version: &'a str,
    /// Names packages, sources and crates with their digests.
    pub lock: &'a Lock,
    /// The initramfs.
    pub initrd: &'a [u8],
    /// The digest of these bytes.
    pub initrd_sha256: Sha256,
    /// Files of the initramfs that the build wrote itself, each with what from. Programs account for themselves.
    pub written: BTreeMap<&'a str, &'a str>,
    /// Everything else that a machine runs.
    pub artefacts: Vec<Artefact<'a>>,
    /// What the linker took from packages: a program's path in the initramfs or an artefact's name → package names.
    pub linked: BTreeMap<String, Vec<&'a str>>,
}

/// A file that a machine runs, or that holds such files.
#[derive(Clone, Debug)]
pub struct Artefact<'a> {
    /// Its name in the output folder, or one of its own if it only stands inside others.
    pub name: &'a str,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// CycloneDX's word for what it is: `operating-system`, `firmware`, `application`, `file`.
    pub kind: &'static str,
    /// The locked source that it was built from.
    pub source: Option<&'a str>,
    /// Patches that the project puts on top of that source, in order: name and text.
    pub patches: Vec<(&'a str, &'a [u8])>,
    /// Names of the artefacts that it holds; `initrd` is one.
    pub holds: Vec<&'a str>,
}

/// The name of the initramfs among the artefacts.
pub const INITRD: &str = "initrd";

/// The document: indented JSON, keys sorted, with a final newline.
///
/// # Errors
/// [`BomError::Unaccounted`] for a file of the initramfs that is neither a program nor written by the build, and for a crate or
/// package that the lock doesn't know; [`BomError::Crates`] for a program without a list of its crates.
pub fn write(inputs: &Inputs<'_>) -> Result<String, BomError> {
    let mut components = Components::new(inputs.lock);
    components.initrd(inputs)?;
    for artefact in &inputs.artefacts {
        components.artefact(artefact, inputs)?;
    }
    components.top(inputs.artefacts.iter().map(|artefact| artefact.name));
    let (list, dependencies) = components.finish();
    let mut document = json!({
        "$schema": format!("http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json"),
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "timestamp": inputs.timestamp,
            "tools": {"components": [{"type": "application", "name": "sealstone", "version": inputs.tool_version}]},
            "component": {
                "bom-ref": graph::IMAGE,
                "type": "operating-system",
                "name": inputs.name,
                "version": inputs.version,
            },
        },
        "components": list,
        "dependencies": dependencies,
        // Nothing is left out: whatever isn't accounted for is an error above.
        "compositions": [{"aggregate": "complete", "assemblies": [graph::IMAGE]}],
    });
    document.sort_all_objects();
    if let Some(map) = document.as_object_mut() {
        map.insert("serialNumber".into(), Value::String(serial(map)));
    }
    document.sort_all_objects();
    Ok(format!("{document:#}\n"))
}

/// Derived from everything else in the document, so that equal documents have equal serial numbers and others don't.
fn serial(document: &serde_json::Map<String, Value>) -> String {
    let digest = Sha256::of(Value::Object(document.clone()).to_string().as_bytes());
    format!("urn:uuid:{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, digest.as_bytes()))
}
