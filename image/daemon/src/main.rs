//! `/daemon`: started by init without arguments or environment; standard output is init's status pipe.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use sealstone_daemon::event::{self, Event};
use sealstone_daemon::start;

fn main() -> ExitCode {
    event::log_panics();
    match start::run() {
        Ok(ended) => {
            event::log(&Event::Drained(ended));
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            event::log(&Event::Refused(refusal));
            ExitCode::FAILURE
        }
    }
}
