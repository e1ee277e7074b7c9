//! Signals, and what init makes of them, in a process with one thread, as init is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, dead_code, unused_imports)]

#[path = "../src/console.rs"]
mod console;
#[path = "../src/engines.rs"]
mod engines;
#[path = "../src/fatal.rs"]
mod fatal;
#[path = "../src/front.rs"]
mod front;
#[path = "../src/signals.rs"]
mod signals;

use std::process::Command;
use std::time::{Duration, Instant};

use fatal::Fatal;
use front::{Drained, Front};
use rustix::process::{Signal as Number, getpid, kill_process};
use signals::{Signal, Signals};

const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(10);

/// Fronts, by what they do when they are asked to end.
const ORDERLY: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
const FAILING: &str = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done";
/// And one that ends unasked, well or not.
const SHORT: &str = "echo ready; sleep 0.2; exit 0";

fn main() {
    // All programs before the first signal is blocked, because they inherit that.
    let mut fronts = [ORDERLY, FAILING, SHORT, "exit 0"].map(start).into_iter();
    let mut next = || fronts.next().unwrap();
    let mut orderly = next();
    orderly.wait_until_ready().unwrap();
    let (mut failing, mut short, mut silent) = (next(), next(), next());
    let signals = Signals::block().unwrap();
    they_wait_until_they_are_taken(&signals);

    assert!(matches!(silent.wait_until_ready(), Err(Fatal::FrontEnded(_))), "it ended before it was ready");
    short.wait_until_ready().unwrap();
    assert!(matches!(short.watch(&signals), Err(Fatal::FrontEnded(status)) if status.success()), "nobody asked it to end");
    end();
    assert!(matches!(orderly.watch(&signals), Ok(Drained)), "it was asked, and ended well");
    failing.wait_until_ready().unwrap();
    end();
    match failing.watch(&signals) {
        Err(Fatal::FrontEnded(status)) => assert_eq!(status.code(), Some(3)),
        other => panic!("{:?}", other.map(|_| ()).map_err(|fatal| fatal.to_string())),
    }
    println!("signals: a front ends well when it was asked to and did, and in no other way");
}

fn start(script: &str) -> Front {
    let (engines, _) = engines::start(&[], &[]).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]);
    Front::run(shell, engines).unwrap()
}

/// What a kernel does when the power button is pressed.
fn end() {
    kill_process(getpid(), Number::TERM).unwrap();
}

fn they_wait_until_they_are_taken(signals: &Signals) {
    while signals.wait(SOON).unwrap().is_some() {}
    let began = Instant::now();
    assert_eq!(signals.wait(SOON).unwrap(), None);
    assert!(began.elapsed() >= SOON, "it waits");
    // Blocked, it ends nobody, and is there when it is asked for.
    end();
    assert_eq!(signals.wait(LATE).unwrap(), Some(Signal::End));
    // The reason for blocking them only after every program is started.
    let output = Command::new("cat").arg("/proc/self/status").output().unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    assert!(!status.contains("SigBlk:\t0000000000000000"), "the standard library empties the mask now: {status}");
    assert_eq!(signals.wait(LATE).unwrap(), Some(Signal::Child));
}
