//! The whole comparison as one document, `sealstone/diff/v1`.

use std::collections::BTreeSet;

use sealstone_release::pin::{Contents, Pin};
use serde::Serialize;

use crate::inputs::{self, Change, Kind};
use crate::places::Place;
use crate::registers::{self, Registers};
use crate::sentences;
use crate::side::Side;
use crate::stages::{self, ASSEMBLED, DOCUMENTS, PACKS, Step};

/// What `schema` says.
pub const SCHEMA: &str = "sealstone/diff/v1";

/// What differs between two images, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// Whether nothing at all differs, documents included.
    pub equal: bool,
    /// The same in words, the causes first.
    pub sentences: Vec<String>,
    /// Inputs that differ.
    pub inputs: Vec<Change>,
    /// Steps that made something else, in the order of the build.
    pub steps: Vec<Step>,
    /// Files that differ, in the order in which they are made.
    pub artefacts: Vec<Artefact>,
    /// Registers that moved.
    pub registers: Registers,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Artefact {
    /// Its name in the output folder.
    pub name: String,
    /// Its SHA-256 in the first image; `None` if it isn't there.
    pub before: Option<String>,
    /// Its SHA-256 in the second image; `None` if it isn't there.
    pub after: Option<String>,
    /// Whether it is a document about the image and not part of it.
    pub document: bool,
    /// Files that it is made of and that differ, too: it follows from them.
    pub because: BTreeSet<String>,
    /// Where it differs, if both files are at hand.
    pub places: Vec<Place>,
}

impl Report {
    /// Steps that gave other bytes for equal inputs, in the order of the build.
    pub fn origins(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.is_origin())
    }

    /// The first difference: of a step whose inputs were equal, if there is one; else of the first step whose inputs weren't.
    pub fn first(&self) -> Option<&Step> {
        self.origins().next().or_else(|| self.steps.first())
    }
}

/// Compares two images.
pub fn compare(a: &Side, b: &Side) -> Report {
    let mut inputs = inputs::changes(a, b);
    let steps = stages::steps(a, b, &inputs);
    // What packing gave stands in the configuration, and is no input of it then.
    if steps.iter().any(|step| step.stage == PACKS && step.is_origin()) {
        inputs.retain(|change| change.kind != Kind::Setting || !stages::of_model(&change.name));
    }
    let artefacts = artefacts(a, b);
    let mut registers = registers::compare(a, b);
    for moved in &mut registers.moved {
        // An event may be made from several files; of these, only one that differs can have moved it.
        let differing: BTreeSet<String> =
            moved.through.iter().filter(|file| artefacts.iter().any(|artefact| artefact.name == **file)).cloned().collect();
        if !differing.is_empty() {
            moved.through = differing;
        }
    }
    let mut report = Report {
        schema: SCHEMA,
        equal: artefacts.is_empty() && registers.moved.is_empty() && inputs.is_empty(),
        sentences: Vec::new(),
        inputs,
        steps,
        artefacts,
        registers,
    };
    report.sentences = sentences::of(&report, published_otherwise(a, b));
    report
}

/// Whether the pins differ, and only by what a release adds to a build's.
fn published_otherwise(a: &Side, b: &Side) -> bool {
    let (Some(a), Some(b)) = (&a.pin, &b.pin) else { return false };
    let built = |pin: &Pin| Contents { validity: None, supersedes: None, ..pin.contents().clone() };
    a != b && built(a) == built(b)
}

/// Files that differ: what others are made of first, documents last.
fn artefacts(a: &Side, b: &Side) -> Vec<Artefact> {
    let names: BTreeSet<&String> = a.digests.keys().chain(b.digests.keys()).collect();
    let rank = |name: &str| match ASSEMBLED.iter().position(|(file, _)| *file == name) {
        _ if DOCUMENTS.contains(&name) => usize::MAX,
        Some(at) => at + 1,
        None => 0,
    };
    let mut differing: Vec<&String> = names.into_iter().filter(|name| stages::differs(a, b, name)).collect();
    differing.sort_by_key(|name| (rank(name), *name));
    let digest = |side: &Side, name: &str| side.digests.get(name).map(ToString::to_string);
    let one = |name: &&String| {
        let parts = ASSEMBLED.iter().find(|(file, _)| file == name).map(|(_, parts)| *parts).unwrap_or_default();
        Artefact {
            name: (*name).clone(),
            before: digest(a, name),
            after: digest(b, name),
            document: DOCUMENTS.contains(&name.as_str()),
            because: parts.iter().filter(|part| differing.iter().any(|d| d == *part)).map(ToString::to_string).collect(),
            places: stages::places_of(a, b, name),
        }
    };
    let mut all: Vec<Artefact> = differing.iter().map(one).collect();
    let places: Vec<(String, Vec<String>)> =
        all.iter().map(|a| (a.name.clone(), a.places.iter().map(|place| place.place.clone()).collect())).collect();
    // What is said of a file isn't said again of those that hold it.
    for artefact in &mut all {
        let known: Vec<&String> =
            places.iter().filter(|(name, _)| artefact.because.contains(name)).flat_map(|(_, places)| places).collect();
        artefact.places.retain(|place| !known.iter().any(|known| repeats(&place.place, known)));
    }
    all
}

/// Whether a place in a file is one that was named in a file which stands in it.
fn repeats(place: &str, known: &str) -> bool {
    place == known || place.strip_suffix(known).is_some_and(|outer| outer.ends_with(": ") || outer.ends_with(", "))
}
