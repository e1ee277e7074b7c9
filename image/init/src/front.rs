//! Starting the daemon and watching it.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::process::{Pid, WaitOptions, wait};

use crate::fatal::{Context, Fatal};

/// The front's user: not root, and not the engine's.
pub(crate) const UID: u32 = 100;
/// The front's group.
pub(crate) const GID: u32 = 100;

/// How long the front may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the front writes when it listens, is confined, and will answer. `daemon/src/start.rs` has the same.
const READY: &[u8] = b"ready\n";

/// The running front.
pub(crate) struct Front {
    child: Child,
    status: ChildStdout,
}

impl Front {
    /// Starts the daemon with an empty environment, no input, a status pipe as output, and the console for its events.
    /// `uid` also makes the standard library clear the supplementary groups.
    pub(crate) fn start() -> Result<Front, Fatal> {
        let mut command = Command::new("/daemon");
        command.env_clear().current_dir("/").uid(UID).gid(GID).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().doing("starting the front")?;
        let status = child.stdout.take().ok_or_else(|| io::Error::other("no pipe")).doing("starting the front")?;
        Ok(Front { child, status })
    }

    /// Waits for the front's word; a front that ends instead is fatal at once.
    pub(crate) fn wait_until_ready(&mut self) -> Result<(), Fatal> {
        let start = Instant::now();
        let mut said = Vec::new();
        while said.len() < READY.len() {
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() || !readable(&self.status, left)? {
                return Err(Fatal::FrontSilent(PATIENCE.as_secs()));
            }
            let mut bytes = [0u8; READY.len()];
            let count = read(&self.status, &mut bytes).doing("reading the front's status")?;
            if count == 0 {
                return self.watch().map(|never| match never {});
            }
            said.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        if said == READY { Ok(()) } else { Err(Fatal::FrontSilent(PATIENCE.as_secs())) }
    }

    /// Reaps whatever ends, until it is the front.
    pub(crate) fn watch(&mut self) -> Result<Infallible, Fatal> {
        let front = Pid::from_child(&self.child);
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == front => {
                    return Err(Fatal::FrontEnded(ExitStatus::from_raw(status.as_raw())));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).doing("waiting for the front"),
            }
        }
    }
}

/// Whether there is something to read, or an end, before `patience` is over.
fn readable(file: impl AsFd, patience: Duration) -> Result<bool, Fatal> {
    let patience = Timespec::try_from(patience).map_err(io::Error::other).doing("waiting for the front")?;
    let mut fds = [PollFd::new(&file, PollFlags::IN)];
    match poll(&mut fds, Some(&patience)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error).doing("waiting for the front"),
    }
}
