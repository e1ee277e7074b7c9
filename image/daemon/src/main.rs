//! The daemon by itself, for tests and benchmarks. In an image it is a part of init's program, see `init/src/main.rs`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sealstone_daemon::start::main()
}
