//! The steps of a build, what each takes and makes; and the first one that gave other bytes for equal inputs.

use std::collections::BTreeMap;

use sealstone_bom::provenance::{Provenance, Resource};
use serde::Serialize;

use crate::places::{Place, places};
use crate::side::Side;

/// Files of the output folder that other files are made of: which, of what. In the order in which they are made.
///
/// Outputs of actions are named `<action>/<output>`.
pub(crate) const ASSEMBLED: &[(&str, &[&str])] = &[
    ("vmlinuz", &["kernel/bzImage"]),
    ("kernel.config", &["kernel/config"]),
    ("firmware/OVMF.amdsev.fd", &["firmware-amdsev/OVMF.amdsev.fd"]),
    ("firmware/OVMF.inteltdx.fd", &["firmware-inteltdx/OVMF.inteltdx.fd"]),
    ("initrd", &["userland/init", "userland/daemon", "userland/engine", "config.json"]),
    ("uki.efi", &["vmlinuz", "initrd", "cmdline", "uki-stub/linuxx64.efi.stub"]),
    ("disk.raw", &["uki.efi"]),
];

/// Documents about an image: not part of it, and they differ whenever anything does.
pub(crate) const DOCUMENTS: &[&str] = &["pin.json", "sbom.cdx.json", "provenance.json", "source.tar", "SHA256SUMS"];

/// A step whose inputs were equal and whose output was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The action, or `assembly`, or `measurement`.
    pub stage: String,
    /// What it made.
    pub output: String,
    /// Where the output differs, if both are at hand.
    pub places: Vec<Place>,
}

/// The steps whose inputs were equal and whose output was not, in the order of the build. The first one is the cause of
/// differences further on, unless these have causes of their own.
pub fn origins(a: &Side, b: &Side) -> Vec<Origin> {
    let mut all = Vec::new();
    if let (Some(x), Some(y)) = (&a.provenance, &b.provenance) {
        all.extend(actions(x, y).into_iter().map(|(stage, output)| {
            let found = file_of(&stage, &output).map(|file| places_of(a, b, file)).unwrap_or_default();
            Origin { stage, output, places: found }
        }));
    }
    // Time stamps and names come from the spec: with another spec, an image may differ although its parts don't.
    let same_spec = !crate::inputs::spec_differs(a, b);
    for (file, parts) in ASSEMBLED.iter().filter(|(file, _)| differs(a, b, file)) {
        if same_spec && parts.iter().all(|part| equal_part(a, b, part)) {
            all.push(Origin { stage: "assembly".into(), output: (*file).to_owned(), places: places_of(a, b, file) });
        }
    }
    for file in a.digests.keys().filter(|name| name.starts_with("packs/") && differs(a, b, name)) {
        let found = places_of(a, b, file);
        // The files of the model are the same; only the hash tree over them isn't.
        if !found.is_empty() && found.iter().all(|place| place.place.starts_with("verity ")) {
            all.push(Origin { stage: "packs".into(), output: file.clone(), places: found });
        }
    }
    all
}

/// Actions with equal keys, and the outputs in which they differ.
fn actions(a: &Provenance, b: &Provenance) -> Vec<(String, String)> {
    let theirs: BTreeMap<&str, &Resource> = b.byproducts().iter().map(|made| (made.name.as_str(), made)).collect();
    let differing = a.byproducts().iter().filter(|made| {
        let other = theirs.get(made.name.as_str());
        other.is_some_and(|other| other.annotations.key == made.annotations.key && other.digest != made.digest)
    });
    differing.filter_map(|made| made.name.split_once('/')).map(|(stage, output)| (stage.to_owned(), output.to_owned())).collect()
}

/// The file of the output folder in which an action's output stands.
fn file_of(stage: &str, output: &str) -> Option<&'static str> {
    let made = format!("{stage}/{output}");
    ASSEMBLED.iter().find(|(_, parts)| parts.contains(&made.as_str())).map(|(file, _)| *file)
}

pub(crate) fn places_of(a: &Side, b: &Side, file: &str) -> Vec<Place> {
    match (a.files.get(file), b.files.get(file)) {
        (Some(x), Some(y)) => places(x, y, [a.symbols.as_ref(), b.symbols.as_ref()]),
        _ => Vec::new(),
    }
}

/// Whether both sides know a file and it isn't the same; or only one of two sides that list their files has it.
pub(crate) fn differs(a: &Side, b: &Side, file: &str) -> bool {
    match (a.digests.get(file), b.digests.get(file)) {
        (Some(x), Some(y)) => x != y,
        (None, None) => false,
        _ => a.provenance.is_some() && b.provenance.is_some(),
    }
}

/// Whether a part is known to be the same on both sides. A part that neither has is.
fn equal_part(a: &Side, b: &Side, part: &str) -> bool {
    let of = |side: &Side| {
        let made = side.provenance.as_ref().and_then(|p| p.byproducts().iter().find(|made| made.name == part));
        made.map(|made| *made.digest.sha256.as_bytes()).or_else(|| side.digests.get(part).map(|d| *d.as_bytes()))
    };
    match (of(a), of(b)) {
        (Some(x), Some(y)) => x == y,
        (None, None) => a.provenance.is_some() && b.provenance.is_some(),
        _ => false,
    }
}
