//! The actions of a build: which recipe, in which root, with what.
//!
//! They don't depend on one another, so all may run at once; the list has the longest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealstone_bom::source::Tree as Files;
use sealstone_kconfig as kconfig;
use sealstone_spec::{FirmwarePlatform, Lock, LockedSource, Sha256};

use crate::action::{Action, Crate, Tree, Unpack};
use crate::error::PipelineError;
use crate::project::Project;

/// Action names, which are also the names of stages in provenance.
pub const KERNEL: &str = "kernel";
/// Builds init, which is the daemon, too, and engine.
pub const USERLAND: &str = "userland";
/// Builds the UKI stub.
pub const STUB: &str = "uki-stub";

/// Builds a firmware; an action's name has the platform behind it.
pub const FIRMWARE: &str = "firmware";
/// Not an action: resolving the lock, which alone reads archives' keys.
pub const LOCKING: &str = "lock";

/// The recipes that this program has.
const SCRIPTS: &[(&str, &str)] = &[
    (KERNEL, include_str!("../recipes/kernel.sh")),
    (FIRMWARE, include_str!("../recipes/firmware.sh")),
    (USERLAND, include_str!("../recipes/userland.sh")),
    (STUB, include_str!("../recipes/uki-stub.sh")),
];

/// Where `source.tar` has the recipes.
const FOLDER: &str = "recipes/";

/// The text of every recipe that a project is built by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipes(BTreeMap<String, Arc<str>>);

impl Default for Recipes {
    /// Those that this program has.
    fn default() -> Self {
        Self(SCRIPTS.iter().map(|(name, script)| ((*name).to_owned(), Arc::from(*script))).collect())
    }
}

impl Recipes {
    /// Takes the recipes out of a source tree; one that it hasn't is this program's. Releases carry theirs, so that a program with other
    /// recipes can still build them again. They run nowhere but in the sandbox, as do the build scripts of the sources.
    pub(crate) fn take_from(tree: &mut Files) -> Self {
        let mut all = Self::default();
        for (name, script) in &mut all.0 {
            let carried = tree.remove(&format!("{FOLDER}{name}.sh")).and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(carried) = carried {
                *script = Arc::from(carried);
            }
        }
        all
    }

    /// As files of a source tree.
    pub(crate) fn files(&self) -> Files {
        self.0.iter().map(|(name, script)| (format!("{FOLDER}{name}.sh"), script.as_bytes().to_vec())).collect()
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, script)| (name.as_str(), &**script))
    }

    fn script(&self, name: &str) -> Arc<str> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

/// The action that builds the firmware for `platform`.
pub fn firmware_name(platform: FirmwarePlatform) -> String {
    format!("{FIRMWARE}-{platform}")
}

/// Every action of the build that `project` and `lock` describe, to be run in the root with digest `root`.
pub fn actions(project: &Project, lock: &Lock, root: Sha256) -> Result<Vec<Action>, PipelineError> {
    let mut all = vec![kernel(project, lock, root)?];
    for platform in &project.spec.firmware.platforms {
        all.push(firmware(project, lock, root, *platform)?);
    }
    all.push(userland(project, lock, root)?);
    all.push(stub(project, lock, root)?);
    Ok(all)
}

/// One of them. Of the source tree it reads only what this action is given.
///
/// # Errors
/// Besides those of the action itself, [`PipelineError::Output`] if `name` is no action of this build.
pub fn action(project: &Project, lock: &Lock, root: Sha256, name: &str) -> Result<Action, PipelineError> {
    if let Some(platform) = project.spec.firmware.platforms.iter().find(|platform| firmware_name(**platform) == name) {
        return firmware(project, lock, root, *platform);
    }
    match name {
        KERNEL => kernel(project, lock, root),
        USERLAND => userland(project, lock, root),
        STUB => stub(project, lock, root),
        _ => Err(PipelineError::Output { action: name.into(), problem: "the build has no such action".into() }),
    }
}

fn kernel(project: &Project, lock: &Lock, root: Sha256) -> Result<Action, PipelineError> {
    let spec = &project.spec.kernel;
    let fragments = read_fragments(project)?;
    let resolved = String::from_utf8_lossy(&project.read(spec.resolved.as_str())?).into_owned();
    check_config(spec.resolved.as_str(), &fragments, &resolved)?;
    let source = locked_source(project, lock, &spec.source)?;
    let deb = source.files.first().ok_or_else(|| unlocked(project, &spec.source))?;
    let mut files = BTreeMap::from([
        ("fragments".to_string(), Arc::from(fragments.allconfig().as_bytes())),
        ("resolved".to_string(), Arc::from(resolved.as_bytes())),
    ]);
    for (number, patch) in spec.patches.iter().enumerate() {
        // Numbered, because the recipe applies them in the order of their names.
        files.insert(format!("patch-{number:03}"), Arc::from(project.read(patch.as_str())?));
    }
    Ok(Action {
        name: KERNEL.into(),
        root,
        script: project.recipes.script(KERNEL),
        env: BTreeMap::new(),
        trees: BTreeMap::from([(
            "linux".into(),
            Tree::InDeb { deb: deb.sha256, member: format!("usr/src/{}.tar.xz", deb.name) },
        )]),
        files,
        outputs: &["bzImage", "config", "System.map"],
    })
}

