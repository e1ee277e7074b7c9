//! `sealstone reproduce`

use std::path::Path;

use sealstone_bom::provenance::Provenance;
use sealstone_compare::report::Report;
use sealstone_compare::side::{Files, PIN, SYSTEM_MAP, Side};
use sealstone_compare::stages::Step;
use sealstone_pipeline::build::{self, Made, Options};
use sealstone_pipeline::content;
use sealstone_pipeline::folder;
use sealstone_pipeline::packs::models::Lookup;
use sealstone_pipeline::progress::Reporter;
use sealstone_pipeline::recipes;
use sealstone_pipeline::reproduce::Sources;
use sealstone_pipeline::roots::UserCargo;
use sealstone_publish::{folder as publish, keys};
use sealstone_release::dsse::Envelope;
use sealstone_release::folder::{STATEMENT, cut};
use sealstone_release::hex::Sha256;
use sealstone_release::key::SigningKey;
use sealstone_release::pin::Pin;
use sealstone_release::statement::Digests;
use sealstone_release::statement::rebuild::rebuild;
use sealstone_release::statement::release::Release;
use serde_json::json;

use super::diff;
use super::measure::{emit, print_json};
use crate::args::ReproduceArgs;
use crate::exit::{DONE, Failure, NOT_REPRODUCED, Outcome};
use crate::surroundings;

pub(crate) fn run(args: &ReproduceArgs, reporter: &dyn Reporter) -> Outcome {
    // What could stand in the way of signing is found out before hours are spent on building.
    let attestation = args.attest.as_deref().map(|key| Attestation::of(&args.release, key)).transpose()?;
    let released = files_of(&args.release, args.artefacts.as_deref())?;
    let store = surroundings::store(&args.store)?;
    let _guard = build::guard(&store, reporter)?;
    let sources = match &args.source {
        Some(dir) => Sources::of_tree(dir, &released)?,
        None => Sources::of(&store, &released)?,
    };
    for doubt in sources.doubts() {
        eprintln!("sealstone: {doubt}");
    }
    let mirrors = surroundings::mirrors()?;
    let cargo_home = surroundings::cargo_home();
    let cargo = UserCargo { home: &cargo_home, fetch: &surroundings::cargo_fetch };
    // Locked: a model whose pack the spec names needn't be at hand, and no other may come in.
    let models = Lookup { folder: args.models.as_deref(), locked: true };
    let options =
        Options { jobs: surroundings::jobs(args.jobs), no_cache: args.no_cache, check: false, vary: false, cargo, models };
    let built = sources.build(&store, &mirrors, &options, reporter)?;
    if let Some(out) = &args.out {
        folder::publish(out, &built.files, &built.packs)?;
    }
    let compared = sources.provenance.subject.len();
    let map = Made::new(&store, &built.stages).bytes(recipes::KERNEL, "System.map").ok();
    let mut files = content::plain(built.files);
    let artefacts = cut::artefacts(&files);
    // A release folder has no packs; there they are told apart by their roots in the configuration.
    for (name, pack) in built.packs.iter().filter(|(name, _)| released.contains_key(*name)) {
        files.extend(diff::small_pack(&pack.path)?.map(|bytes| (name.clone(), bytes)));
    }
    let outcome = compare(released, &sources.provenance, files, map)?;
    if let Some(attestation) = attestation.filter(|_| outcome.reproduced()) {
        attestation.sign(&artefacts, &args.statement)?;
    }
    print(args, &outcome, compared)
}

/// What a rebuilder signs, and with what.
struct Attestation {
    release: Release,
    key: SigningKey,
}

impl Attestation {
    fn of(dir: &Path, key: &Path) -> Result<Self, Failure> {
        let file = dir.join(STATEMENT);
        let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("{}: {e}", file.display()));
        let bytes = std::fs::read(&file).map_err(|e| bad(&e))?;
        // Whose release it is doesn't matter here: that it is what the rebuild gave, is what gets signed.
        let release = Release::unverified(&Envelope::parse(&bytes).map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
        Ok(Self { release, key: keys::read_signing(key)? })
    }

