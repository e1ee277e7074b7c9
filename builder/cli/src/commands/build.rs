//! `sealstone build`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sealstone_pipeline::build::{self, Built, Options};
use sealstone_pipeline::folder::{self, Published};
use sealstone_pipeline::head::Head;
use sealstone_pipeline::packs::models::Lookup;
use sealstone_pipeline::progress::{Event, Reporter};
use sealstone_pipeline::project::Project;
use sealstone_pipeline::roots::{Inputs, UserCargo};
use serde::Serialize;

use crate::args::BuildArgs;
use crate::exit::{DONE, Failure, NOT_REPRODUCED, Outcome};
use crate::progress::size;
use crate::surroundings;

pub(crate) fn run(args: &BuildArgs, reporter: &dyn Reporter) -> Outcome {
    let project = Project::load(&args.spec)?;
    let expected = args.expect.as_deref().map(read_head).transpose()?;
    let store = surroundings::store(&args.store)?;
    let _guard = build::guard(&store, reporter)?;
    let mirrors = surroundings::mirrors()?;
    let locked = match project.matching_lock() {
        Err(_) if !args.locked => {
            super::lock::resolve(&project, &mirrors, reporter)?;
            project.matching_lock()?
        }
        locked => locked?,
    };
    let inputs = Inputs { project: &project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter };
    let jobs = surroundings::jobs(args.jobs);
    let cargo_home = surroundings::cargo_home();
    let cargo = UserCargo { home: &cargo_home, fetch: &surroundings::cargo_fetch };
    let models = Lookup { folder: args.models.as_deref(), locked: args.locked };
    let options = Options { jobs, no_cache: args.no_cache, check: args.check, vary: args.vary, cargo, models };
    let built = build::build(&inputs, &locked, &options)?;
    let head = Head::of(&built);
    if let Some(path) = &args.record {
        write_head(path, &head)?;
    }
    if folder::publish(&args.out, &built.files, &built.packs)? == Published::Unchanged {
        reporter.event(Event::Step { step: format!("{} is up to date", args.out.display()) });
    }
    print(args, &built, &head)?;
    match expected {
        Some(expected) => compare(&expected, &head, args.expect.as_deref().unwrap_or(Path::new(""))),
        None => Ok(DONE),
    }
}

fn print(args: &BuildArgs, built: &Built, head: &Head) -> Result<(), Failure> {
    if args.json {
        #[derive(Serialize)]
        struct Report<'a> {
            out: String,
            #[serde(flatten)]
            head: &'a Head,
            #[serde(skip_serializing_if = "Option::is_none")]
            checked: Option<&'a sealstone_pipeline::check::Report>,
        }
        let report = Report { out: args.out.display().to_string(), head, checked: built.checked.as_ref() };
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
        return Ok(());
    }
    for (name, file) in &head.files {
        println!("{}  {:>10}  {}", file.sha256, size(file.size), args.out.join(name).display());
    }
    if let Some(report) = &built.checked {
        println!("built twice, {} outputs equal; the second time with:", report.compared);
        for (what, value) in &report.varied {
            println!("  {what}: {value}");
        }
    }
    Ok(())
}

pub(super) fn read_head(path: &Path) -> Result<Head, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::bad_input(format!("reading {}: {e}", path.display())))?;
    Head::parse(&text)
        .map_err(|e| Failure::bad_input(format!("{}: {e}; `sealstone build --record` writes such a file", path.display())))
}

pub(super) fn write_head(path: &Path, head: &Head) -> Result<(), Failure> {
    folder::write_file(path, head.to_text().as_bytes())?;
    Ok(())
}

pub(super) fn compare(expected: &Head, found: &Head, path: &Path) -> Outcome {
    let differences: BTreeMap<_, _> = expected.differences(found);
    if differences.is_empty() {
        eprintln!("the same as {}", path.display());
        return Ok(DONE);
    }
    eprintln!("sealstone: not the same as {}:", path.display());
    for (what, difference) in &differences {
        eprintln!("  {what}: {difference}");
    }
    Ok(NOT_REPRODUCED)
}
