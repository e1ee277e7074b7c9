//! The packs of a spec's models.
//!
//! What it must prove: that what the measured configuration says of a model is what the spec says, whatever lies about on this machine.
//! How it could fool: by taking a file for unchanged because its size, time and inode are the same. No such guess is made. A model with a `pack:`
//! in the spec is known by its root: its files are read once, to make the pack, and a later build asks the store for the pack of that root. A
//! model without is packed anew by every build.

use std::fs;
use std::path::{Path, PathBuf};

use sealstone_assemble::config::ModelPack;
use sealstone_formats::verity::{BLOCK, Geometry};
use sealstone_inputs::Store;
use sealstone_spec::{Generator, LockedPack, Model, ModelSource, Sha256};
use serde::{Deserialize, Serialize};

use super::error::PackError;
use super::place;
use super::source::Source;
use super::write::{self, Counter, Order, Pack};
use crate::error::PipelineError;
use crate::folder::{Large, LargeFiles};
use crate::progress::{Event, Reporter};
use crate::project::Project;

/// Where models are looked for, and what is taken on trust.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The folder that the spec's `file`, `files` and `folder` are relative to, in place of the spec's own.
    pub folder: Option<&'a Path>,
    /// Refuse models whose pack the spec doesn't name.
    pub locked: bool,
}

/// The packs of an image.
#[derive(Clone, Debug, Default)]
pub struct Packs {
    /// What the measured configuration says, one a model.
    pub models: Vec<ModelPack>,
    /// `packs/<name>.pack` of the output folder, for the models that could be packed here.
    pub files: LargeFiles,
}

/// What the store remembers of a pack, by its root.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    root: Sha256,
    salt: Sha256,
    size: u64,
    /// The whole pack, an object of the store.
    sha256: Sha256,
    bytes: u64,
    files: Vec<String>,
}

/// Packs every model of the spec, or finds its pack in the store.
///
/// # Errors
/// [`PackError`], inside [`PipelineError::Pack`]; `Other` for files that aren't those that the spec locks.
pub fn resolve(project: &Project, store: &Store, lookup: &Lookup<'_>, reporter: &dyn Reporter) -> Result<Packs, PipelineError> {
    let mut packs = Packs::default();
    for model in &project.spec.models {
        let one = One { project, store, lookup, reporter, model };
        let (identity, made) = one.resolve()?;
        packs.models.push(ModelPack {
            file: model.main.to_string(),
            name: model.name.to_string(),
            required: model.required,
            root: identity.root.to_string(),
            salt: identity.salt.to_string(),
            size: identity.size,
        });
        if let Some(large) = made {
            packs.files.insert(format!("packs/{}.pack", model.name), large);
        }
    }
    Ok(packs)
}

/// Bytes of a whole pack with so much data.
pub fn whole_bytes(size: u64) -> Option<u64> {
    let tree = Geometry::of_bytes(size).ok()?.tree_bytes();
    size.checked_add(BLOCK as u64)?.checked_add(tree)
}

/// The lines of a spec that stand for a pack, indented as in the default one.
pub fn spec_lines(pack: &LockedPack) -> String {
    let epoch = if pack.epoch == 0 { String::new() } else { format!("\n      epoch: {}", pack.epoch) };
    format!("    pack:\n      root: {}\n      salt: {}\n      size: {}{epoch}\n", pack.root, pack.salt, pack.size)
}

/// One model on its way into the image.
struct One<'a> {
    project: &'a Project,
    store: &'a Store,
    lookup: &'a Lookup<'a>,
    reporter: &'a dyn Reporter,
    model: &'a Model,
}

