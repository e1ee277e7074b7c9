//! Starting the daemon and watching it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd, read};
use rustix::process::{Pid, Signal as Number, WaitOptions, kill_process, wait};

use crate::console;
use crate::engines::Engines;
use crate::fatal::{Context, Fatal};
use crate::signals::{Signal, Signals};

/// The front's user: not root, and not the engine's.
pub(crate) const UID: u32 = 100;
/// The front's group.
pub(crate) const GID: u32 = 100;

/// How long the front may take until it listens. It makes a key in the TPM before, and a TPM that shares a busy host's disk has been seen to
/// take more than 20 s for that; a front that hangs keeps the machine from nothing but failing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the front may take to end once it was asked to: longer than it gives its requests and sessions (`daemon/src/life.rs`), and less
/// than clouds give a guest.
const FAREWELL: Duration = Duration::from_secs(55);

/// For the network card to send what the front left in the kernel's buffers.
const LAST_PACKETS: Duration = Duration::from_millis(500);

/// Between two looks at what has ended, if no signal says so first.
const LOOK: Duration = Duration::from_secs(3600);

/// The front was asked to end, and did.
pub(crate) struct Drained;

/// What the front writes when it listens, is confined, and will answer. `daemon/src/start.rs` has the same.
const READY: &[u8] = b"ready\n";

/// The front's descriptor of the first model's socket; the next model's is the next one. The daemon has the same number.
const FIRST_SOCKET: RawFd = 3;

/// Descriptors from here on are free, whatever init has open: it holds a handful, and at most one a model is put aside.
const ASIDE: RawFd = 512;

/// The running front, and the engines that it asks.
pub(crate) struct Front {
    child: Child,
    status: ChildStdout,
    engines: Engines,
}

impl Front {
    /// Starts the daemon with an environment of init's own, no input, a status pipe as output, and the console for its events.
    /// `uid` also makes the standard library clear the supplementary groups. It inherits the models' sockets, which init has no use for.
    pub(crate) fn start(engines: Engines, sockets: Vec<OwnedFd>) -> Result<Front, Fatal> {
        let inherited = number(sockets, FIRST_SOCKET)?;
        let mut command = Command::new("/daemon");
        let (name, value) = sealstone_daemon::start::ENVIRONMENT;
        command.env_clear().env(name, value).current_dir("/").uid(UID).gid(GID);
        let front = Front::run(command, engines);
        drop(inherited);
        front
    }

    /// A front that is this program.
    pub(crate) fn run(mut command: Command, engines: Engines) -> Result<Front, Fatal> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().doing("starting the front")?;
        let status = child.stdout.take().ok_or_else(|| io::Error::other("no pipe")).doing("starting the front")?;
        Ok(Front { child, status, engines })
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
                return Err(self.end()?);
            }
            said.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        if said == READY { Ok(()) } else { Err(Fatal::FrontSilent(PATIENCE.as_secs())) }
    }

    /// Reaps whatever ends, until it is the front. At SIGTERM the front is asked to end, and its end is then a good one.
    pub(crate) fn watch(&mut self, signals: &Signals) -> Result<Drained, Fatal> {
        let mut asked: Option<Instant> = None;
        loop {
            // One signal can stand for several ends.
            while let Some(status) = self.reap(WaitOptions::NOHANG)? {
                if let Some(status) = status {
                    return if asked.is_some() && status.success() { drained() } else { Err(Fatal::FrontEnded(status)) };
                }
            }
            let patience = asked.map_or(LOOK, |since| FAREWELL.saturating_sub(since.elapsed()));
            if patience.is_zero() {
                return Err(Fatal::FrontStays(FAREWELL.as_secs()));
            }
            if signals.wait(patience).doing("waiting for signals")? == Some(Signal::End) && asked.is_none() {
                console::say("asked to switch off; the front finishes what runs");
                asked = Some(Instant::now());
                kill_process(Pid::from_child(&self.child), Number::TERM).doing("asking the front to end")?;
            }
        }
    }

    /// How the front ended, which it is about to.
    fn end(&mut self) -> Result<Fatal, Fatal> {
        loop {
            if let Some(Some(status)) = self.reap(WaitOptions::empty())? {
                return Ok(Fatal::FrontEnded(status));
            }
        }
    }

    /// Takes one process that has ended, if there is one: with its status if it was the front.
    fn reap(&mut self, options: WaitOptions) -> Result<Option<Option<ExitStatus>>, Fatal> {
        match wait(options) {
            Ok(Some((pid, status))) if pid == Pid::from_child(&self.child) => {
                Ok(Some(Some(ExitStatus::from_raw(status.as_raw()))))
            }
            Ok(Some((pid, status))) => {
                self.engines.ended(pid, status);
                Ok(Some(None))
            }
            Ok(None) | Err(Errno::INTR) => Ok(None),
            Err(error) => Err(error).doing("waiting for the front"),
        }
    }
}

