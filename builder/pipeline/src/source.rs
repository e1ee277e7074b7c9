//! The files of the source tree that a build reads: the spec, its lock, every file that the spec names except models, and the
//! userland's sources. They make up `source.tar`, from which the same image can be built without the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use sealstone_bom::source::Tree;
use sealstone_spec::SpecPath;

use crate::error::{IoContext, PipelineError};
use crate::project::{Locked, Project};
use crate::recipes::{KERNEL, LOCKING, USERLAND};

/// A source tree and what each file is for.
pub struct Sources {
    /// The spec's path in the tree.
    pub spec: String,
    /// Files by their path below the lowest folder that holds them all.
    pub files: Tree,
    /// The same paths → the step that reads the file: an action, [`ASSEMBLY`](sealstone_bom::provenance::ASSEMBLY), or `lock`
    /// for the keys that only resolving needs.
    pub used_by: BTreeMap<String, &'static str>,
}

/// Reads the source tree of `project`.
///
/// # Errors
/// [`PipelineError::Io`] when a file that the spec names isn't there.
pub fn read(project: &Project, locked: &Locked) -> Result<Sources, PipelineError> {
    let place = Place::of(project)?;
    let spec = place.below(&file_name(&project.spec_path));
    let mut all = Sources { spec: spec.clone(), files: Tree::new(), used_by: BTreeMap::new() };
    let mut add = |path: String, content: Vec<u8>, used_by: &'static str| {
        all.used_by.insert(path.clone(), used_by);
        all.files.insert(path, content);
    };
    add(spec, project.text()?.into_bytes(), sealstone_bom::provenance::ASSEMBLY);
    add(place.below(&file_name(&project.lock_path())), locked.lock.to_text().into_bytes(), sealstone_bom::provenance::ASSEMBLY);
    for (named, used_by) in named(project) {
        add(place.below(named.as_str()), project.read(named.as_str())?, used_by);
    }
    let userland = project.spec.userland.workspace.as_str();
    for (path, content) in project.userland_sources()? {
        add(place.below(&format!("{userland}/{path}")), content.to_vec(), USERLAND);
    }
    Ok(all)
}

/// Every file that the spec names, with the step that reads it. Models are named by digest in the measured configuration and may
/// be too large to be carried along.
fn named(project: &Project) -> Vec<(&SpecPath, &'static str)> {
    let spec = &project.spec;
    let kernel = &spec.kernel;
    let kernel = kernel.fragments.iter().chain(&kernel.patches).chain([&kernel.resolved]).map(|path| (path, KERNEL));
    let keys = spec.archives.values().flat_map(|archive| [&archive.keys].into_iter().chain(archive.also.iter().map(|a| &a.keys)));
    kernel.chain(keys.map(|path| (path, LOCKING))).collect()
}

/// Where a spec stands below the lowest folder that holds everything it names.
struct Place {
    /// Names of the folders in between.
    folders: Vec<String>,
}

impl Place {
    fn of(project: &Project) -> Result<Self, PipelineError> {
        let dir = fs::canonicalize(&project.dir).doing("looking at", &project.dir)?;
        let climbs = named(project).iter().map(|(path, _)| path.climbs()).chain([project.spec.userland.workspace.climbs()]).max();
        let names: Vec<String> = dir
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let first = names.len().saturating_sub(climbs.unwrap_or(0));
        Ok(Self { folders: names.get(first..).unwrap_or_default().to_vec() })
    }

    /// A path relative to the spec's folder, as one relative to the tree, without `.` and `..`.
    fn below(&self, path: &str) -> String {
        let mut parts: Vec<&str> = self.folders.iter().map(String::as_str).collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                name => parts.push(name),
            }
        }
        parts.join("/")
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes a tree into the empty folder `dir`.
pub fn lay_out(files: &Tree, dir: &Path) -> Result<(), PipelineError> {
    for (path, content) in files {
        let path: PathBuf = dir.join(path);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).doing("creating", parent)?;
        fs::write(&path, content).doing("writing", &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_lowest_common_folder() {
        let place = Place { folders: vec!["image".into()] };
        assert_eq!(place.below("inference.yaml"), "image/inference.yaml");
        assert_eq!(place.below("../kernel-config/base.config"), "kernel-config/base.config");
        assert_eq!(place.below("./init/src/main.rs"), "image/init/src/main.rs");
        assert_eq!(Place { folders: vec![] }.below("./init/Cargo.toml"), "init/Cargo.toml");
    }
}
