//! Runs actions: cache look-up, laying out what goes in, the sandbox, taking over what comes out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sealstone_inputs::Store;
use sealstone_sandbox::{Invocation, Mount, Network, Order, Stdio, Variation, Work};
use sealstone_spec::Sha256;

use crate::action::{Action, Outcome, Output, Tree, foreign_place};
use crate::error::{IoContext, PipelineError};
use crate::progress::{Event, Reporter};
use crate::vendor;

/// The conditions under which actions run that must not matter for what they produce.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// How many jobs a recipe may start.
    pub jobs: usize,
    /// Host name, user id, umask, clock.
    pub variation: Variation,
    /// Time zone and locale that a recipe starts with.
    pub env: BTreeMap<String, String>,
    /// Order in which source files are created.
    pub order: Order,
    /// Whether `/build` is a copy in memory: another file system, hence another directory order.
    pub in_memory: bool,
}

impl Conditions {
    /// What a normal build uses.
    pub fn canonical(jobs: usize) -> Self {
        Self {
            jobs,
            variation: Variation::default(),
            env: BTreeMap::from([("LC_ALL".into(), "C".into()), ("TZ".into(), "UTC".into())]),
            order: Order::Archive,
            in_memory: false,
        }
    }
}

/// Runs actions in one root with one store.
pub struct Runner<'a> {
    /// Where inputs, outputs and remembered outcomes are.
    pub store: &'a Store,
    /// The unpacked package tree whose digest the actions name.
    pub root: PathBuf,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: u64,
    /// Who watches.
    pub reporter: &'a dyn Reporter,
    /// See [`Conditions`].
    pub conditions: Conditions,
    /// Whether outcomes are written down for later builds, each as soon as it is there.
    pub remembering: bool,
}

/// The remembered outcome of an action, if it is whole: an outcome counts only while every output is in the store undamaged.
pub fn remembered(store: &Store, action: &Action) -> Option<Outcome> {
    let key = action.key();
    let text = fs::read(outcome_path(store, &key)).ok()?;
    let outcome: Outcome = serde_json::from_slice(&text).ok()?;
    let declared =
        action.outputs.len() == outcome.outputs.len() && action.outputs.iter().all(|o| outcome.outputs.contains_key(*o));
    let ours = outcome.key == key && outcome.name == action.name && declared;
    let whole = || outcome.outputs.values().all(|output| store.verify(&output.sha256).unwrap_or(false));
    (ours && whole()).then_some(outcome)
}