impl One<'_> {
    fn resolve(&self) -> Result<(LockedPack, Option<Large>), PipelineError> {
        match self.model.pack {
            Some(locked) => Ok((locked, self.locked(&locked)?)),
            None => {
                let generated = matches!(self.model.source, ModelSource::Generated(_));
                if self.lookup.locked && !generated {
                    let remedy = "`sealstone pack` prints the lines to add to it".into();
                    return Err(PackError::Unlocked {
                        spec: self.project.spec_path.clone(),
                        model: self.model.name.to_string(),
                        remedy,
                    }
                    .into());
                }
                let source = self.source()?.ok_or_else(|| self.absent())?;
                let (identity, large) = self.pack(&source, 0)?;
                if !generated {
                    let lines = spec_lines(&identity);
                    self.say(format!(
                        "model {} was packed as it is; to lock it, add to its entry in the spec:\n{lines}",
                        self.model.name
                    ));
                }
                Ok((identity, Some(large)))
            }
        }
    }

    /// The pack that the spec names, from the store or from the model's files; `None` where neither is here, which leaves the image the same.
    fn locked(&self, locked: &LockedPack) -> Result<Option<Large>, PipelineError> {
        if let Some(large) = self.remembered(locked)? {
            return Ok(Some(large));
        }
        let Some(source) = self.source()? else {
            self.say(format!(
                "model {}: its files are not here, so its pack isn't made; the image is the same without, and takes only that pack",
                self.model.name
            ));
            return Ok(None);
        };
        let (found, large) = self.pack(&source, locked.epoch)?;
        if found == *locked {
            return Ok(Some(large));
        }
        let remedy = format!("bring the locked files, or change its entry in the spec to:\n{}", spec_lines(&found));
        let (found, locked) = (found.root.to_string(), locked.root.to_string());
        let spec = self.project.spec_path.clone();
        Err(PackError::Other { spec, model: self.model.name.to_string(), found, locked, remedy }.into())
    }

    /// Packs `source` into the store, and remembers that.
    fn pack(&self, source: &Source, epoch: u64) -> Result<(LockedPack, Large), PipelineError> {
        self.check_main(source.list().map(|(path, _)| path))?;
        let what = format!("packing {}", self.model.name);
        let total = write::work(source);
        let counter = Counter::new(|done| self.reporter.event(Event::Packing { what: what.clone(), done, total }));
        self.reporter.event(Event::Packing { what: what.clone(), done: 0, total });
        let watch = |more| counter.add(more);
        let order = Order { name: &self.model.name, epoch, whole: true, watch: &watch };
        let scratch = self.store.scratch()?;
        let path = scratch.path().join("pack");
        let made = place::pack(source, &order, &path)?;
        self.reporter.event(Event::Packing { what: what.clone(), done: total, total });
        let sha256 = made.sha256.ok_or(PipelineError::Internal("a pack for the store has no digest"))?;
        if !self.store.contains(&sha256)? {
            self.store.adopt(&path, &sha256)?;
        }
        let identity = LockedPack { root: made.root, salt: made.salt, size: made.size, epoch };
        self.remember(&made, sha256)?;
        Ok((identity, self.large(sha256, made.bytes)))
    }

    fn large(&self, sha256: Sha256, bytes: u64) -> Large {
        Large { path: self.store.object(&sha256), sha256, size: bytes }
    }

    fn memory(&self, root: &Sha256) -> PathBuf {
        self.store.actions_dir().join(format!("pack-{root}"))
    }

    fn remember(&self, made: &Pack, sha256: Sha256) -> Result<(), PipelineError> {
        let Pack { root, salt, size, bytes, .. } = *made;
        let files = made.files.keys().cloned().collect();
        let text = serde_json::to_vec(&Remembered { root, salt, size, sha256, bytes, files });
        let text = text.map_err(|_| PipelineError::Internal("a pack's identity can't be written down"))?;
        crate::folder::write_file(&self.memory(&root), &text)
    }

    /// The pack of that root, if the store has it. An object that was touched is hashed again; one that was not is taken, and if the disk
    /// under it changed it, dm-verity refuses the block when it is read.
    fn remembered(&self, locked: &LockedPack) -> Result<Option<Large>, PipelineError> {
        let Ok(text) = fs::read(self.memory(&locked.root)) else { return Ok(None) };
        let Ok(found) = serde_json::from_slice::<Remembered>(&text) else { return Ok(None) };
        let same = (found.root, found.salt, found.size) == (locked.root, locked.salt, locked.size);
        if !same || !self.store.contains(&found.sha256)? {
            return Ok(None);
        }
        self.check_main(found.files.iter().map(String::as_str))?;
        Ok(Some(self.large(found.sha256, found.bytes)))
    }

    fn check_main<'f>(&self, mut files: impl Iterator<Item = &'f str>) -> Result<(), PackError> {
        let main = self.model.main.as_str();
        if files.any(|file| file == main) {
            return Ok(());
        }
        let problem = format!("model {}: no file `{main}` goes into its pack; correct `main` in the spec", self.model.name);
        Err(PackError::Source { path: self.project.spec_path.clone(), problem })
    }

    /// The model's files, if the first thing that the spec names is there at all.
    fn source(&self) -> Result<Option<Source>, PipelineError> {
        let base = self.lookup.folder.unwrap_or(&self.project.dir);
        let there = |path: &Path| path.symlink_metadata().is_ok();
        Ok(match &self.model.source {
            ModelSource::Generated(generator) => Some(Source::bytes(self.model.main.as_str(), generate(*generator)?)),
            ModelSource::Files(files) => {
                let paths: Vec<PathBuf> = files.iter().map(|file| base.join(file.as_str())).collect();
                if paths.iter().any(|path| there(path)) { Some(Source::files(&paths)?) } else { None }
            }
            ModelSource::Folder(folder) => {
                let path = base.join(folder.as_str());
                if there(&path) { Some(Source::folder(&path)?) } else { None }
            }
            _ => return Err(PipelineError::Internal("a source of models that nothing here packs")),
        })
    }

    fn absent(&self) -> PackError {
        let base = self.lookup.folder.unwrap_or(&self.project.dir);
        let problem = format!(
            "model {}: its files are not here, and the spec doesn't say which pack it is; bring them, name their folder with --models, or lock \
             the model with the lines that `sealstone pack` prints",
            self.model.name
        );
        PackError::Source { path: base.to_path_buf(), problem }
    }

    fn say(&self, step: String) {
        self.reporter.event(Event::Step { step });
    }
}

/// The bytes of a model that the builder makes.
fn generate(generator: Generator) -> Result<Vec<u8>, PipelineError> {
    match generator {
        Generator::Tiny { seed } => Ok(sealstone_testmodel::tiny(seed)),
        _ => Err(PipelineError::Internal("a generator of models that nothing here knows")),
    }
}

#[cfg(test)]
mod tests;
