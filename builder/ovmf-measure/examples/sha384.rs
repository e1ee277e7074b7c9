//! `sha384 FILE`: prints the SHA-384 of a file, as a process of one thread. The peer of `ci/bench/measure`: what hashing a firmware file
//! costs at the very least, with the hash that the measurement uses.

#![allow(clippy::disallowed_methods, reason = "an example is a program: it reads its file")]

use std::process::ExitCode;

use ovmf_measure::digest::Algorithm;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: sha384 FILE");
        return ExitCode::from(2);
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            println!("{}", Algorithm::Sha384.hash(&bytes));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