/// The spec's fragments, merged.
pub fn read_fragments(project: &Project) -> Result<kconfig::Merged, PipelineError> {
    let mut fragments = Vec::new();
    for name in &project.spec.kernel.fragments {
        let name = name.as_str();
        let text = String::from_utf8_lossy(&project.read(name)?).into_owned();
        fragments.push(kconfig::Fragment::parse(name, &text).map_err(|e| config_error(name, e))?);
    }
    kconfig::Merged::of(&fragments).map_err(|e| config_error("kernel fragments", e))
}

/// Refuses a resolved configuration that lacks what the fragments ask for or has what an image must not have, before
/// minutes are spent on building it.
fn check_config(file: &str, fragments: &kconfig::Merged, resolved: &str) -> Result<(), PipelineError> {
    let resolved = kconfig::Resolved::parse(file, resolved).map_err(|e| config_error(file, e))?;
    let unmet = kconfig::check(fragments, &resolved);
    let findings = kconfig::lint(&resolved);
    let problems: Vec<String> = unmet.iter().map(ToString::to_string).chain(findings.iter().map(ToString::to_string)).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(config_error(file, problems.join("\n"))),
    }
}

fn config_error(file: &str, error: impl std::fmt::Display) -> PipelineError {
    PipelineError::KernelConfig { file: file.into(), problem: error.to_string() }
}

fn firmware(project: &Project, lock: &Lock, root: Sha256, platform: FirmwarePlatform) -> Result<Action, PipelineError> {
    let output: &'static [&'static str] = match platform {
        FirmwarePlatform::AmdSev => &["OVMF.amdsev.fd"],
        FirmwarePlatform::IntelTdx => &["OVMF.inteltdx.fd"],
        other => {
            return Err(PipelineError::Output { action: firmware_name(other), problem: "no recipe builds this platform".into() });
        }
    };
    let source = locked_source(project, lock, &project.spec.firmware.source)?;
    Ok(Action {
        name: firmware_name(platform),
        root,
        script: project.recipes.script(FIRMWARE),
        env: BTreeMap::from([("PLATFORM".into(), platform.to_string()), ("VERSION".into(), source.version.to_string())]),
        trees: BTreeMap::from([("edk2".into(), source_package(source)?)]),
        files: BTreeMap::new(),
        outputs: output,
    })
}

fn stub(project: &Project, lock: &Lock, root: Sha256) -> Result<Action, PipelineError> {
    let source = locked_source(project, lock, &project.spec.stub.source)?;
    Ok(Action {
        name: STUB.into(),
        root,
        script: project.recipes.script(STUB),
        env: BTreeMap::from([("VERSION".into(), source.version.to_string())]),
        trees: BTreeMap::from([("systemd".into(), source_package(source)?)]),
        files: BTreeMap::new(),
        outputs: &["linuxx64.efi.stub"],
    })
}

fn userland(project: &Project, lock: &Lock, root: Sha256) -> Result<Action, PipelineError> {
    let crates = lock.crates.iter().map(|c| Crate { folder: format!("{}-{}", c.name, c.version), sha256: c.sha256 }).collect();
    Ok(Action {
        name: USERLAND.into(),
        root,
        script: project.recipes.script(USERLAND),
        env: BTreeMap::from([("ISA".into(), project.spec.userland.isa.to_string())]),
        trees: BTreeMap::from([
            ("image".into(), Tree::Files(project.userland_sources()?)),
            ("vendor".into(), Tree::Crates(crates)),
        ]),
        files: BTreeMap::new(),
        outputs: &["init", "engine"],
    })
}

fn locked_source<'a>(project: &Project, lock: &'a Lock, name: &sealstone_spec::Name) -> Result<&'a LockedSource, PipelineError> {
    lock.sources.iter().find(|s| s.name == *name).ok_or_else(|| unlocked(project, name))
}

fn unlocked(project: &Project, name: &sealstone_spec::Name) -> PipelineError {
    PipelineError::Lock {
        lock: project.lock_path(),
        spec: project.spec_path.clone(),
        problem: format!("source {name} is not in the lock"),
    }
}

/// A Debian source package: the upstream tarball, then the packaging's `debian/` inside it. Patches are the recipe's matter.
/// Source: dpkg-source(1), "Format: 3.0 (quilt)".
fn source_package(source: &LockedSource) -> Result<Tree, PipelineError> {
    let find = |mark: &str| {
        source.files.iter().find(|f| f.path.as_str().contains(mark)).map(|f| f.sha256).ok_or_else(|| PipelineError::Output {
            action: source.name.to_string(),
            problem: format!("the lock lists no `*{mark}*` file for this source package; run `sealstone lock`"),
        })
    };
    Ok(Tree::Archives(vec![
        Unpack { archive: find(".orig.tar.")?, strip: 1, into: String::new() },
        Unpack { archive: find(".debian.tar.")?, strip: 0, into: String::new() },
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_recipes_take_the_place_of_ours() {
        let ours = Recipes::default();
        let mut tree = ours.files();
        assert_eq!(tree.len(), SCRIPTS.len());
        tree.insert("recipes/kernel.sh".into(), b"make tinyconfig".to_vec());
        tree.remove("recipes/userland.sh");
        tree.insert("image/inference.yaml".into(), Vec::new());
        let carried = Recipes::take_from(&mut tree);
        assert_eq!(&*carried.script(KERNEL), "make tinyconfig");
        assert_eq!(carried.script(USERLAND), ours.script(USERLAND), "an older release has none");
        assert_eq!(tree.into_keys().collect::<Vec<_>>(), ["image/inference.yaml"], "they are no files of the project");
        assert_eq!(Recipes::take_from(&mut carried.files()), carried);
    }
}
