//! `sealstone run`

use std::sync::mpsc;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use sealstone_pipeline::boot::{self, Machine, Qemu, RUN_ROOT, Way};
use sealstone_pipeline::build;
use sealstone_pipeline::progress::{Event, Reporter};
use sealstone_pipeline::project::Project;
use sealstone_pipeline::roots::Inputs;
use sealstone_pipeline::{folder, guest};

use crate::args::RunArgs;
use crate::exit::{DONE, Outcome};
use crate::surroundings;

pub(crate) fn run(args: &RunArgs, reporter: &dyn Reporter) -> Outcome {
    folder::read(&args.dir)?;
    let project = Project::load(&args.spec)?;
    let locked = project.matching_lock()?;
    let store = surroundings::store(&args.store)?;
    let mirrors = surroundings::mirrors()?;
    let root = {
        let _guard = build::guard(&store, reporter)?;
        Inputs { project: &project, lock: &locked.lock, store: &store, mirrors: &mirrors, reporter }.root(RUN_ROOT)?
    };
    let port = args.port.map_or_else(boot::free_port, Ok)?;
    let way = if args.direct { Way::Direct } else { Way::Disk };
    let mut packs = if args.no_packs { Vec::new() } else { folder::packs(&args.dir)? };
    packs.extend(args.pack.iter().cloned());
    let qemu = match &args.qemu {
        Some(program) => Qemu::Own { program: program.clone(), accel: args.accel.clone() },
        None => Qemu::Pinned,
    };
    let tpm_state = args.tpm_state.clone();
    let machine = Machine { packs, way, tpm_state, memory: args.memory, port, guest_port: project.spec.network.port, qemu };
    reporter.event(Event::Step {
        step: format!("booting {} ({way}); the daemon will answer on 127.0.0.1:{port}", args.dir.display()),
    });
    let mut booted = boot::start(&store, &root, &args.dir, &machine)?;
    if args.smoke {
        let ready = booted.wait_ready(Duration::from_secs(args.timeout), &mut |line| eprintln!("{line}"))?;
        if let Some(file) = &args.health {
            guest::save_health(port, file)?;
        }
        if let Some(dir) = &args.evidence {
            guest::save_evidence(port, &surroundings::random()?, dir)?;
        }
        println!("ready after {:.1} s ({way})", ready.seconds);
    } else {
        booted.follow(&asked_to_end()?, &mut |line| println!("{line}"))?;
    }
    Ok(DONE)
}

/// A word for each SIGINT and SIGTERM from now on.
fn asked_to_end() -> std::io::Result<mpsc::Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, _) in signals.forever().enumerate() {
            if number == 0 {
                eprintln!("sealstone: asking the image to switch off; once more ends the machine at once");
            }
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}
