//! What a derivation hands over.
//!
//! | variable | is |
//! | --- | --- |
//! | `out` | where the output goes |
//! | `NIX_BUILD_TOP` | a folder for everything in between |
//! | `NIX_BUILD_CORES` | jobs that a recipe may start |
//! | `spec` | path of the spec |
//! | `lock` | path of its lock, if that isn't beside it |
//! | `objectsPath` | path of a JSON object: SHA-256 → path of the fetched file |
//! | `roots` | output of `root build` |
//! | `source` | for `program`: the source tree |
//! | `tools` | for `tools`: a JSON object, name of a root → [output of `root NAME`, [program, …]] |

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sealstone_inputs::Store;
use sealstone_pipeline::project::Project;
use sealstone_spec::{Lock, Sha256};

/// The variables, read once.
pub(crate) struct Surroundings {
    /// The spec and the files that it names.
    pub(crate) project: Project,
    /// Its lock; of the crates only those that are needed, see flake.nix.
    pub(crate) lock: Lock,
    /// Where the output goes.
    pub(crate) out: PathBuf,
    /// Fetched files by digest.
    pub(crate) objects: BTreeMap<Sha256, PathBuf>,
    /// Jobs that a recipe may start.
    pub(crate) jobs: usize,
}

impl Surroundings {
    /// Reads the variables and what they name.
    pub(crate) fn read() -> Result<Self> {
        let project = Project::load(Path::new(&variable("spec")?))?;
        let path = variable("lock").map_or_else(|_| project.lock_path(), PathBuf::from);
        let lock = Lock::parse(&path.to_string_lossy(), &read(&path)?)?;
        lock.matches(&project.spec)?;
        let objects = match variable("objectsPath") {
            Ok(path) => serde_json::from_str(&read(Path::new(&path))?).with_context(|| format!("reading {path}"))?,
            Err(_) => BTreeMap::new(),
        };
        // 0 is Nix's word for all.
        let jobs = match variable("NIX_BUILD_CORES")?.parse().context("NIX_BUILD_CORES")? {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            jobs => jobs,
        };
        Ok(Self { project, lock, out: out()?, objects, jobs })
    }

    /// A fetched file.
    pub(crate) fn object(&self, sha256: &Sha256) -> Result<&Path> {
        let found = self.objects.get(sha256).map(PathBuf::as_path);
        found.with_context(|| {
            format!("the derivation doesn't hand over the file with SHA-256 {sha256}; flake.nix decides which it does")
        })
    }

    /// An empty store that ends with the derivation.
    pub(crate) fn store(&self) -> Result<Store> {
        let dir = Path::new(&variable("NIX_BUILD_TOP")?).join("store");
        Ok(Store::open(&dir)?)
    }

    /// The same, with the unpacked build root.
    pub(crate) fn store_with_root(&self, root: &Sha256) -> Result<Store> {
        let store = self.store()?;
        let (tree, place) = (Path::new(&variable("roots")?).join(root.to_string()), store.root_dir(root));
        anyhow::ensure!(tree.is_dir(), "{} isn't there: another root was unpacked than this lock wants", tree.display());
        symlink(&tree, &place).with_context(|| format!("linking {}", place.display()))?;
        Ok(store)
    }

    /// Copies fetched files into `store`, which checks them.
    pub(crate) fn hand_over(&self, store: &Store, wanted: impl IntoIterator<Item = Sha256>) -> Result<()> {
        for sha256 in wanted {
            let path = self.object(&sha256)?;
            let (found, _) = store.publish_file(path)?;
            anyhow::ensure!(found == sha256, "{} has SHA-256 {found}, not {sha256}", path.display());
        }
        Ok(())
    }
}

/// `$out`.
pub(crate) fn out() -> Result<PathBuf> {
    Ok(PathBuf::from(variable("out")?))
}

/// A variable that has to be there.
pub(crate) fn variable(name: &str) -> Result<String> {
    std::env::var(name)
        .with_context(|| format!("the variable {name} isn't set; this runs as the builder of a derivation of flake.nix"))
}

/// A text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Tells a derivation's log what happens.
pub(crate) struct Log;

impl sealstone_pipeline::progress::Reporter for Log {
    fn event(&self, event: sealstone_pipeline::progress::Event) {
        use sealstone_pipeline::progress::Event;
        match event {
            Event::ActionStarted { action } => eprintln!("{action} runs"),
            Event::ActionDone { action, seconds } => eprintln!("{action} done in {seconds:.0} s"),
            Event::Step { step } => eprintln!("{step}"),
            _ => {}
        }
    }
}
