//! Building a release again from its own sources.
//!
//! What it must prove: that whoever has the release and the program alone gets the same bytes. How it could fool: by taking
//! anything of the result from the release. So only `source.tar` is taken, after its digest was compared with the provenance,
//! and everything else is built; the release's other files are what the result is compared with.

use sealstone_bom::provenance::{self, Provenance, Resource, Role};
use sealstone_bom::source as archive;
use sealstone_inputs::{Mirrors, Scratch, Store};
use sealstone_spec::Sha256;

use crate::bill;
use crate::build::{self, Built, Options};
use crate::error::PipelineError;
use crate::folder::Files;
use crate::progress::{Event, Reporter};
use crate::project::{Locked, Project};
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
    _folder: Scratch,
}

impl Sources {
    /// Unpacks the sources of the release whose files are `files` into a scratch folder of `store`.
    ///
    /// # Errors
    /// [`PipelineError::Release`] when the release lacks its provenance or sources, or these aren't those of the provenance.
    pub fn of(store: &Store, files: &Files) -> Result<Self, PipelineError> {
        let refuse = |problem: String| PipelineError::Release { problem };
        let file = |name: &str| files.get(name).ok_or_else(|| refuse(format!("it has no {name}, so it cannot be built again")));
        let text = std::str::from_utf8(file(provenance::FILE)?).map_err(|_| refuse("its provenance is not UTF-8".into()))?;
        let provenance = Provenance::parse(text)?;
        let tar = file(archive::FILE)?;
        let named = provenance.subject.iter().find(|subject| subject.name == archive::FILE);
        if named.map(|subject| subject.digest.sha256) != Some(Sha256::of(tar)) {
            return Err(refuse(format!("its {} is not the one that its provenance names", archive::FILE)));
        }
        let folder = store.scratch()?;
        let dir = folder.path().join("source");
        std::fs::create_dir(&dir).map_err(|source| PipelineError::Io { doing: "creating", path: dir.clone(), source })?;
        source::lay_out(&archive::read(tar)?, &dir)?;
        let spec = &provenance.predicate.build_definition.external_parameters.spec;
        let plain = spec.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !plain {
            return Err(refuse(format!("its spec is said to be at {spec:?}, which is no path of its sources")));
        }
        let project = Project::load(&dir.join(spec))?;
        let locked = project.matching_lock()?;
        Ok(Self { project, locked, provenance, _folder: folder })
    }

    /// Recipes that this program has in another form than the one that built the release: nothing else could be expected than
    /// other bytes.
    pub fn other_recipes(&self) -> Vec<String> {
        let recipe = |input: &&Resource| input.annotations.role == Some(Role::Recipe);
        let differs = |input: &&Resource| {
            let name = input.name.strip_prefix("recipe/").unwrap_or(&input.name);
            bill::recipe_digest(name) != Some(input.digest.sha256)
        };
        self.provenance.inputs().iter().filter(recipe).filter(differs).map(|input| input.name.clone()).collect()
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
