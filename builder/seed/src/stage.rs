//! A root, and one action in it; this program is built by such an action, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sealstone_inputs::Store;
use sealstone_pipeline::action::{Action, Outcome, Tree};
use sealstone_pipeline::recipes;
use sealstone_pipeline::roots::{self, BUILD_ROOT};
use sealstone_pipeline::runner::{Conditions, Runner};
use sealstone_pipeline::seed;
use sealstone_sandbox::RootPlan;
use sealstone_spec::Sha256;

use crate::nix::{self, Log, Surroundings};

/// In a stage's output: what the action made, with the digest of all that went in.
pub(crate) const OUTCOME: &str = "outcome.json";

/// Unpacks the root `name` to `$out/<digest>`.
pub(crate) fn root(name: &str, given: &Surroundings) -> Result<()> {
    let plan = plan(name, given)?;
    let tree = given.out.join(plan.digest().to_string());
    fs::create_dir_all(&tree).with_context(|| format!("creating {}", tree.display()))?;
    Ok(plan.unpack(&tree, &|_, _| {})?)
}

fn plan(name: &str, given: &Surroundings) -> Result<RootPlan> {
    let mut plan = roots::plan(&given.project, &given.lock, name, &|_| Default::default())?;
    for package in &mut plan.packages {
        package.path = given.object(&package.sha256)?.to_path_buf();
    }
    Ok(plan)
}

/// Runs the action `name` and leaves its outcome in `$out`.
pub(crate) fn stage(name: &str, given: &Surroundings) -> Result<()> {
    let root = build_root(given)?;
    let action = recipes::action(&given.project, &given.lock, root, name)?;
    let store = given.store_with_root(&root)?;
    given.hand_over(&store, inputs(&action))?;
    let outcome = runner(given, &store, &root).run(&action)?;
    keep(&store, &outcome, &given.out)
}

/// Builds this program to `$out/bin`.
pub(crate) fn program(given: &Surroundings) -> Result<()> {
    let root = build_root(given)?;
    let action = seed::action(Path::new(&nix::variable("source")?), root)?;
    let store = given.store_with_root(&root)?;
    given.hand_over(&store, inputs(&action))?;
    let bin = given.out.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("creating {}", bin.display()))?;
    Ok(runner(given, &store, &root).make(&action, &bin)?)
}

/// The digest of the root that actions run in.
pub(crate) fn build_root(given: &Surroundings) -> Result<Sha256> {
    Ok(roots::plan(&given.project, &given.lock, BUILD_ROOT, &|_| Default::default())?.digest())
}

/// Runs actions with what the derivation hands over.
fn runner<'a>(given: &Surroundings, store: &'a Store, root: &Sha256) -> Runner<'a> {
    Runner {
        store,
        root: store.root_dir(root),
        epoch: given.project.spec.image.epoch,
        reporter: &Log,
        conditions: Conditions::canonical(given.jobs),
        remembering: false,
    }
}

/// Fetched files that `action` unpacks.
fn inputs(action: &Action) -> BTreeSet<Sha256> {
    let of = |tree: &Tree| match tree {
        Tree::Archives(list) => list.iter().map(|unpack| unpack.archive).collect(),
        Tree::InDeb { deb, .. } => vec![*deb],
        Tree::Files(_) => Vec::new(),
        Tree::Crates(crates) => crates.iter().map(|one| one.sha256).collect(),
    };
    action.trees.values().flat_map(of).collect()
}

fn keep(store: &Store, outcome: &Outcome, dir: &Path) -> Result<()> {
    fs::create_dir(dir).with_context(|| format!("creating {}", dir.display()))?;
    for output in outcome.outputs.values() {
        let (from, to) = (store.object(&output.sha256), dir.join(output.sha256.to_string()));
        fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    }
    let path = dir.join(OUTCOME);
    fs::write(&path, serde_json::to_vec_pretty(outcome)?).with_context(|| format!("writing {}", path.display()))
}
