//! The verifier for browsers: a WebAssembly module made in the sandbox, and a page around it that needs nothing else.
//!
//! It is no part of an image, so neither spec nor lock of the image name its sources: they are the crates of verification
//! in the source tree, and `web/`, whose own `Cargo.lock` files lock the crates. The packages come from the spec's root `web`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealstone_inputs::{Cargo, debian};
use sealstone_spec::{LockedCrate, Sha256};

use crate::action::{Action, Crate, Outcome, Tree};
use crate::build::Made;
use crate::check;
use crate::content::Contents;
use crate::error::{IoContext, PipelineError};
use crate::progress::Fetching;
use crate::project;
use crate::roots::{Inputs, UserCargo};
use crate::runner::{Conditions, Runner, remembered};

mod assemble;

/// The spec's name for the root that the module is compiled in.
pub const ROOT: &str = "web";
/// The action's name.
pub const ACTION: &str = "verify-page";
const MODULE: &str = "sealstone-verify.wasm";

/// The crates whose sources the module is made of, below `builder/`.
const CRATES: [&str; 4] = ["evidence", "ovmf-measure", "release", "verify"];
/// Manifests below the source tree whose locks name the registry crates: the module's, and those of Rust's standard library.
const MANIFESTS: [&str; 2] = ["web/Cargo.toml", "web/std/Cargo.toml"];

/// How to build.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Jobs that the compiler may start.
    pub jobs: usize,
    /// Compile although the outcome is remembered.
    pub no_cache: bool,
    /// Compile a second time under other conditions and compare.
    pub check: bool,
    /// Compile once, under those conditions.
    pub vary: bool,
    /// The user's cargo: crates come through cargo's own configuration.
    pub cargo: UserCargo<'a>,
}

/// A finished page.
pub struct Page {
    /// Files of the output folder.
    pub files: Contents,
    /// What the action made.
    pub stage: Outcome,
    /// What the second build varied, if there was one.
    pub checked: Option<check::Report>,
}

/// Builds module and page from the source tree at `tree`.
///
/// # Errors
/// [`PipelineError::Lock`] if spec or lock have no root called `web`; [`PipelineError::NotReproduced`] if a second build
/// differs.
pub fn build(inputs: &Inputs<'_>, tree: &Path, options: &Options<'_>) -> Result<Page, PipelineError> {
    let crates = crates(tree)?;
    let action = action(tree, inputs.plan(ROOT)?.digest(), &crates)?;
    let (stage, checked) = run(inputs, &action, &crates, options)?;
    let module = Made::new(inputs.store, std::slice::from_ref(&stage)).bytes(ACTION, MODULE)?;
    let read = |name: &str| {
        let path = tree.join("web").join(name);
        fs::read_to_string(&path).doing("reading", &path)
    };
    let parts = assemble::Parts {
        module: &module,
        glue: &read("sealstone-verify.js")?,
        types: &read("sealstone-verify.d.ts")?,
        markup: &read("page.html")?,
        style: &read("page.css")?,
        script: &read("page.js")?,
    };
    let files = assemble::files(&parts).map_err(|problem| PipelineError::Output { action: ACTION.into(), problem })?;
    Ok(Page { files, stage, checked })
}

type CratesOf = (PathBuf, Vec<LockedCrate>);

fn run(
    inputs: &Inputs<'_>,
    action: &Action,
    crates: &[CratesOf],
    options: &Options<'_>,
) -> Result<(Outcome, Option<check::Report>), PipelineError> {
    let (hostile, varied) = check::hostile(options.jobs);
    let runner = |conditions, remembering| -> Result<Runner<'_>, PipelineError> {
        for (manifest, crates) in crates {
            let cargo = Cargo { manifest, home: options.cargo.home, fetch: options.cargo.fetch };
            sealstone_inputs::fetch_crates(inputs.store, inputs.mirrors, crates, &cargo, &Fetching(inputs.reporter))?;
        }
        let epoch = inputs.project.spec.image.epoch;
        Ok(Runner { store: inputs.store, root: inputs.root(ROOT)?, epoch, reporter: inputs.reporter, conditions, remembering })
    };
    let first = match remembered(inputs.store, action).filter(|_| !options.no_cache) {
        Some(outcome) => {
            inputs.reporter.event(crate::progress::Event::ActionCached { action: action.name.clone() });
            outcome
        }
        None => {
            let conditions = if options.vary { hostile.clone() } else { Conditions::canonical(options.jobs) };
            runner(conditions, true)?.run(action)?
        }
    };
    if !options.check {
        return Ok((first, None));
    }
    let second = runner(hostile, false)?.run(action)?;
    let report = check::compared(std::slice::from_ref(&first), &[second], varied)?;
    Ok((first, Some(report)))
}