impl Runner<'_> {
    /// Runs `actions`, `width` of them at a time, each anew; the longest should come first. Stops at the first failure.
    pub fn run_all(&self, actions: &[Action], width: usize) -> Result<Vec<Outcome>, PipelineError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some((at, action)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, actions.get(i)?))) {
                match self.run(action) {
                    Ok(outcome) => done.push((at, outcome)),
                    Err(error) => {
                        next.store(actions.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            Ok(done)
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..width.clamp(1, actions.len().max(1))).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|_| Err(PipelineError::Internal("a worker thread of the build ended abnormally")))
                })
                .collect()
        });
        let mut all = Vec::new();
        for result in results {
            all.extend(result?);
        }
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Runs one action and publishes its outputs.
    pub fn run(&self, action: &Action) -> Result<Outcome, PipelineError> {
        self.reporter.event(Event::ActionStarted { action: action.name.clone() });
        let started = Instant::now();
        let scratch = self.store.scratch()?;
        self.make(action, scratch.path())?;
        let outcome = self.take_over(action, scratch.path())?;
        if self.remembering {
            self.remember(&outcome)?;
        }
        self.reporter.event(Event::ActionDone { action: action.name.clone(), seconds: started.elapsed().as_secs_f64() });
        Ok(outcome)
    }

    /// Runs one action, which leaves its files in the empty folder `out`. Nobody looks at them.
    pub fn make(&self, action: &Action, out: &Path) -> Result<(), PipelineError> {
        let scratch = self.store.scratch()?;
        let (work, input) = (scratch.path().join("work"), scratch.path().join("in"));
        for dir in [&work, &input] {
            fs::create_dir(dir).doing("creating", dir)?;
        }
        let mut mounts = self.lay_out_files(action, &input)?;
        self.lay_out_trees(action, &work)?;
        let recipe = input.join("recipe.sh");
        fs::write(&recipe, action.script.as_bytes()).doing("writing", &recipe)?;
        mounts.push(Mount { source: recipe, target: "/recipe.sh".into(), writable: false });
        let invocation = Invocation {
            root: self.root.clone(),
            work: match self.conditions.in_memory {
                true => Work::TmpfsCopy { from: work, order: self.conditions.order },
                false => Work::Dir(work),
            },
            mounts,
            out: out.to_path_buf(),
            argv: ["/bin/sh", "-eu", "/recipe.sh"].map(String::from).to_vec(),
            env: self.environment(action),
            network: Network::None,
            stdio: Stdio::Log(scratch.path().join("log")),
            variation: Variation { shift_monotonic: !action.runs_cargo(), ..self.conditions.variation.clone() },
            devices: Vec::new(),
        };
        sealstone_sandbox::run(&invocation)
            .map_err(|source| PipelineError::Sandbox { doing: format!("running {}", action.name), source })
    }

    /// Writes down that `outcome` is what its key stands for.
    fn remember(&self, outcome: &Outcome) -> Result<(), PipelineError> {
        let path = outcome_path(self.store, &outcome.key);
        let mut text = serde_json::to_vec_pretty(outcome)
            .map_err(|e| PipelineError::Output { action: outcome.name.clone(), problem: e.to_string() })?;
        text.push(b'\n');
        crate::folder::write_file(&path, &text)
    }

    fn environment(&self, action: &Action) -> BTreeMap<String, String> {
        let mut env: BTreeMap<String, String> = [
            ("PATH", "/usr/bin:/usr/sbin:/bin:/sbin".to_string()),
            ("HOME", "/build".to_string()),
            ("SOURCE_DATE_EPOCH", self.epoch.to_string()),
            ("JOBS", self.conditions.jobs.to_string()),
        ]
        .map(|(k, v)| (k.to_string(), v))
        .into();
        env.extend(self.conditions.env.clone());
        env.extend(action.env.clone());
        env
    }

    fn lay_out_files(&self, action: &Action, dir: &Path) -> Result<Vec<Mount>, PipelineError> {
        let mut mounts = Vec::new();
        for (name, data) in &action.files {
            let path = dir.join(name);
            fs::write(&path, data).doing("writing", &path)?;
            mounts.push(Mount { source: path, target: format!("/in/{name}").into(), writable: false });
        }
        Ok(mounts)
    }

    fn lay_out_trees(&self, action: &Action, work: &Path) -> Result<(), PipelineError> {
        for (name, tree) in &action.trees {
            let dest = work.join(name);
            fs::create_dir(&dest).doing("creating", &dest)?;
            self.lay_out(tree, &dest)?;
        }
        Ok(())
    }

    fn lay_out(&self, tree: &Tree, dest: &Path) -> Result<(), PipelineError> {
        match tree {
            Tree::Archives(list) => {
                for unpack in list {
                    let into = dest.join(&unpack.into);
                    fs::create_dir_all(&into).doing("creating", &into)?;
                    self.unpack(&self.store.object(&unpack.archive), &into, unpack.strip)?;
                }
            }
            Tree::InDeb { deb, member } => {
                let aside = self.store.scratch()?;
                let package = self.store.object(deb);
                let file = fs::File::open(&package).doing("opening", &package)?;
                sealstone_sandbox::unpack_deb(file, aside.path(), Order::Archive)
                    .map_err(|source| PipelineError::Sandbox { doing: format!("unpacking {}", package.display()), source })?;
                self.unpack(&aside.path().join(member), dest, 1)?;
            }
            Tree::Files(files) => {
                for (path, data) in files {
                    let path = dest.join(path);
                    let parent = path.parent().unwrap_or(dest);
                    fs::create_dir_all(parent).doing("creating", parent)?;
                    fs::write(&path, data).doing("writing", &path)?;
                }
            }
            Tree::Crates(crates) => vendor::lay_out(self.store, crates, dest, self.conditions.order)?,
        }
        Ok(())
    }

    fn unpack(&self, archive: &Path, dest: &Path, strip: usize) -> Result<(), PipelineError> {
        let file = fs::File::open(archive).doing("opening", archive)?;
        sealstone_sandbox::unpack_tar(file, dest, strip, self.conditions.order)
            .map_err(|source| PipelineError::Sandbox { doing: format!("unpacking {}", archive.display()), source })
    }

    fn take_over(&self, action: &Action, out: &Path) -> Result<Outcome, PipelineError> {
        let refuse = |problem: String| PipelineError::Output { action: action.name.clone(), problem };
        let store = self.store.dir().to_string_lossy().into_owned();
        let mut outputs = BTreeMap::new();
        for name in action.outputs {
            let path = out.join(name);
            let meta = fs::symlink_metadata(&path).map_err(|_| refuse(format!("the recipe ended well but left no {name}")))?;
            if !meta.is_file() {
                return Err(refuse(format!("{name} is not a plain file")));
            }
            let data = fs::read(&path).doing("reading", &path)?;
            if let Some((place, at)) = foreign_place(&data, &[&store]) {
                return Err(refuse(format!(
                    "{name} holds the path {place:?} at byte {at}; outputs must not depend on where they were built"
                )));
            }
            outputs.insert(name.to_string(), Output { sha256: self.store.publish_bytes(&data)?, size: data.len() as u64 });
        }
        Ok(Outcome { name: action.name.clone(), key: action.key(), outputs })
    }
}

fn outcome_path(store: &Store, key: &Sha256) -> PathBuf {
    store.actions_dir().join(format!("{key}.json"))
}
