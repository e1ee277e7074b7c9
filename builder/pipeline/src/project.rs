//! A spec, its lock and every file that the spec names, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealstone_inputs::debian;
use sealstone_spec::{Lock, LockedCrate, Sha256, Spec};

use crate::error::{IoContext, PipelineError};
use crate::recipes::Recipes;

/// Everything of the source tree that a build depends on.
pub struct Project {
    /// Where the spec is.
    pub spec_path: PathBuf,
    /// The folder that paths in the spec are relative to.
    pub dir: PathBuf,
    /// The spec.
    pub spec: Spec,
    /// SHA-256 of the spec's text.
    pub spec_sha256: Sha256,
    /// What it is built by.
    pub recipes: Recipes,
}

/// A lock that belongs to its spec.
pub struct Locked {
    /// The lock.
    pub lock: Lock,
    /// SHA-256 of the lock's text.
    pub sha256: Sha256,
}

impl Project {
    /// Reads and validates the spec at `path`.
    pub fn load(path: &Path) -> Result<Self, PipelineError> {
        let text = fs::read_to_string(path).doing("reading", path)?;
        let spec = Spec::parse(&path.to_string_lossy(), &text)?;
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
        let spec_sha256 = Sha256::of(text.as_bytes());
        Ok(Self { spec_path: path.to_path_buf(), dir, spec, spec_sha256, recipes: Recipes::default() })
    }

    /// The spec's text, read again.
    pub fn text(&self) -> Result<String, PipelineError> {
        fs::read_to_string(&self.spec_path).doing("reading", &self.spec_path)
    }

    /// Where the lock of this spec stands: beside it, with the ending `.lock`.
    pub fn lock_path(&self) -> PathBuf {
        self.spec_path.with_extension("lock")
    }

    /// The lock, if there is one.
    pub fn lock(&self) -> Result<Option<Lock>, PipelineError> {
        let path = self.lock_path();
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).doing("reading", &path)?;
        Ok(Some(Lock::parse(&path.to_string_lossy(), &text)?))
    }

    /// The lock, which must belong to the spec as it stands and to the crates that `Cargo.lock` asks for.
    pub fn matching_lock(&self) -> Result<Locked, PipelineError> {
        let refuse = |problem: String| PipelineError::Lock { lock: self.lock_path(), spec: self.spec_path.clone(), problem };
        let lock = self.lock()?.ok_or_else(|| refuse("there is no lock".into()))?;
        lock.matches(&self.spec).map_err(|e| refuse(e.to_string()))?;
        if lock.crates != self.locked_crates()? {
            return Err(refuse("the crates in Cargo.lock of the userland are not those in the lock".into()));
        }
        let sha256 = Sha256::of(lock.to_text().as_bytes());
        Ok(Locked { lock, sha256 })
    }

    /// The registry crates that the userland's `Cargo.lock` files ask for, each once.
    pub fn locked_crates(&self) -> Result<Vec<LockedCrate>, PipelineError> {
        let mut all: Vec<LockedCrate> = self.crates_by_manifest()?.into_iter().flat_map(|(_, crates)| crates).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// The same by manifest: the userland itself, and the tools that its recipe builds first.
    pub fn crates_by_manifest(&self) -> Result<Vec<(PathBuf, Vec<LockedCrate>)>, PipelineError> {
        let workspace = self.userland_dir();
        let manifests = [workspace.join("Cargo.toml"), workspace.join("tools/Cargo.toml")];
        let of = |manifest: PathBuf| {
            let lock = manifest.with_extension("lock");
            let text = fs::read_to_string(&lock).doing("reading", &lock)?;
            let crates = debian::crates_from_cargo_lock(&text).map_err(|source| PipelineError::Crates { lock, source })?;
            Ok((manifest, crates))
        };
        manifests.into_iter().filter(|manifest| manifest.is_file()).map(of).collect()
    }

    /// The folder of the workspace of programs that go into the image.
    pub fn userland_dir(&self) -> PathBuf {
        self.dir.join(self.spec.userland.workspace.as_str())
    }

    /// Reads a file that the spec names.
    pub fn read(&self, named: &str) -> Result<Vec<u8>, PipelineError> {
        let path = self.dir.join(named);
        fs::read(&path).doing("reading", &path)
    }

    /// The sources of the userland: manifests, locks and everything below each `src` and `tests`, and nothing else of the folder, so
    /// that editors' droppings and build outputs cannot change what is built.
    pub fn userland_sources(&self) -> Result<BTreeMap<String, Arc<[u8]>>, PipelineError> {
        let root = self.userland_dir();
        let mut files = BTreeMap::new();
        collect(&root, "", &mut files)?;
        Ok(files)
    }
}

/// Files directly in a package's folder that cargo reads.
const PACKAGE_FILES: &[&str] = &["Cargo.toml", "Cargo.lock", "build.rs"];

/// Folders whose every file goes along. Tests aren't built, but cargo wants to find those that a manifest names.
const SOURCE_FOLDERS: &[&str] = &["src", "tests"];

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Arc<[u8]>>) -> Result<(), PipelineError> {
    for (name, path, is_dir) in sorted_entries(dir)? {
        let below = format!("{prefix}{name}");
        if is_dir && SOURCE_FOLDERS.contains(&name.as_str()) {
            collect_all(&path, &format!("{below}/"), files)?;
        } else if is_dir && path.join("Cargo.toml").is_file() {
            collect(&path, &format!("{below}/"), files)?;
        } else if !is_dir && PACKAGE_FILES.contains(&name.as_str()) {
            files.insert(below, fs::read(&path).doing("reading", &path)?.into());
        }
    }
    Ok(())
}

/// Adds every file below `dir`, each under `prefix` and its path there.
pub(crate) fn collect_all(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Arc<[u8]>>) -> Result<(), PipelineError> {
    for (name, path, is_dir) in sorted_entries(dir)? {
        if is_dir {
            collect_all(&path, &format!("{prefix}{name}/"), files)?;
        } else {
            files.insert(format!("{prefix}{name}"), fs::read(&path).doing("reading", &path)?.into());
        }
    }
    Ok(())
}

/// Plain files and folders of `dir` by name; dot files, links and special files are passed over.
fn sorted_entries(dir: &Path) -> Result<Vec<(String, PathBuf, bool)>, PipelineError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).doing("listing", dir)? {
        let entry = entry.doing("listing", dir)?;
        let kind = entry.file_type().doing("listing", dir)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && (kind.is_dir() || kind.is_file()) {
            entries.push((name, entry.path(), kind.is_dir()));
        }
    }
    entries.sort();
    Ok(entries)
}
