//! `sealstone page`

use sealstone_pipeline::folder::{self, LargeFiles};
use sealstone_pipeline::head::Head;
use sealstone_pipeline::page::{self, Options};
use sealstone_pipeline::progress::Reporter;
use sealstone_pipeline::project::Project;
use sealstone_pipeline::roots::{Inputs, UserCargo};

use super::build::{compare, read_head, write_head};
use crate::args::PageArgs;
use crate::exit::{DONE, Outcome};
use crate::progress::size;
use crate::surroundings;

pub(crate) fn run(args: &PageArgs, reporter: &dyn Reporter) -> Outcome {
    let project = Project::load(&args.spec)?;
    let expected = args.expect.as_deref().map(read_head).transpose()?;
    let store = surroundings::store(&args.store)?;
    let _guard = sealstone_pipeline::build::guard(&store, reporter)?;
    let mirrors = surroundings::mirrors()?;
    let locked = project.matching_lock()?;
    let inputs = Inputs { project: &project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter };
    let cargo_home = surroundings::cargo_home();
    let cargo = UserCargo { home: &cargo_home, fetch: &surroundings::cargo_fetch };
    let jobs = surroundings::jobs(args.jobs);
    let options = Options { jobs, no_cache: args.no_cache, check: args.check, vary: args.vary, cargo };
    let built = page::build(&inputs, &args.tree, &options)?;
    let head = Head::of_page(&built);
    if let Some(path) = &args.record {
        write_head(path, &head)?;
    }
    folder::publish(&args.out, &built.files, &LargeFiles::new())?;
    for (name, file) in &head.files {
        println!("{}  {:>10}  {}", file.sha256, size(file.size), args.out.join(name).display());
    }
    if let Some(report) = &built.checked {
        println!("built twice, {} outputs equal", report.compared);
    }
    match (expected, &args.expect) {
        (Some(expected), Some(path)) => compare(&expected, &head, path),
        _ => Ok(DONE),
    }
}
