//! The two signals that concern init: a process ended, and the machine is to be switched off.
//!
//! Both are blocked and taken one after the other, so no handler ever runs. The kernel gives process 1 no other signal that it hasn't asked for.
//! Programs inherit what is blocked, so all of them are started before.

use std::io;
use std::time::Duration;

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGCHLD: at least one process has ended since the last time.
    Child,
    /// SIGTERM: somebody wants the machine switched off.
    End,
}

/// Both signals, blocked.
#[derive(Debug)]
pub(crate) struct Signals(libc::sigset_t);

/// The standard library has no signals, and rustix marks its own calls for them as not to be mixed with a C library.
#[allow(unsafe_code)]
impl Signals {
    /// Blocks both for this thread, which has to be the only one: from now on they wait to be taken.
    pub(crate) fn block() -> io::Result<Signals> {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: sigemptyset fills the set, which the two following calls change; all signal numbers are valid.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            set.assume_init()
        };
        // SAFETY: the set lives through the call, and the old mask isn't asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) } {
            0 => Ok(Signals(set)),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// The next signal, or none within `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> io::Result<Option<Signal>> {
        let seconds = libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX);
        let time = libc::timespec { tv_sec: seconds, tv_nsec: libc::c_long::from(patience.subsec_nanos()) };
        // SAFETY: set and time live through the call, and what else the kernel knows of the signal isn't asked for.
        match unsafe { libc::sigtimedwait(&self.0, std::ptr::null_mut(), &time) } {
            libc::SIGCHLD => Ok(Some(Signal::Child)),
            libc::SIGTERM => Ok(Some(Signal::End)),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
                // Stopped and continued: whoever waits looks at his clock and comes back.
                error if error.raw_os_error() == Some(libc::EINTR) => Ok(None),
                error => Err(error),
            },
        }
    }
}
