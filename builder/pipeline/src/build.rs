//! Spec and lock in, the files of an output folder out.

use std::collections::BTreeMap;

use sealstone_assemble as assemble;
use sealstone_inputs::Store;

use crate::action::{Action, Outcome};
use crate::bill;
use crate::check;
use crate::content::{self, Contents};
use crate::error::PipelineError;
use crate::folder::LargeFiles;
use crate::packs::models::{self, Lookup, Packs};
use crate::pin;
use crate::progress::{Event, Reporter};
use crate::project::{Locked, Project};
use crate::recipes;
use crate::roots::{BUILD_ROOT, Inputs, UserCargo};
use crate::runner::{Conditions, Runner, remembered};

/// How many actions run at once. Each has stretches that keep only one processor busy (unpacking, linking, edk2's
/// generators); two at a time fill them, more would only cost memory.
pub(crate) const WIDTH: usize = 2;

/// How to build.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Jobs that a recipe may start.
    pub jobs: usize,
    /// Run actions although their outcome is remembered.
    pub no_cache: bool,
    /// Build a second time under other conditions and compare.
    pub check: bool,
    /// Build this once under the conditions that `check` has for its second build. The outputs must be the same.
    pub vary: bool,
    /// The user's cargo: crates come through cargo's own configuration.
    pub cargo: UserCargo<'a>,
    /// Where the spec's models are looked for.
    pub models: Lookup<'a>,
}

/// A finished build.
pub struct Built {
    /// Files of the output folder.
    pub files: Contents,
    /// Those of them that are too long for memory: model packs.
    pub packs: LargeFiles,
    /// What every action made, in the order of [`recipes::actions`].
    pub stages: Vec<Outcome>,
    /// What the second build under other conditions varied, if there was one.
    pub checked: Option<check::Report>,
}

/// Builds the image.
pub fn build(inputs: &Inputs<'_>, locked: &Locked, options: &Options<'_>) -> Result<Built, PipelineError> {
    // First, because it is what an absent or changed model stops.
    let packs = models::resolve(inputs.project, inputs.store, &options.models, inputs.reporter)?;
    let root = inputs.plan(BUILD_ROOT)?.digest();
    let actions = recipes::actions(inputs.project, inputs.lock, root)?;
    let stages = run_actions(inputs, &actions, options)?;
    let checked = match options.check {
        true => Some(check::rebuild(inputs, &actions, &stages, options)?),
        false => None,
    };
    inputs.reporter.event(Event::Step { step: "assembling the image".into() });
    let files = put_together(inputs.project, locked, inputs.store, &stages, &packs)?;
    if options.check {
        check::reassemble(inputs.project, locked, inputs.store, &stages, &packs, &files)?;
    }
    Ok(Built { files, packs: packs.files, stages, checked })
}

/// Outcomes of `actions`: remembered ones where they are whole, the others made.
fn run_actions(inputs: &Inputs<'_>, actions: &[Action], options: &Options<'_>) -> Result<Vec<Outcome>, PipelineError> {
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    if !options.no_cache {
        for action in actions {
            if let Some(outcome) = remembered(inputs.store, action) {
                inputs.reporter.event(Event::ActionCached { action: action.name.clone() });
                outcomes.insert(action.name.clone(), outcome);
            }
        }
    }
    let missing: Vec<Action> = actions.iter().filter(|a| !outcomes.contains_key(&a.name)).cloned().collect();
    if !missing.is_empty() {
        inputs.sources(&options.cargo)?;
        let runner = Runner {
            store: inputs.store,
            root: inputs.root(BUILD_ROOT)?,
            epoch: inputs.project.spec.image.epoch,
            reporter: inputs.reporter,
            conditions: if options.vary { check::hostile(options.jobs).0 } else { Conditions::canonical(options.jobs) },
            remembering: true,
        };
        for outcome in runner.run_all(&missing, WIDTH)? {
            outcomes.insert(outcome.name.clone(), outcome);
        }
    }
    Ok(actions.iter().filter_map(|action| outcomes.remove(&action.name)).collect())
}

