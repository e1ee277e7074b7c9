//! Isolation, tried from the inside. This test is a program of its own (`harness = false`), because the sandbox
//! re-executes the program that it is part of. The root is made of the host's own `/usr`, shown read-only, and the program
//! inside is mostly this one again, shown at `/self`. Arguments: names of tests, or parts of them; none for all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code, which clippy can't see without the harness")]

mod isolation {
    pub(crate) mod inside;
    pub(crate) mod outside;
}

use isolation::{inside, outside};

fn main() {
    sealstone_sandbox::enter_if_inner();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--inside", rest @ ..] => inside::main(rest),
        ["--outside-helper", out] => outside::run_until_killed(out.as_ref()),
        filters => run_all(filters),
    }
}

fn run_all(filters: &[&str]) {
    let forbidden = sealstone_sandbox::probe().err();
    let mut failed = 0;
    for (name, test) in outside::TESTS {
        // Options of the standard harness, which `cargo test -- --nocapture` would hand on, are no names.
        let mut names = filters.iter().filter(|filter| !filter.starts_with('-')).peekable();
        if names.peek().is_some() && !names.any(|filter| name.contains(filter)) {
            continue;
        }
        if let Some(problem) = &forbidden {
            println!("SKIPPED {name}: {problem}");
            continue;
        }
        match std::panic::catch_unwind(test) {
            Ok(()) => println!("test {name} ... ok"),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    if failed > 0 {
        println!("{failed} failed");
        std::process::exit(1);
    }
}
