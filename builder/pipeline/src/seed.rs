//! The seed: the one program that the flake's derivations run (builder/seed), built as an action like any other, so that both
//! builders can make it and have to make the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use sealstone_inputs::debian;
use sealstone_spec::{LockedCrate, Sha256};

use crate::action::{Action, Crate, Tree};
use crate::error::{IoContext, PipelineError};
use crate::progress::Fetching;
use crate::roots::{BUILD_ROOT, Inputs, UserCargo};
use crate::runner::{Conditions, Runner};

/// The program's name, and the action's.
pub const NAME: &str = "sealstone-seed";

/// Where its crate stands in the source tree.
const CRATE: &str = "builder/seed";

/// Folders of a crate that compiling it reads. Tests and benches aren't built, but cargo wants to find those that a manifest names.
const FOLDERS: &[&str] = &["benches", "profiles", "recipes", "src", "tests"];

/// Builds the seed from the source tree `source` and returns the program.
///
/// # Errors
/// Those of fetching, of the root, and of the recipe.
pub fn build(inputs: &Inputs<'_>, source: &Path, cargo: &UserCargo<'_>, jobs: usize) -> Result<Vec<u8>, PipelineError> {
    let action = action(source, inputs.plan(BUILD_ROOT)?.digest())?;
    let manifest = source.join(CRATE).join("Cargo.toml");
    let cargo = sealstone_inputs::Cargo { manifest: &manifest, home: cargo.home, fetch: cargo.fetch };
    sealstone_inputs::fetch_crates(inputs.store, inputs.mirrors, &crates(source)?, &cargo, &Fetching(inputs.reporter))?;
    let runner = Runner {
        store: inputs.store,
        root: inputs.root(BUILD_ROOT)?,
        epoch: inputs.project.spec.image.epoch,
        reporter: inputs.reporter,
        conditions: Conditions::canonical(jobs),
        remembering: false,
    };
    let out = inputs.store.scratch()?;
    runner.make(&action, out.path())?;
    let program = out.path().join(NAME);
    fs::read(&program).doing("reading", &program)
}

/// The action that builds it. Not one for [`Runner::run`], which refuses outputs that name `/build`: this program holds the recipes.
///
/// # Errors
/// [`PipelineError::Io`] if `source` isn't a source tree of the builder.
pub fn action(source: &Path, root: Sha256) -> Result<Action, PipelineError> {
    let crates =
        crates(source)?.iter().map(|c| Crate { folder: format!("{}-{}", c.name, c.version), sha256: c.sha256 }).collect();
    Ok(Action {
        name: NAME.into(),
        root,
        script: include_str!("../../seed/recipe.sh").into(),
        env: BTreeMap::new(),
        trees: BTreeMap::from([("src".into(), Tree::Files(sources(source)?)), ("vendor".into(), Tree::Crates(crates))]),
        files: BTreeMap::new(),
        outputs: &[NAME],
    })
}

/// The digest by which Nix knows an executable file with these contents: of its archive format, which holds the mode.
/// Source: Eelco Dolstra, "The Purely Functional Software Deployment Model", figure 5.2.
pub fn nix_digest(contents: &[u8]) -> Sha256 {
    let parts: [&[u8]; 9] = [b"nix-archive-1", b"(", b"type", b"regular", b"executable", b"", b"contents", contents, b")"];
    let mut archive = Vec::new();
    for part in parts {
        archive.extend_from_slice(&(part.len() as u64).to_le_bytes());
        archive.extend_from_slice(part);
        archive.resize(archive.len().next_multiple_of(8), 0);
    }
    Sha256::of(&archive)
}

fn crates(source: &Path) -> Result<Vec<LockedCrate>, PipelineError> {
    let lock = source.join(CRATE).join("Cargo.lock");
    debian::crates_from_cargo_lock(&cargo_lock(source)?).map_err(|source| PipelineError::Crates { lock, source })
}

