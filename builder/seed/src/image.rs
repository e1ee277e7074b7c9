//! The image, from the outputs of all stages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sealstone_inputs::{Mirrors, Network, Settings, Store};
use sealstone_pipeline::action::Outcome;
use sealstone_pipeline::build::{self, Options};
use sealstone_pipeline::folder;
use sealstone_pipeline::packs::models::Lookup;
use sealstone_pipeline::recipes;
use sealstone_pipeline::roots::{Inputs, UserCargo};
use sealstone_pipeline::runner::remembered;

use crate::nix::{Log, Surroundings};
use crate::stage::{OUTCOME, build_root};

/// Writes to `$out` what `sealstone build --out` writes.
pub(crate) fn image(stages: &[&str], given: &Surroundings) -> Result<()> {
    let store = given.store()?;
    for stage in stages {
        remember(&store, Path::new(stage)).with_context(|| format!("taking over {stage}"))?;
    }
    let locked = given.project.matching_lock()?;
    for action in recipes::actions(&given.project, &locked.lock, build_root(given)?)? {
        let known = remembered(&store, &action).is_some();
        ensure!(known, "no stage made {} from what it is to be made of now; flake.nix decides what each is given", action.name);
    }
    let mirrors = Mirrors::new(&Settings { mirror: None, apt: Vec::new(), snapshot: None, network: Network::default() })?;
    let inputs = Inputs { project: &given.project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter: &Log };
    let none = |_: &Path| Err("there is no cargo here".to_string());
    let options = Options {
        jobs: given.jobs,
        no_cache: false,
        check: false,
        vary: false,
        cargo: UserCargo { home: Path::new("/homeless-shelter"), fetch: &none },
        models: Lookup { folder: None, locked: true },
    };
    let built = build::build(&inputs, &locked, &options)?;
    folder::publish(&given.out, &built.files, &built.packs)?;
    Ok(())
}

/// Puts a stage's outcome and files where the store keeps those of actions that ran here.
fn remember(store: &Store, stage: &Path) -> Result<()> {
    let text = fs::read(stage.join(OUTCOME))?;
    let outcome: Outcome = serde_json::from_slice(&text)?;
    for output in outcome.outputs.values() {
        let (found, _) = store.publish_file(&stage.join(output.sha256.to_string()))?;
        ensure!(found == output.sha256, "{} is damaged: its SHA-256 is {found}", output.sha256);
    }
    Ok(fs::write(store.actions_dir().join(format!("{}.json", outcome.key)), text)?)
}
