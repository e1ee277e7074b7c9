//! `sealstone root`

use sealstone_pipeline::build;
use sealstone_pipeline::progress::Reporter;
use sealstone_pipeline::project::Project;
use sealstone_pipeline::roots::{self, Inputs};

use crate::args::RootArgs;
use crate::exit::{DONE, Outcome};
use crate::surroundings;

pub(crate) fn run(args: &RootArgs, reporter: &dyn Reporter) -> Outcome {
    let project = Project::load(&args.spec)?;
    let locked = project.matching_lock()?;
    let store = surroundings::store(&args.store)?;
    let guard = build::guard(&store, reporter)?;
    let mirrors = surroundings::mirrors()?;
    let inputs = Inputs { project: &project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter };
    let root = inputs.root(&args.name)?;
    match args.command.is_empty() {
        true => println!("{}", root.display()),
        false => {
            // Others may use the store meanwhile: a root, once unpacked, never changes.
            drop(guard);
            roots::run_in(&root, &args.work, &args.command)?;
        }
    }
    Ok(DONE)
}
