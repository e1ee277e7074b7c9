//! The steps of a build, what each takes and makes; which of them made something else, and whether for equal inputs.

use std::collections::BTreeMap;

use sealstone_bom::provenance::{Provenance, Resource};
use sealstone_release::pin::Model;
use serde::Serialize;

use crate::inputs::{CMDLINE, CONFIG, Change, spec_differs};
use crate::places::{Place, places};
use crate::side::Side;

/// The step that packs models.
pub(crate) const PACKS: &str = "packs";
/// The step that puts the image together.
const ASSEMBLY: &str = "assembly";
/// The measured configuration's name in the output folder.
pub(crate) const CONFIG_FILE: &str = "config.json";
const DISK: &str = "disk.raw";
/// Outputs of actions that are part of no image.
const AIDS: &[&str] = &["kernel/System.map"];

/// Files of the output folder that other files are made of: which, of what. In the order in which they are made.
///
/// Outputs of actions are named `<action>/<output>`.
pub(crate) const ASSEMBLED: &[(&str, &[&str])] = &[
    ("vmlinuz", &["kernel/bzImage"]),
    ("kernel.config", &["kernel/config"]),
    ("firmware/OVMF.amdsev.fd", &["firmware-amdsev/OVMF.amdsev.fd"]),
    ("firmware/OVMF.inteltdx.fd", &["firmware-inteltdx/OVMF.inteltdx.fd"]),
    ("initrd", &["userland/init", "userland/engine", "config.json"]),
    ("uki.efi", &["vmlinuz", "initrd", "cmdline", "uki-stub/linuxx64.efi.stub"]),
    (DISK, &["uki.efi"]),
];

/// Documents about an image: not part of it, and they differ whenever anything does.
pub(crate) const DOCUMENTS: &[&str] = &["pin.json", "sbom.cdx.json", "provenance.json", "source.tar", "SHA256SUMS"];

/// A step of the build that made something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The action, or `packs`, or `assembly`.
    pub stage: String,
    /// What it made.
    pub output: String,
    /// Its inputs that differ, by name. None: for equal inputs it gave other bytes.
    pub inputs: Vec<String>,
    /// Where the output differs, if both are at hand.
    pub places: Vec<Place>,
}

impl Step {
    /// Whether its inputs were equal, so that it is the cause itself.
    pub fn is_origin(&self) -> bool {
        self.inputs.is_empty()
    }
}

/// What is said where an input must differ and none at hand does.
const UNKNOWN: &str = "something that is not at hand";

/// The steps whose output differs, in the order of the build. `changes` are the inputs that differ. The first step with equal
/// inputs is the cause of differences further on, unless these have causes of their own.
pub(crate) fn steps(a: &Side, b: &Side, changes: &[Change]) -> Vec<Step> {
    let mut all = packs(a, b);
    let packs_differ = !all.is_empty();
    if let (Some(x), Some(y)) = (&a.provenance, &b.provenance) {
        all.extend(actions(a, b, (x, y), changes));
    }
    all.extend(from_spec(a, b, changes, packs_differ));
    // Time stamps and names come from the spec: with another spec, an image may differ although its parts don't.
    for (file, parts) in
        ASSEMBLED.iter().filter(|(file, parts)| parts.len() > 1 || *file == DISK).filter(|(f, _)| differs(a, b, f))
    {
        if parts.iter().all(|part| equal_part(a, b, part)) {
            let inputs = if spec_differs(a, b) { vec!["the spec".to_owned()] } else { Vec::new() };
            all.push(Step { stage: ASSEMBLY.into(), output: (*file).to_owned(), inputs, places: places_of(a, b, file) });
        }
    }
    all
}

/// Packs that differ; where they aren't at hand, what the configuration says of them, or else the pin.
fn packs(a: &Side, b: &Side) -> Vec<Step> {
    let mut all = Vec::new();
    for file in a.digests.keys().filter(|name| name.starts_with("packs/") && differs(a, b, name)) {
        let places = places_of(a, b, file);
        if places.is_empty() {
            continue;
        }
        // The files of the model are the same; only the hash tree over them isn't.
        let same_files = places.iter().all(|place| place.place.starts_with("verity "));
        let inputs = if same_files { Vec::new() } else { vec!["the model's files".to_owned()] };
        all.push(Step { stage: PACKS.into(), output: file.clone(), inputs, places });
    }
    if all.is_empty() && same_spec(a, b) {
        let places: Vec<Place> = places_of(a, b, CONFIG_FILE).into_iter().filter(|place| of_model(&place.place)).collect();
        if !places.is_empty() {
            all.push(Step { stage: PACKS.into(), output: CONFIG_FILE.into(), inputs: Vec::new(), places });
        } else {
            all.extend(pinned(a, b));
        }
    }
    all
}

