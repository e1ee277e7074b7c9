//! The order in which the machine comes up.

use std::fs::File;
use std::io::Read;

use sealstone_config::MeasuredConfig;

use crate::fatal::{Context, Fatal};
use crate::front::{Drained, Front};
use crate::signals::Signals;
use crate::{console, engines, evidence, machine, mounts, network, packs};

/// Brings the machine up and watches over it; comes back only with the reason to end it.
pub(crate) fn run() -> Result<Drained, Fatal> {
    mounts::kernel_filesystems()?;
    console::attach()?;
    machine::restrict()?;
    let measured = read_config()?;
    let config = measured.config();
    machine::name(&config.image.name)?;
    console::say(&format!("{} {}, configuration {}", config.image.name, config.image.version.as_str(), measured.sha256()));

    network::wait()?;
    let mounted = packs::bring_up(&config.models)?;
    evidence::hand_over(crate::front::UID, crate::front::GID)?;
    mounts::seal_root()?;

    machine::give_up_privileges_by_exec()?;
    let (engines, sockets) = engines::start(&config.models, &mounted)?;
    let mut front = Front::start(engines, sockets)?;
    // Not before: programs inherit what is blocked. A SIGTERM that comes earlier is lost, and what ended earlier is found all the same.
    let signals = Signals::block().doing("blocking signals")?;
    machine::keep_only_power_off_and_signals()?;
    front.wait_until_ready()?;
    console::say(&format!("ready after {} s", console::since_boot()));
    front.watch(&signals)
}

fn read_config() -> Result<MeasuredConfig, Fatal> {
    let limit = u64::try_from(sealstone_config::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = File::open(sealstone_config::PATH).doing("opening the measured configuration")?;
    file.take(limit).read_to_end(&mut bytes).doing("reading the measured configuration")?;
    Ok(MeasuredConfig::parse(bytes)?)
}
