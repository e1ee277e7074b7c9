//! `sealstone lock`

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use sealstone_inputs::Mirrors;
use sealstone_inputs::debian::Update;
use sealstone_pipeline::locking::{self, Resolved};
use sealstone_pipeline::progress::Reporter;
use sealstone_pipeline::project::Project;
use sealstone_spec::UtcTime;
use serde::Serialize;

use crate::args::LockArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::surroundings;

pub(crate) fn run(args: &LockArgs, reporter: &dyn Reporter) -> Outcome {
    let project = Project::load(&args.spec)?;
    let names: BTreeSet<String> = args.update.iter().flatten().cloned().collect();
    let update = match &args.update {
        None => Update::Keep,
        Some(list) if list.is_empty() => Update::All,
        Some(_) => Update::Only(&names),
    };
    let mirrors = surroundings::mirrors()?;
    let first = project.lock()?.is_none();
    let resolved = locking::resolve(&project, &mirrors, update, now()?, reporter)?;
    if !args.dry_run {
        locking::save(&project, &resolved)?;
    }
    print(args, &project, &resolved, first)?;
    Ok(DONE)
}

/// Resolves because a build asked for it, and says so.
pub(crate) fn resolve(project: &Project, mirrors: &Mirrors, reporter: &dyn Reporter) -> Result<(), Failure> {
    let resolved = locking::resolve(project, mirrors, Update::Keep, now()?, reporter)?;
    locking::save(project, &resolved)?;
    for change in &resolved.changes {
        eprintln!("lock: {change}");
    }
    Ok(())
}

fn print(args: &LockArgs, project: &Project, resolved: &Resolved, first: bool) -> Result<(), Failure> {
    let changes: Vec<String> = resolved.changes.iter().map(ToString::to_string).collect();
    let notes: Vec<String> = resolved.notes.iter().map(ToString::to_string).collect();
    if args.json {
        #[derive(Serialize)]
        struct Report {
            lock: String,
            written: bool,
            packages: usize,
            sources: usize,
            crates: usize,
            changes: Vec<String>,
            notes: Vec<String>,
        }
        let lock = &resolved.lock;
        let report = Report {
            lock: project.lock_path().display().to_string(),
            written: !args.dry_run,
            packages: lock.packages.len(),
            sources: lock.sources.len(),
            crates: lock.crates.len(),
            changes,
            notes,
        };
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
        return Ok(());
    }
    for change in &changes {
        println!("{change}");
    }
    let verb = if args.dry_run { "would have" } else { "has" };
    if first || changes.is_empty() {
        let lock = &resolved.lock;
        let (packages, sources, crates) = (lock.packages.len(), lock.sources.len(), lock.crates.len());
        println!("{} {verb} {packages} packages, {sources} sources, {crates} crates", project.lock_path().display());
    }
    for note in notes {
        eprintln!("note: {note}");
    }
    Ok(())
}

fn now() -> Result<UtcTime, Failure> {
    let seconds =
        SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Failure::failed("the clock is before 1970; set it"))?;
    UtcTime::from_unix(seconds.as_secs()).ok_or_else(|| Failure::failed("the clock is beyond what an index can carry; set it"))
}
