//! Resolving a spec into its lock: fetch the signed indexes, check them, choose, and say what changed.

use std::collections::{BTreeMap, BTreeSet};

use sealstone_inputs::Mirrors;
use sealstone_inputs::debian::{self, Note, Update};
use sealstone_spec::lock::{self, Change};
use sealstone_spec::{Lock, Spec, SpecPath, UtcTime};

use crate::error::PipelineError;
use crate::folder;
use crate::progress::{Event, Reporter};
use crate::project::Project;

/// A lock that has been resolved but not written.
pub struct Resolved {
    /// The lock.
    pub lock: Lock,
    /// What it changes of the present one; empty if nothing.
    pub changes: Vec<Change>,
    /// What the user should know.
    pub notes: Vec<Note>,
    /// The spec's text with the pins that an update moved, if it moved any.
    pub spec_text: Option<String>,
}

/// Resolves the project's spec against the archives' indexes as they are `now`.
///
/// # Errors
/// [`PipelineError::Resolve`] for an index that must not be believed, or a package that no archive has.
pub fn resolve(
    project: &Project,
    mirrors: &Mirrors,
    update: Update<'_>,
    now: UtcTime,
    reporter: &dyn Reporter,
) -> Result<Resolved, PipelineError> {
    reporter.event(Event::Step { step: "resolving the lock from the archives' signed indexes".into() });
    let old = project.lock()?;
    let mut keys: BTreeMap<SpecPath, Vec<u8>> = BTreeMap::new();
    for path in key_files(project) {
        keys.insert(path.clone(), project.read(path.as_str())?);
    }
    let indexes = debian::load_indexes(&project.spec, &keys, mirrors, old.as_ref(), now)?;
    let resolution = debian::resolve(&project.spec, &indexes, project.locked_crates()?, old.as_ref(), update)?;
    let changes = match &old {
        Some(old) => lock::diff(old, &resolution.lock),
        None => Vec::new(),
    };
    let spec_text = moved_pins(project, &resolution.notes)?;
    Ok(Resolved { lock: resolution.lock, changes, notes: resolution.notes, spec_text })
}

/// Writes a resolved lock, and the spec whose pins it moved; the lock last, because a lock without its spec is refused
/// while a spec without its lock is resolved again.
pub fn save(project: &Project, resolved: &Resolved) -> Result<(), PipelineError> {
    if let Some(text) = &resolved.spec_text {
        folder::write_file(&project.spec_path, text.as_bytes())?;
    }
    folder::write_file(&project.lock_path(), resolved.lock.to_text().as_bytes())
}

fn key_files(project: &Project) -> BTreeSet<&SpecPath> {
    let archives = project.spec.archives.values();
    archives.flat_map(|archive| [&archive.keys].into_iter().chain(archive.also.iter().map(|also| &also.keys))).collect()
}

fn moved_pins(project: &Project, notes: &[Note]) -> Result<Option<String>, PipelineError> {
    let mut text: Option<String> = None;
    for note in notes {
        if let Note::PinMoved { source, from: _, to } = note {
            let before = match text {
                Some(text) => text,
                None => project.text()?,
            };
            let (after, _line) = Spec::move_pin(&project.spec_path.to_string_lossy(), &before, source, to)?;
            text = Some(after);
        }
    }
    Ok(text)
}
