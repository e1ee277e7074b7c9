//! The console: written to, never read.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use rustix::stdio;
use rustix::time::{ClockId, clock_gettime};

use crate::fatal::{Context, Fatal};

/// Makes the console init's standard output and error, and nothing its input, whatever the kernel had opened.
pub(crate) fn attach() -> Result<(), Fatal> {
    use rustix::fs::{Mode, OFlags, open};
    let nothing = File::open("/dev/null").doing("opening /dev/null")?;
    let console = open("/dev/console", OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    let console = console.doing("opening /dev/console")?;
    stdio::dup2_stdin(&nothing).doing("closing the console's input")?;
    stdio::dup2_stdout(&console).and_then(|()| stdio::dup2_stderr(&console)).doing("attaching the console")
}

/// One line, in one write. A console that takes no bytes changes nothing.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("sealstone: {text}\n").as_bytes());
}

/// Waits until the serial port has sent everything, which a power-off would cut.
pub(crate) fn drain() {
    let _ = rustix::termios::tcdrain(std::io::stderr().as_fd());
}

/// Seconds since the kernel started, with two digits behind the point.
pub(crate) fn since_boot() -> String {
    let now = clock_gettime(ClockId::Boottime);
    format!("{}.{:02}", now.tv_sec, now.tv_nsec / 10_000_000)
}
