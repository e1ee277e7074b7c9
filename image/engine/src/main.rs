//! `/engine NAME`: started by init with an empty environment; descriptor 0 is the socket to the front.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use sealstone_engine::serve::End;
use sealstone_engine::start::{self, Ended};

fn main() -> ExitCode {
    start::hide_panics();
    match start::run(rustix::stdio::stdin()) {
        Ok(()) | Err(Ended::Served(End::Front)) => ExitCode::SUCCESS,
        Err(ended) => {
            start::say(&ended.to_string());
            ExitCode::FAILURE
        }
    }
}
