//! `sealstone seed`

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sealstone_pipeline::progress::Reporter;
use sealstone_pipeline::project::Project;
use sealstone_pipeline::roots::{Inputs, UserCargo};
use sealstone_pipeline::{build, folder, seed};

use crate::args::SeedArgs;
use crate::exit::{DONE, Outcome};
use crate::surroundings;

pub(crate) fn run(args: &SeedArgs, reporter: &dyn Reporter) -> Outcome {
    let project = Project::load(&args.spec)?;
    let locked = project.matching_lock()?;
    let store = surroundings::store(&args.store)?;
    let _guard = build::guard(&store, reporter)?;
    let mirrors = surroundings::mirrors()?;
    let inputs = Inputs { project: &project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter };
    let cargo_home = surroundings::cargo_home();
    let cargo = UserCargo { home: &cargo_home, fetch: &surroundings::cargo_fetch };
    let program = seed::build(&inputs, Path::new("."), &cargo, surroundings::jobs(args.jobs))?;
    folder::write_file(&args.out, &program)?;
    fs::set_permissions(&args.out, fs::Permissions::from_mode(0o755))?;
    println!("{{\"nar\": \"{}\"}}", seed::nix_digest(&program));
    Ok(DONE)
}