fn drained() -> Result<Drained, Fatal> {
    std::thread::sleep(LAST_PACKETS);
    Ok(Drained)
}

/// Puts the sockets at descriptor `first` and the following ones, where the next program that is started inherits them. init has one
/// thread and starts programs one after the other, so no other program gets them.
fn number(sockets: Vec<OwnedFd>, first: RawFd) -> Result<Vec<OwnedFd>, Fatal> {
    let doing = "handing the models' sockets to the front";
    // Out of the way first: they stand where they are to go, in another order.
    let aside: Result<Vec<_>, _> = sockets.iter().map(|socket| fcntl_dupfd_cloexec(socket, ASIDE)).collect();
    let aside = aside.doing(doing)?;
    drop(sockets);
    let mut numbered = Vec::with_capacity(aside.len());
    for (socket, wanted) in aside.iter().zip(first..) {
        // The lowest free descriptor from `wanted` on.
        let socket = fcntl_dupfd_cloexec(socket, wanted).doing(doing)?;
        if socket.as_raw_fd() != wanted {
            return Err(io::Error::other(format!("descriptor {wanted} is taken"))).doing(doing);
        }
        fcntl_setfd(&socket, FdFlags::empty()).doing(doing)?;
        numbered.push(socket);
    }
    Ok(numbered)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// At other descriptors than in an image, because the test's own process has some open.
    const FIRST: RawFd = 700;

    #[test]
    fn sockets_stand_in_the_models_order_and_are_inherited() {
        let (mut engines, mut fronts) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (front, engine) = UnixStream::pair().unwrap();
            fronts.push(OwnedFd::from(front));
            engines.push(engine);
        }
        let numbered = number(fronts, FIRST).unwrap();
        for (index, (socket, mut engine)) in numbered.into_iter().zip(engines).enumerate() {
            assert_eq!(socket.as_raw_fd(), FIRST + RawFd::try_from(index).unwrap());
            assert!(!rustix::io::fcntl_getfd(&socket).unwrap().contains(FdFlags::CLOEXEC));
            engine.write_all(&[u8::try_from(index).unwrap()]).unwrap();
            let (mut socket, mut byte) = (UnixStream::from(socket), [9]);
            socket.read_exact(&mut byte).unwrap();
            assert_eq!(usize::from(byte[0]), index);
            // No other copy is left: the engine sees the front's end when the front ends.
            drop(socket);
            assert_eq!(engine.read(&mut byte).unwrap(), 0);
        }
    }

    #[test]
    fn a_taken_descriptor_is_refused() {
        let (a, b) = UnixStream::pair().unwrap();
        let _taken = fcntl_dupfd_cloexec(&b, 900).unwrap();
        assert!(number(vec![OwnedFd::from(a)], 900).unwrap_err().to_string().contains("descriptor 900 is taken"));
    }
}
