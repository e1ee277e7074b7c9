//! Unpacked package trees: fetched, laid out once per digest, shared by every build that asks for the same packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealstone_inputs::{ArchiveRef, Mirrors, Store, Want};
use sealstone_sandbox::{Invocation, Network, PackageFile, RootPlan, Stdio, Variation, Work};
use sealstone_spec::{Lock, LockedFile, Sha256};

use crate::error::{IoContext, PipelineError};
use crate::progress::{Event, Fetching, Reporter};
use crate::project::Project;

/// How many files are fetched at once. More does not help one mirror, and is impolite to it.
const FETCHERS: usize = 6;

/// The store, the mirrors and whoever watches: what it takes to get hold of locked inputs.
pub struct Inputs<'a> {
    /// The spec and where it stands.
    pub project: &'a Project,
    /// Its lock.
    pub lock: &'a Lock,
    /// Where fetched files are kept.
    pub store: &'a Store,
    /// Where missing ones come from.
    pub mirrors: &'a Mirrors,
    /// Who watches.
    pub reporter: &'a dyn Reporter,
}

/// The user's cargo, by which crates come that are nowhere else.
#[derive(Clone, Copy)]
pub struct UserCargo<'a> {
    /// Cargo's own folder, where it keeps what it downloads.
    pub home: &'a Path,
    /// Runs `cargo fetch --locked --manifest-path <the argument>`, or says why that failed.
    pub fetch: &'a dyn Fn(&Path) -> Result<(), String>,
}

impl Inputs<'_> {
    /// Which packages make up the root called `name`, in the order in which they are unpacked.
    pub fn plan(&self, name: &str) -> Result<RootPlan, PipelineError> {
        plan(self.project, self.lock, name, &|sha256| self.store.object(sha256))
    }

    /// The unpacked root called `name`; fetches and unpacks it if it isn't there.
    pub fn root(&self, name: &str) -> Result<PathBuf, PipelineError> {
        let plan = self.plan(name)?;
        let dir = self.store.root_dir(&plan.digest());
        if dir.is_dir() {
            return Ok(dir);
        }
        let wanted: Vec<&Sha256> = plan.packages.iter().map(|package| &package.sha256).collect();
        let files = self.lock.packages.iter().filter(|file| wanted.contains(&&file.sha256));
        self.fetch(files.map(|file| self.want("package", file)).collect())?;
        self.unpack(&plan, &dir)?;
        Ok(dir)
    }

    /// Brings the source packages and crates that the actions unpack into the store.
    pub fn sources(&self, cargo: &UserCargo<'_>) -> Result<(), PipelineError> {
        let files = self.lock.sources.iter().flat_map(|source| &source.files);
        self.fetch(files.map(|file| self.want("source", file)).collect())?;
        for (manifest, crates) in self.project.crates_by_manifest()? {
            let cargo = sealstone_inputs::Cargo { manifest: &manifest, home: cargo.home, fetch: cargo.fetch };
            sealstone_inputs::fetch_crates(self.store, self.mirrors, &crates, &cargo, &Fetching(self.reporter))?;
        }
        Ok(())
    }

    fn fetch(&self, wants: Vec<Want>) -> Result<(), PipelineError> {
        sealstone_inputs::fetch_all(self.store, self.mirrors, &wants, FETCHERS, &Fetching(self.reporter))?;
        Ok(())
    }

    fn want(&self, kind: &str, file: &LockedFile) -> Want {
        Want {
            sha256: file.sha256,
            size: file.size,
            what: format!("{kind} {} {}", file.name, file.version),
            pool_path: Some(file.path.to_string()),
            archive: ArchiveRef::of(self.lock, file),
        }
    }

    fn unpack(&self, plan: &RootPlan, dir: &Path) -> Result<(), PipelineError> {
        self.reporter.event(Event::RootStarted { root: plan.name.clone(), packages: plan.packages.len() });
        let scratch = self.store.scratch()?;
        let fresh = scratch.path().join("root");
        std::fs::create_dir(&fresh).doing("creating", &fresh)?;
        plan.unpack(&fresh, &|done, package| {
            let (root, package) = (plan.name.clone(), package.to_string());
            self.reporter.event(Event::RootPackage { root, done, package });
        })
        .map_err(|source| PipelineError::Sandbox { doing: format!("unpacking the {} root", plan.name), source })?;
        scratch.persist(&fresh, dir)?;
        self.reporter.event(Event::RootReady { root: plan.name.clone() });
        Ok(())
    }
}

/// Runs a program of an unpacked root to its end: without network, nothing of the host in reach but the folder `work`, which is `/build`,
/// `/out` and the working directory.
///
/// # Errors
/// [`PipelineError::Sandbox`] if it can't be started or fails.
pub fn run_in(root: &Path, work: &Path, argv: &[String]) -> Result<(), PipelineError> {
    let work = std::path::absolute(work).doing("looking at", work)?;
    let place = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let invocation = Invocation {
        root: root.to_path_buf(),
        work: Work::Dir(work.clone()),
        mounts: Vec::new(),
        out: work,
        argv: argv.to_vec(),
        env: BTreeMap::from([
            place("PATH", "/usr/bin:/usr/sbin:/bin:/sbin"),
            place("HOME", "/tmp"),
            place("LC_ALL", "C.UTF-8"),
            place("TZ", "UTC"),
        ]),
        network: Network::None,
        stdio: Stdio::Inherit,
        variation: Variation { random_addresses: true, ..Variation::default() },
        devices: Vec::new(),
    };
    let doing = || format!("running {}", argv.first().map_or("nothing", String::as_str));
    sealstone_sandbox::run(&invocation).map_err(|source| PipelineError::Sandbox { doing: doing(), source })
}

/// Which packages make up the root called `name`, in the order in which they are unpacked; `place` says where the file with a digest is.
pub fn plan(project: &Project, lock: &Lock, name: &str, place: &dyn Fn(&Sha256) -> PathBuf) -> Result<RootPlan, PipelineError> {
    let missing = |problem: String| PipelineError::Lock { lock: project.lock_path(), spec: project.spec_path.clone(), problem };
    let found = project.spec.roots.iter().find(|(known, _)| known.as_str() == name);
    let (key, in_spec) = found.ok_or_else(|| missing(format!("the spec has no root called {name}")))?;
    let packages = lock.root(key).ok_or_else(|| missing(format!("root {name} is not in the lock")))?;
    let packages = packages
        .into_iter()
        .map(|file| PackageFile { name: file.name.to_string(), sha256: file.sha256, path: place(&file.sha256) })
        .collect();
    let links = in_spec.links.iter().map(|(link, target)| (link.to_string(), target.clone())).collect();
    Ok(RootPlan { name: name.into(), packages, links })
}

/// The digest of the root that actions run in.
pub fn build_root_digest(inputs: &Inputs<'_>) -> Result<Sha256, PipelineError> {
    Ok(inputs.plan(BUILD_ROOT)?.digest())
}

/// The spec's name for the root that actions run in.
pub const BUILD_ROOT: &str = "build";
