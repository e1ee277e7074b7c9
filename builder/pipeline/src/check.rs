//! `build --check`: the same actions again, under every condition that must not matter.
//!
//! What it must prove: that outputs are a function of the action's key alone. How it could fool: by varying something that
//! never reaches the recipe, or by comparing a result with itself. So each condition is set where a recipe can see it, the
//! second run neither reads nor writes the memory of outcomes, and a report says what was varied and from what to what.

use std::collections::BTreeMap;

use sealstone_inputs::Store;
use sealstone_sandbox::{Order, Variation};
use serde::Serialize;

use crate::action::{Action, Outcome};
use crate::build::{self, Options};
use crate::content::Contents;
use crate::error::PipelineError;
use crate::packs::models::Packs;
use crate::progress::Event;
use crate::project::{Locked, Project};
use crate::roots::{BUILD_ROOT, Inputs};
use crate::runner::{Conditions, Runner};

/// Host name of the second build.
const HOSTNAME: &str = "elsewhere";
/// User id of the second build.
const UID: u32 = 4711;
/// Umask of the second build: even the owner's group may not read.
const UMASK: u32 = 0o077;
/// 2033-05-18T03:33:20Z: years after the first build by its own clock, and after any time that an input carries.
const CLOCK: i64 = 2_000_000_000;
/// Seed of the order in which source files are created.
const SHUFFLE: u64 = 0x5ea1_5704e;

/// What a second build varied, and that everything came out the same.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Condition → what the second build had.
    pub varied: BTreeMap<&'static str, String>,
    /// How many outputs were compared.
    pub compared: usize,
}

/// Runs every action again under [`hostile`] conditions and compares each output with `first`.
///
/// # Errors
/// [`PipelineError::NotReproduced`] names every output that differs, and how.
pub(crate) fn rebuild(
    inputs: &Inputs<'_>,
    actions: &[Action],
    first: &[Outcome],
    options: &Options<'_>,
) -> Result<Report, PipelineError> {
    inputs.reporter.event(Event::Step { step: "building a second time, under other conditions".into() });
    inputs.sources(&options.cargo)?;
    let (conditions, varied) = hostile(options.jobs);
    let runner = Runner {
        store: inputs.store,
        root: inputs.root(BUILD_ROOT)?,
        epoch: inputs.project.spec.image.epoch,
        reporter: inputs.reporter,
        conditions,
        remembering: false,
    };
    compared(first, &runner.run_all(actions, build::WIDTH)?, varied)
}

/// Compares each output of `first` with that of `second`.
///
/// # Errors
/// As [`rebuild`].
pub(crate) fn compared(
    first: &[Outcome],
    second: &[Outcome],
    varied: BTreeMap<&'static str, String>,
) -> Result<Report, PipelineError> {
    let mut differing = Vec::new();
    let mut compared = 0;
    for (a, b) in first.iter().zip(second) {
        for (name, output) in &a.outputs {
            compared += 1;
            let other = b.outputs.get(name);
            if other != Some(output) {
                let other = other.map_or("nothing".into(), |o| o.sha256.to_string());
                differing.push(format!("{}/{name}: first {}, then {other}", a.name, output.sha256));
            }
        }
    }
    match differing.is_empty() {
        true => Ok(Report { varied, compared }),
        false => Err(PipelineError::NotReproduced(format!(
            "under other conditions these outputs differ:\n  {}",
            differing.join("\n  ")
        ))),
    }
}

/// Puts the image together a second time and compares every file.
pub(crate) fn reassemble(
    project: &Project,
    locked: &Locked,
    store: &Store,
    stages: &[Outcome],
    packs: &Packs,
    first: &Contents,
) -> Result<(), PipelineError> {
    let second = build::put_together(project, locked, store, stages, packs)?;
    let names: Vec<&String> = first.keys().filter(|name| first.get(*name) != second.get(*name)).collect();
    match names.is_empty() && first.len() == second.len() {
        true => Ok(()),
        false => Err(PipelineError::NotReproduced(format!("assembling twice gave other bytes for {names:?}"))),
    }
}

/// Everything other than in a normal build, and what that is in words.
pub(crate) fn hostile(jobs: usize) -> (Conditions, BTreeMap<&'static str, String>) {
    let jobs = jobs + 1;
    let env = BTreeMap::from([
        ("LC_ALL".to_string(), "C.UTF-8".to_string()),
        ("LANG".to_string(), "C.UTF-8".to_string()),
        // POSIX form, because the root has no time zone database: fourteen hours ahead, so that the date differs, too.
        ("TZ".to_string(), "FAR-14".to_string()),
    ]);
    let varied = BTreeMap::from([
        ("jobs", jobs.to_string()),
        ("host name", HOSTNAME.to_string()),
        ("user id", UID.to_string()),
        ("umask", format!("{UMASK:03o}")),
        ("clock", format!("@{CLOCK}")),
        ("time zone", "UTC+14".to_string()),
        ("locale", "C.UTF-8".to_string()),
        ("directory order", "source files created in another order, in memory".to_string()),
        ("addresses", "laid out at random".to_string()),
        ("outside path", "another scratch folder".to_string()),
    ]);
    let variation = Variation {
        hostname: HOSTNAME.into(),
        uid: UID,
        umask: UMASK,
        clock: Some(CLOCK),
        random_addresses: true,
        ..Variation::default()
    };
    (Conditions { jobs, variation, env, order: Order::Shuffled(SHUFFLE), in_memory: true }, varied)
}
