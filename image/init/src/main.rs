//! `/init`: brings the machine up, starts the daemon, and ends the machine when anything goes wrong.
//!
//! As any process but the first, the same program is the daemon (`sealstone_daemon`), which `/daemon` links to: two programs would hold the
//! C library and Rust's twice, a megabyte more of what is measured. The two share no state, only bytes; which one a process is hangs on its
//! number alone, which nobody can choose.
//!
//! It is given nothing but the kernel's own state and the measured configuration: arguments, environment and console input
//! are not read. There is no way to go on after an error; the reason is said once on the console and the power goes off. So it does, after the
//! requests that run, at SIGTERM, which the kernel sends when the power button is pressed.
//!
//! - [`boot`]: the order of everything
//! - [`mounts`], [`machine`], [`network`], [`packs`] (with [`dm`]), [`evidence`]: the steps before the daemon
//! - [`engines`]: starts one process a model; [`front`]: starts the daemon and watches over all
//! - [`signals`]: what init waits for; [`console`]: the only output; [`fatal`]: the only way out

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
mod signals;

use std::process::ExitCode;

use crate::front::Drained;

fn main() -> ExitCode {
    // Also, init would power off the machine of whoever tries this program.
    if !rustix::process::getpid().is_init() {
        return sealstone_daemon::start::main();
    }
    let why = match boot::run() {
        Ok(Drained) => "drained".to_owned(),
        Err(fatal) => format!("fatal: {fatal}"),
    };
    fatal::power_off(&why)
}
