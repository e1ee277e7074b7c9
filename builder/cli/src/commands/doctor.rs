//! `sealstone doctor`

use serde::Serialize;

use crate::args::DoctorArgs;
use crate::exit::{DONE, Failure, HOST_LACKS, Outcome};
use crate::progress::size;
use crate::surroundings;

/// What a cold build needs on disk: the store with its unpacked roots, and the largest source tree while it is built.
const DISK_NEEDED: u64 = 12 << 30;

/// What the check of a build needs in memory: two source trees with what compilers make of them.
const MEMORY_ADVISED: u64 = 8 << 30;

#[derive(Serialize)]
struct Check {
    what: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

pub(crate) fn run(args: &DoctorArgs) -> Outcome {
    let mut checks = vec![namespaces(), cargo(), store(args)?, memory()];
    if args.objects {
        checks.push(objects(args)?);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&checks).map_err(Failure::failed)?);
    } else {
        for check in &checks {
            println!("{} {}: {}", if check.ok { "ok  " } else { "LACK" }, check.what, check.found);
            if let Some(remedy) = &check.remedy {
                println!("       {remedy}");
            }
        }
    }
    Ok(if checks.iter().all(|check| check.ok) { DONE } else { HOST_LACKS })
}

fn namespaces() -> Check {
    let what = "isolation by namespaces";
    match sealstone_sandbox::probe() {
        Ok(()) => Check { what, ok: true, found: "a sandbox can be made".into(), remedy: None },
        Err(problem) => Check { what, ok: false, found: problem.to_string(), remedy: None },
    }
}

fn cargo() -> Check {
    let what = "cargo, by which crates are fetched";
    match surroundings::cargo_version() {
        Ok(version) => Check { what, ok: true, found: version, remedy: None },
        Err(problem) => {
            let remedy =
                Some("install a stable Rust with rustup, or point SEALSTONE_MIRROR at a folder that holds the crates".into());
            Check { what, ok: false, found: problem, remedy }
        }
    }
}

fn store(args: &DoctorArgs) -> Result<Check, Failure> {
    let dir = surroundings::store_dir(&args.store)?;
    let what = "room for the store";
    let store = match sealstone_inputs::Store::open(&dir) {
        Ok(store) => store,
        Err(error) => {
            let remedy = Some("say where the store may be with --store DIR or SEALSTONE_STORE".into());
            return Ok(Check { what, ok: false, found: error.to_string(), remedy });
        }
    };
    let free = surroundings::free_space(store.dir())?;
    let filled = store.roots_dir().read_dir().is_ok_and(|mut roots| roots.next().is_some());
    let ok = filled || free >= DISK_NEEDED;
    let found = format!("{} free at {}", size(free), dir.display());
    let remedy = (!ok).then(|| format!("a first build takes up to {}; use another --store", size(DISK_NEEDED)));
    Ok(Check { what, ok, found, remedy })
}

/// What a build finds out of an object when it reads it, for all of them at once.
fn objects(args: &DoctorArgs) -> Result<Check, Failure> {
    let store = surroundings::store(&args.store)?;
    // A builder may be about to read what is removed here.
    let _guard = store.try_lock_exclusive()?;
    let (good, damaged) = store.verify_all()?;
    let found = match damaged.as_slice() {
        [] => format!("{good} whole"),
        removed => {
            let names: Vec<String> = removed.iter().map(ToString::to_string).collect();
            format!("{good} whole, {} damaged and removed: {}", removed.len(), names.join(", "))
        }
    };
    let remedy =
        (!damaged.is_empty()).then(|| "nothing to do: the next build gets them anew; but look after that disk".to_string());
    Ok(Check { what: "objects of the store", ok: damaged.is_empty(), found, remedy })
}

fn memory() -> Check {
    let what = "memory";
    let total = surroundings::memory().unwrap_or(0);
    let remedy =
        (total < MEMORY_ADVISED).then(|| format!("build with -j1, and leave --check to a machine with {}", size(MEMORY_ADVISED)));
    Check { what, ok: true, found: size(total), remedy }
}
