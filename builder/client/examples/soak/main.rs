//! A daemon under load, for `ci/soak`: hundreds of sessions that ask, cancel and err at once, and a daemon that has to answer each with what is its
//! own, within bounds, to the end.
//!
//! `soak load DAEMON SECONDS [SESSIONS [RATE]]` starts the image's daemon program, static, in an empty root and under its own confinement, and an
//! engine process that says what it was asked ([`engine`]), loads them ([`load`], [`client`]) and ends the daemon by SIGTERM ([`daemon`]). The
//! configuration says `insecure`, because there is no TPM here: sessions have handshake, evidence document and records as they are, but no quote.
//!
//! How it could fool itself: by an engine that gives everybody the same (each prompt has a marker of its own, and the reply is made of it), by
//! requests that fail unnoticed (each has one right ending, and everything else is listed and fails), by a queue that never fills (bursts of all
//! sessions have to meet 429), by bounds that nobody reaches (both sides' figures are printed).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod client;
mod daemon;
mod engine;
mod load;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{text} is no number"));
    match words.as_slice() {
        ["engine"] => engine::run(),
        ["load", daemon, seconds, rest @ ..] => {
            let plan = load::Plan {
                time: Duration::from_secs(number(seconds).into()),
                sessions: rest.first().map_or(500, |text| number(text)),
                rate: rest.get(1).map_or(200, |text| number(text)),
            };
            return load::run(Path::new(daemon), plan);
        }
        _ => panic!("usage: soak load DAEMON SECONDS [SESSIONS [RATE]]"),
    }
    ExitCode::SUCCESS
}