fn cargo_lock(source: &Path) -> Result<String, PipelineError> {
    let path = source.join(CRATE).join("Cargo.lock");
    fs::read_to_string(&path).doing("reading", &path)
}

/// Manifests, and what the crates of the lock that come from no registry are compiled from.
fn sources(source: &Path) -> Result<BTreeMap<String, Arc<[u8]>>, PipelineError> {
    let mut names = vec!["Cargo.toml".to_string(), format!("{CRATE}/Cargo.lock"), format!("{CRATE}/recipe.sh")];
    for name in local_crates(&cargo_lock(source)?) {
        let folder = format!("builder/{}", name.strip_prefix("sealstone-").unwrap_or(&name));
        names.push(format!("{folder}/Cargo.toml"));
        for below in FOLDERS {
            walk(source, &format!("{folder}/{below}"), &mut names)?;
        }
    }
    let read = |name: String| {
        let path = source.join(&name);
        Ok((name, fs::read(&path).doing("reading", &path)?.into()))
    };
    names.into_iter().map(read).collect()
}

/// Names of the packages in a `Cargo.lock` that have no `source`.
fn local_crates(lock: &str) -> Vec<String> {
    let name =
        |package: &str| package.lines().find_map(|line| Some(line.strip_prefix("name = \"")?.strip_suffix('"')?.to_string()));
    lock.split("[[package]]").skip(1).filter(|package| !package.contains("\nsource = ")).filter_map(name).collect()
}

/// Adds the names of all files below `folder`, if there is such a folder.
fn walk(source: &Path, folder: &str, names: &mut Vec<String>) -> Result<(), PipelineError> {
    let dir = source.join(folder);
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&dir).doing("listing", &dir)? {
        let entry = entry.doing("listing", &dir)?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().doing("looking at", &entry.path())?.is_dir() {
            true => walk(source, &name, names)?,
            false => names.push(name),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The repository that this crate stands in.
    fn repository() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn packages_without_a_source_are_local() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"registry\"\nchecksum = \"x\"\n\n\
                    [[package]]\nname = \"sealstone-b\"\nversion = \"1\"\ndependencies = [\n \"a\",\n]\n";
        assert_eq!(local_crates(lock), ["sealstone-b"]);
    }

    #[test]
    fn the_source_holds_the_crates_it_is_made_of_and_nothing_else() {
        let files = sources(repository()).unwrap();
        for wanted in
            ["Cargo.toml", "builder/seed/src/main.rs", "builder/pipeline/src/lib.rs", "builder/pipeline/recipes/kernel.sh"]
        {
            assert!(files.contains_key(wanted), "{wanted}");
        }
        for unwanted in ["builder/cli/", "builder/client/", "image/", "target/", "builder/seed/target/"] {
            assert!(!files.keys().any(|path| path.starts_with(unwanted)), "{unwanted}");
        }
    }

    #[test]
    fn its_sources_and_crates_move_the_key() {
        let base = action(repository(), Sha256::of(b"root")).unwrap();
        let mut changed = base.clone();
        if let Some(Tree::Files(files)) = changed.trees.get_mut("src") {
            files.insert("builder/seed/src/main.rs".into(), Arc::from(&b"fn main() {}"[..]));
        }
        assert_ne!(base.key(), changed.key());
        let mut changed = base.clone();
        if let Some(Tree::Crates(crates)) = changed.trees.get_mut("vendor") {
            assert!(crates.pop().is_some(), "it is made of crates");
        }
        assert_ne!(base.key(), changed.key());
    }

    /// Against `nix hash path --base16` (Nix 2.8.0) of an executable file with this content.
    #[test]
    fn nix_computes_the_same_digest() {
        assert_eq!(nix_digest(b"hello\n").to_string(), "65436039d3f93ca19a8dbf1c60b15739ed58f53f14b8d372acc1b351533010fa");
    }
}
