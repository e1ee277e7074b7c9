//! Building a release again from its own sources.
//!
//! What it must prove: that whoever has the release and the program alone gets the same bytes. How it could fool: by taking
//! anything of the result from the release. So only `source.tar` is taken, after its digest was compared with the provenance,
//! and everything else is built; the release's other files are what the result is compared with. The recipes are in `source.tar`,
//! too; what puts the image together and measures it is this program, whatever version the release was built by.

use std::path::Path;

use sealstone_bom::provenance::{self, Provenance, Resource, Role};
use sealstone_bom::source as archive;
use sealstone_inputs::{Mirrors, Scratch, Store};
use sealstone_spec::Sha256;

use crate::bill::VERSION;
use crate::build::{self, Built, Options};
use crate::error::PipelineError;
use crate::folder::Files;
use crate::progress::{Event, Reporter};
use crate::project::{Locked, Project};
use crate::recipes::Recipes;
use crate::roots::Inputs;
use crate::source;

/// A release's sources, laid out to be built.
pub struct Sources {
    /// The project; its folder is removed with this value.
    pub project: Project,
    /// Its lock.
    pub locked: Locked,
    /// What the release says it was made from.
    pub provenance: Provenance,
    /// Where they are, if they came from the release.
    _folder: Option<Scratch>,
}

impl Sources {
    /// Unpacks the sources of the release whose files are `files` into a scratch folder of `store`.
    ///
    /// # Errors
    /// [`PipelineError::Release`] when the release lacks its provenance or sources, or these aren't those of the provenance.
    pub fn of(store: &Store, files: &Files) -> Result<Self, PipelineError> {
        let provenance = provenance_of(files)?;
        let tar = file(files, archive::FILE)?;
        let named = provenance.subject.iter().find(|subject| subject.name == archive::FILE);
        if named.map(|subject| subject.digest.sha256) != Some(Sha256::of(tar)) {
            return Err(refuse(format!("its {} is not the one that its provenance names", archive::FILE)));
        }
        let mut tree = archive::read(tar)?;
        let recipes = Recipes::take_from(&mut tree);
        let folder = store.scratch()?;
        let dir = folder.path().join("source");
        std::fs::create_dir(&dir).map_err(|source| PipelineError::Io { doing: "creating", path: dir.clone(), source })?;
        source::lay_out(&tree, &dir)?;
        let spec = spec_of(&provenance)?;
        let project = Project { recipes, ..Project::load(&dir.join(spec))? };
        let locked = project.matching_lock()?;
        Ok(Self { project, locked, provenance, _folder: Some(folder) })
    }

    /// The tree at `dir` instead of the sources of the release whose files are `files`: is this what the release was made from?
    ///
    /// # Errors
    /// [`PipelineError::Release`] when the release lacks its provenance, and whatever is wrong with the tree.
    pub fn of_tree(dir: &Path, files: &Files) -> Result<Self, PipelineError> {
        let provenance = provenance_of(files)?;
        let project = Project::load(&dir.join(spec_of(&provenance)?))?;
        let locked = project.matching_lock()?;
        Ok(Self { project, locked, provenance, _folder: None })
    }

    /// What else than the inputs may make the outcome differ, in sentences: recipes that aren't those that the release was built by,
    /// and another version of the program, which puts the image together.
    pub fn doubts(&self) -> Vec<String> {
        let ours: Vec<(String, Sha256)> =
            self.project.recipes.iter().map(|(name, script)| (format!("recipe/{name}"), Sha256::of(script.as_bytes()))).collect();
        let differs = |input: &&Resource| {
            input.annotations.role == Some(Role::Recipe)
                && !ours.iter().any(|(name, sha256)| *name == input.name && *sha256 == input.digest.sha256)
        };
        let recipes: Vec<&str> = self.provenance.inputs().iter().filter(differs).map(|input| input.name.as_str()).collect();
        let mut all = Vec::new();
        if !recipes.is_empty() {
            all.push(format!("the release was built by other recipes than are at hand: {}", recipes.join(", ")));
        }
        let version = self.provenance.predicate.run_details.builder.version.values().next().map(String::as_str);
        if let Some(version) = version.filter(|version| *version != VERSION) {
            all.push(format!(
                "the release was built by sealstone {version}, and this is {VERSION}: it may put images together otherwise"
            ));
        }
        all
    }

    /// Builds.
    pub fn build(
        &self,
        store: &Store,
        mirrors: &Mirrors,
        options: &Options<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Built, PipelineError> {
        let inputs = Inputs { project: &self.project, lock: &self.locked.lock, store, mirrors, reporter };
        reporter.event(Event::Step { step: "building the release again from its sources".into() });
        build::build(&inputs, &self.locked, options)
    }
}

fn refuse(problem: impl Into<String>) -> PipelineError {
    PipelineError::Release { problem: problem.into() }
}

fn file<'f>(files: &'f Files, name: &str) -> Result<&'f [u8], PipelineError> {
    files.get(name).map(Vec::as_slice).ok_or_else(|| refuse(format!("it has no {name}, so it cannot be built again")))
}

fn provenance_of(files: &Files) -> Result<Provenance, PipelineError> {
    let text = std::str::from_utf8(file(files, provenance::FILE)?).map_err(|_| refuse("its provenance is not UTF-8"))?;
    Ok(Provenance::parse(text)?)
}

/// The spec's path in the sources.
fn spec_of(provenance: &Provenance) -> Result<&str, PipelineError> {
    let spec = &provenance.predicate.build_definition.external_parameters.spec;
    match spec.split('/').all(|part| !part.is_empty() && part != "." && part != "..") {
        true => Ok(spec),
        false => Err(refuse(format!("its spec is said to be at {spec:?}, which is no path of its sources"))),
    }
}