/// What actions made, by action and output name.
pub struct Made<'a> {
    store: &'a Store,
    stages: &'a [Outcome],
}

impl<'a> Made<'a> {
    /// The outputs of `stages`, to be read from `store`.
    pub fn new(store: &'a Store, stages: &'a [Outcome]) -> Self {
        Self { store, stages }
    }

    /// What every action made.
    pub(crate) fn stages(&self) -> &'a [Outcome] {
        self.stages
    }

    /// Whether an action made that output.
    pub fn has(&self, action: &str, output: &str) -> bool {
        self.stages.iter().any(|stage| stage.name == action && stage.outputs.contains_key(output))
    }

    /// The bytes of one output, checked against its digest.
    pub fn bytes(&self, action: &str, output: &str) -> Result<Vec<u8>, PipelineError> {
        let missing = || PipelineError::Output { action: action.into(), problem: format!("{output} was not made") };
        let found = self.stages.iter().find(|s| s.name == action).and_then(|s| s.outputs.get(output)).ok_or_else(missing)?;
        self.store.read(&found.sha256)?.ok_or_else(missing)
    }
}

/// Every file of the output folder, as a pure function of the spec, the lock and what the actions made.
pub(crate) fn put_together(
    project: &Project,
    locked: &Locked,
    store: &Store,
    stages: &[Outcome],
    packs: &Packs,
) -> Result<Contents, PipelineError> {
    let made = Made::new(store, stages);
    let spec = &project.spec;
    let kernel = made.bytes(recipes::KERNEL, "bzImage")?;
    let config = assemble::config::write(spec, &packs.models)?;
    let init = made.bytes(recipes::USERLAND, "init")?;
    let engine = made.has(recipes::USERLAND, "engine").then(|| made.bytes(recipes::USERLAND, "engine")).transpose()?;
    let contents = assemble::initrd::Contents { init: &init, engine: engine.as_deref(), config: &config };
    let initrd = assemble::initrd::write(&contents, spec.image.epoch)?;
    let cmdline = spec.kernel.cmdline.join(" ");
    let parts = assemble::uki::Parts {
        stub: &made.bytes(recipes::STUB, "linuxx64.efi.stub")?,
        kernel: &kernel,
        initrd: &initrd,
        cmdline: &cmdline,
        image: &spec.image,
    };
    let uki = assemble::uki::write(&parts)?;
    let disk = assemble::disk::write(&uki, spec)?;
    let mut files = Contents::from([
        ("vmlinuz".to_string(), kernel.into()),
        ("initrd".to_string(), initrd.into()),
        ("cmdline".to_string(), cmdline.into_bytes().into()),
        ("uki.efi".to_string(), uki.into()),
        ("disk.raw".to_string(), disk.into()),
        ("kernel.config".to_string(), made.bytes(recipes::KERNEL, "config")?.into()),
        ("config.json".to_string(), config.into()),
    ]);
    for platform in &spec.firmware.platforms {
        let name = format!("OVMF.{platform}.fd");
        let firmware = made.bytes(&recipes::firmware_name(*platform), &name)?;
        files.insert(format!("firmware/{name}"), firmware.into());
    }
    content::hash(&files);
    let pin = pin::pin(project, locked, &files, &packs.models)?;
    files.insert(pin::FILE.into(), pin.to_text().into_bytes().into());
    bill::add(project, locked, &made, &mut files)?;
    Ok(files)
}

/// The store's own exclusive lock is held while a build writes to it; two builds would otherwise do the same work twice.
pub fn guard(store: &Store, reporter: &dyn Reporter) -> Result<sealstone_inputs::StoreGuard, PipelineError> {
    Ok(store
        .lock_exclusive(&|holder| reporter.event(Event::Step { step: format!("waiting for {holder}, which holds the store") }))?)
}