    fn sign(&self, artefacts: &Digests, file: &Path) -> Result<(), Failure> {
        let builder = concat!("sealstone ", env!("CARGO_PKG_VERSION"));
        let at = super::release::moment(None)?;
        // Refuses artefacts that aren't the release's, whatever was compared before.
        let envelope = rebuild(&self.release, artefacts, builder, at, &self.key).map_err(|e| Failure::new(NOT_REPRODUCED, e))?;
        publish::create_file(file, envelope.to_text().as_bytes())?;
        Ok(())
    }
}

/// The files of a release folder, and of the folder with the artefacts that it may lack.
fn files_of(release: &Path, artefacts: Option<&Path>) -> Result<Files, Failure> {
    let read = |dir: &Path| match dir.join(folder::SUMS).is_file() {
        true => diff::with_packs(dir, folder::read(dir)?),
        false => diff::some(dir),
    };
    let mut files = artefacts.map(read).transpose()?.unwrap_or_default();
    files.extend(read(release)?);
    Ok(files)
}

/// What came of it.
struct Comparison {
    report: Report,
    /// Subjects of the provenance that came out otherwise.
    differing: Vec<String>,
    /// Whether the pin says the same of image and registers.
    same_pin: bool,
}

impl Comparison {
    fn reproduced(&self) -> bool {
        self.differing.is_empty() && self.same_pin
    }

    /// The first step that gave other bytes, for equal inputs if there is one.
    fn first(&self) -> Option<&Step> {
        self.report.first()
    }
}

fn compare(
    released: Files,
    provenance: &Provenance,
    mut files: Files,
    system_map: Option<Vec<u8>>,
) -> Result<Comparison, Failure> {
    let subjects = || provenance.subject.iter().map(|subject| (&subject.name, Sha256::new(*subject.digest.sha256.as_bytes())));
    let mut expected = Side::of(released).map_err(Failure::bad_input)?;
    // What the build wrote, not what the release made of it: a release's pin says how long it is valid, too.
    expected.digests.extend(subjects().map(|(name, digest)| (name.clone(), digest)));
    files.extend(system_map.map(|map| (SYSTEM_MAP.to_owned(), map)));
    let found = Side::of(files).map_err(Failure::failed)?;
    let differing = subjects().filter(|(name, digest)| found.digests.get(*name) != Some(digest)).map(|(name, _)| name.clone());
    let differing = differing.collect();
    let same_pin = match (&expected.pin, &found.pin) {
        (Some(expected), Some(found)) => as_built(expected)? == as_built(found)?,
        _ => return Err(Failure::bad_input(format!("the release has no {PIN}"))),
    };
    Ok(Comparison { report: sealstone_compare::compare(&expected, &found), differing, same_pin })
}

/// What a pin says without what a release adds to it.
fn as_built(pin: &Pin) -> Result<Pin, Failure> {
    let mut contents = pin.contents().clone();
    contents.validity = None;
    contents.supersedes = None;
    Pin::new(contents).map_err(Failure::failed)
}

fn print(args: &ReproduceArgs, outcome: &Comparison, compared: usize) -> Outcome {
    let reproduced = outcome.reproduced();
    if args.json {
        print_json(&json!({
            "reproduced": reproduced,
            "compared": compared,
            "differing": outcome.differing,
            "pin": outcome.same_pin,
            "first": outcome.first(),
            "report": outcome.report,
        }))?;
    } else if reproduced {
        emit(format_args!("reproduced: {compared} files and every register"))?;
    } else {
        not_reproduced(outcome)?;
    }
    Ok(if reproduced { DONE } else { NOT_REPRODUCED })
}

fn not_reproduced(outcome: &Comparison) -> Result<(), Failure> {
    emit(format_args!("not reproduced: {}", outcome.differing.join(", ")))?;
    if let Some(step) = outcome.first() {
        let inputs = match step.is_origin() {
            true => "whose inputs are equal".to_owned(),
            false => format!("for another {}", step.inputs.join(", ")),
        };
        emit(format_args!("first difference: {} of stage {}, {inputs}", step.output, step.stage))?;
        for place in &step.places {
            let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".into());
            emit(format_args!("  {}: {} → {}", place.place, value(&place.before), value(&place.after)))?;
        }
        if step.places.is_empty() {
            emit(
                "  the release's own files are needed to name the place: give their folder with --artefacts; \
                 where its sources give the same bytes, `sealstone reproduce RELEASE --out DIR` makes them",
            )?;
        }
    }
    outcome.report.sentences.iter().try_for_each(emit)
}
