//! `sealstone root`

use sealstone_pipeline::build;
use sealstone_pipeline::progress::Reporter;
use sealstone_pipeline::project::Project;
use sealstone_pipeline::roots::Inputs;

use crate::args::RootArgs;
use crate::exit::{DONE, Outcome};
use crate::surroundings;

pub(crate) fn run(args: &RootArgs, reporter: &dyn Reporter) -> Outcome {
    let project = Project::load(&args.spec)?;
    let locked = project.matching_lock()?;
    let store = surroundings::store(&args.store)?;
    let _guard = build::guard(&store, reporter)?;
    let mirrors = surroundings::mirrors()?;
    let inputs = Inputs { project: &project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter };
    println!("{}", inputs.root(&args.name)?.display());
    Ok(DONE)
}
