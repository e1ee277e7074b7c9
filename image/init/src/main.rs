//! `/init`: brings the machine up, starts the daemon, and ends the machine when anything goes wrong.
//!
//! It is given nothing but the kernel's own state and the measured configuration: arguments, environment and console input
//! are not read. There is no way to go on after an error; the reason is said once on the console and the power goes off.
//!
//! - [`boot`]: the order of everything
//! - [`mounts`], [`machine`], [`network`], [`packs`] (with [`dm`]), [`evidence`]: the steps before the daemon
//! - [`engines`]: starts one process a model; [`front`]: starts the daemon and watches over all
//! - [`console`]: the only output; [`fatal`]: the only way out

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod boot;
mod console;
mod dm;
mod engines;
mod evidence;
mod fatal;
mod front;
mod machine;
mod mounts;
mod network;
mod packs;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Anything else would power off the machine of whoever tries this program.
    if !rustix::process::getpid().is_init() {
        console::say("this is the init of an image and runs only as process 1");
        return ExitCode::from(2);
    }
    let fatal = match boot::run() {
        Ok(never) => match never {},
        Err(fatal) => fatal,
    };
    fatal::power_off(&fatal)
}