/// Packs of equally long models that two pins of one spec name, with another salt or root.
fn pinned(a: &Side, b: &Side) -> Vec<Step> {
    let (Some(x), Some(y)) = (&a.pin, &b.pin) else { return Vec::new() };
    let mut all = Vec::new();
    for model in &x.contents().models {
        let same = |other: &&Model| other.name == model.name && other.size == model.size;
        let Some(other) = y.contents().models.iter().find(same) else { continue };
        let fields =
            [("salt", model.salt.to_string(), other.salt.to_string()), ("root", model.root.to_string(), other.root.to_string())];
        let place = |(field, before, after): (&str, String, String)| Place {
            place: format!("verity {field}"),
            before: Some(before),
            after: Some(after),
        };
        let places: Vec<Place> = fields.into_iter().filter(|(_, before, after)| before != after).map(place).collect();
        if !places.is_empty() {
            all.push(Step { stage: PACKS.into(), output: format!("packs/{}.pack", model.name), inputs: Vec::new(), places });
        }
    }
    all
}

/// Whether a place in the configuration is what packing gives: salt and root of a model.
pub(crate) fn of_model(place: &str) -> bool {
    let path = place.trim_start_matches("JSON /");
    path.starts_with("models/") && (path.ends_with("/salt") || path.ends_with("/root"))
}

/// Configuration and command line, which are written from the spec alone.
fn from_spec(a: &Side, b: &Side, changes: &[Change], packs_differ: bool) -> Vec<Step> {
    let mut all = Vec::new();
    for (file, step) in [(CONFIG_FILE, CONFIG), (CMDLINE, CMDLINE)] {
        let places: Vec<Place> = places_of(a, b, file);
        let others = places.iter().any(|place| !of_model(&place.place));
        // Roots and salts follow from packs, which have a step of their own.
        let explained = if places.is_empty() { packs_differ && file == CONFIG_FILE } else { !others };
        if differs(a, b, file) && !explained {
            let inputs = if same_spec(a, b) { Vec::new() } else { names(changes, step) };
            all.push(Step { stage: ASSEMBLY.into(), output: file.to_owned(), inputs, places });
        }
    }
    all
}

/// The inputs among `changes` that go into a step.
fn names(changes: &[Change], step: &str) -> Vec<String> {
    let all: Vec<String> = changes.iter().filter(|c| c.used_by.contains(step)).map(|c| c.name.clone()).collect();
    if all.is_empty() { vec![UNKNOWN.to_owned()] } else { all }
}

/// Whether both sides say which spec they were made from, and it is the same.
fn same_spec(a: &Side, b: &Side) -> bool {
    a.pin.is_some() && b.pin.is_some() && !spec_differs(a, b)
}

/// Outputs of actions that differ. An action's key is the digest of all that goes in.
fn actions(a: &Side, b: &Side, (x, y): (&Provenance, &Provenance), changes: &[Change]) -> Vec<Step> {
    let theirs: BTreeMap<&str, &Resource> = y.byproducts().iter().map(|made| (made.name.as_str(), made)).collect();
    let mut all = Vec::new();
    for made in x.byproducts() {
        let (Some(other), Some((stage, output))) = (theirs.get(made.name.as_str()), made.name.split_once('/')) else { continue };
        if other.digest == made.digest || AIDS.contains(&made.name.as_str()) {
            continue;
        }
        let same = other.annotations.key == made.annotations.key;
        let inputs = if same { Vec::new() } else { names(changes, stage) };
        let places = file_of(stage, output).map(|file| of_output(places_of(a, b, file), output)).unwrap_or_default();
        all.push(Step { stage: stage.to_owned(), output: output.to_owned(), inputs, places });
    }
    // The program first, then what tells how it was configured.
    all.sort_by_key(|step| step.output == "config");
    all
}

/// Of the places in an initramfs those in one program; of any other file all.
fn of_output(places: Vec<Place>, output: &str) -> Vec<Place> {
    let entry = format!("cpio entry `{output}`");
    let (own, others): (Vec<Place>, Vec<Place>) = places.into_iter().partition(|place| place.place.starts_with(&entry));
    if own.is_empty() { others } else { own }
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

/// Whether both sides know a file and it isn't the same; or only one of two sides that list their files has it. A release has no packs:
/// of one without any the pin has to tell, by each model's root.
pub(crate) fn differs(a: &Side, b: &Side, file: &str) -> bool {
    match (a.digests.get(file), b.digests.get(file)) {
        (Some(x), Some(y)) => x != y,
        (None, None) => false,
        _ if file.starts_with("packs/") && (has_no_packs(a) || has_no_packs(b)) => models(a) != models(b),
        _ => a.provenance.is_some() && b.provenance.is_some(),
    }
}

fn has_no_packs(side: &Side) -> bool {
    !side.digests.keys().any(|name| name.starts_with("packs/"))
}

fn models(side: &Side) -> Option<&[Model]> {
    side.pin.as_ref().map(|pin| pin.contents().models.as_slice())
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