/// Each manifest with the registry crates that its lock names.
fn crates(tree: &Path) -> Result<Vec<CratesOf>, PipelineError> {
    let of = |manifest: &str| {
        let manifest = tree.join(manifest);
        let lock = manifest.with_extension("lock");
        let text = fs::read_to_string(&lock).doing("reading", &lock)?;
        let crates = debian::crates_from_cargo_lock(&text).map_err(|source| PipelineError::Crates { lock, source })?;
        Ok((manifest, crates))
    };
    MANIFESTS.into_iter().map(of).collect()
}

fn action(tree: &Path, root: Sha256, crates: &[CratesOf]) -> Result<Action, PipelineError> {
    let mut all: Vec<&LockedCrate> = crates.iter().flat_map(|(_, crates)| crates).collect();
    all.sort();
    all.dedup();
    let all = all.into_iter().map(|c| Crate { folder: format!("{}-{}", c.name, c.version), sha256: c.sha256 });
    Ok(Action {
        name: ACTION.into(),
        root,
        script: include_str!("../recipes/verify-page.sh").into(),
        env: BTreeMap::new(),
        trees: BTreeMap::from([("src".into(), Tree::Files(sources(tree)?)), ("vendor".into(), Tree::Crates(all.collect()))]),
        files: BTreeMap::new(),
        outputs: &[MODULE],
    })
}

/// What the compiler reads: manifests and sources, and the profiles that `ovmf-measure` takes in.
fn sources(tree: &Path) -> Result<BTreeMap<String, Arc<[u8]>>, PipelineError> {
    let mut files = BTreeMap::new();
    let mut file = |name: String| -> Result<(), PipelineError> {
        let path = tree.join(&name);
        files.insert(name, fs::read(&path).doing("reading", &path)?.into());
        Ok(())
    };
    file("Cargo.toml".into())?;
    file("web/Cargo.lock".into())?;
    for package in CRATES.iter().map(|name| format!("builder/{name}")).chain(["web".into()]) {
        file(format!("{package}/Cargo.toml"))?;
    }
    for folder in CRATES.iter().map(|name| format!("builder/{name}/src")).chain(["web/src".into(), PROFILES.into()]) {
        project::collect_all(&tree.join(&folder), &format!("{folder}/"), &mut files)?;
    }
    Ok(files)
}

const PROFILES: &str = "builder/ovmf-measure/profiles";

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lists of crates would be two verifiers.
    #[test]
    fn the_module_is_made_of_the_crates_that_the_builder_is_tested_with() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let builders = fs::read_to_string(tree.join("Cargo.lock")).unwrap();
        let builders = debian::crates_from_cargo_lock(&builders).unwrap();
        let (_, of_module) = &crates(&tree).unwrap()[0];
        assert!(of_module.len() > 50, "{}", of_module.len());
        let others: Vec<_> = of_module.iter().filter(|krate| !builders.contains(krate)).collect();
        assert!(others.is_empty(), "not in the builder's Cargo.lock: {others:?}");
    }

    #[test]
    fn the_sources_are_the_crates_and_nothing_beside_them() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sources = sources(&tree).unwrap();
        for name in ["Cargo.toml", "web/src/lib.rs", "builder/verify/src/lib.rs", "builder/ovmf-measure/profiles/snp/qemu.json"] {
            assert!(sources.contains_key(name), "{name}");
        }
        let foreign: Vec<_> = sources.keys().filter(|path| path.contains("/tests/") || path.contains("fuzz")).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}
