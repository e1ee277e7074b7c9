//! What the daemon says on the console. The console leaves the machine unprotected, so an event can hold numbers and
//! names of cases but no text that came from elsewhere: there is no variant into which a request could be put.

use std::fmt;
use std::io::Write;

use crate::evidence::tsm::ReportError;
use crate::evidence::{EventLogError, Kind};
use crate::life::Ended;
use crate::tpm::TpmError;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The daemon won't serve, and why.
    Refused(Refusal),
    /// This vouches for the machine.
    Evidence(Kind),
    /// Connections are accepted from now on.
    Listening {
        /// The TCP port.
        port: u16,
    },
    /// The end was asked for: nothing new begins.
    Draining,
    /// Nothing is left to wait for, or its time is over. The process ends now.
    Drained(Ended),
    /// The kernel gave no connection; the operating system's error number.
    AcceptFailed(i32),
    /// The TPM gave a client no quote. Later ones may succeed.
    QuoteFailed(TpmError),
    /// The TPM has an endorsement key's certificate that can't be read, or did not do its part for a client. Evidence isn't
    /// touched by it.
    EndorsementFailed(TpmError),
    /// The processor gave a client no report. Later ones may succeed.
    ReportFailed(ReportError),
    /// Something about a model's engine.
    Engine {
        /// The model's place in the configuration, from 0.
        model: usize,
        /// What.
        event: EngineEvent,
    },
    /// A fault in the program itself. The message is left out, because it may hold values.
    Panicked {
        /// Line of the source file, 0 when unknown.
        line: u32,
        /// Source file, known when the program was compiled.
        file: String,
    },
}

/// What an engine did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineEvent {
    /// Its model is loaded.
    Ready,
    /// It closed its socket. Its requests have failed, and so will all others until the next boot.
    Ended,
    /// It said what isn't of the protocol, and was given up.
    Nonsense,
}

/// Why the daemon serves nobody. All of them end it, and then init ends the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The image is broken: its configuration can't be read.
    #[error("cannot read the measured configuration, errno {0}")]
    ConfigUnreadable(i32),
    /// The image is broken: its configuration isn't valid. init reads the same file and says more.
    #[error("the measured configuration is not valid")]
    ConfigInvalid,
    /// The configuration demands evidence and the machine has no source of it.
    #[error("no source of evidence (TSM report or TPM), and the measured configuration requires one")]
    NoEvidence,
    /// The TPM can't be opened as a device that the event loop can wait for.
    #[error("cannot open the TPM, errno {0}")]
    Tpm(i32),
    /// The TPM is there and made no attestation key, or has no bank that a pin could be about.
    #[error("cannot attest with the TPM: {0}")]
    Attestation(TpmError),
    /// The kernel's copy of the firmware's event log.
    #[error("the event log {0}")]
    EventLog(EventLogError),
    /// init did not take root's rights away.
    #[error("started as root")]
    Privileged,
    /// The listening socket could not be had.
    #[error("cannot listen, errno {0}")]
    Listen(i32),
    /// The event loop could not be made.
    #[error("cannot start the event loop, errno {0}")]
    Runtime(i32),
    /// The thread that asks the processor for reports could not be started.
    #[error("cannot start a thread, errno {0}")]
    Thread(i32),
    /// The kernel gave no random bytes for the channel's key.
    #[error("no randomness, errno {0}")]
    Random(i32),
    /// The image is broken: a key of its `auth` verifies nothing, or anything.
    #[error("a key of auth.keys is not an Ed25519 key that can be trusted")]
    WeakKey,
    /// The kernel took no part of the confinement, or not all of it.
    #[error("cannot confine itself: {0}")]
    Confine(crate::confine::ConfineError),
    /// The accept loop ended, which it has no reason to do.
    #[error("the accept loop ended")]
    Ended,
    /// init closed the status pipe.
    #[error("cannot report readiness, errno {0}")]
    Status(i32),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealstone: front: ")?;
        match self {
            Event::Refused(refusal) => write!(f, "refused: {refusal}"),
            Event::Evidence(kind) => write!(f, "evidence: {kind}"),
            Event::Listening { port } => write!(f, "listening on port {port}"),
            Event::Draining => f.write_str("draining"),
            Event::Drained(Ended { requests, sessions }) => {
                write!(f, "drained; cut off {requests} requests, {sessions} sessions")
            }
            Event::AcceptFailed(errno) => write!(f, "accept failed, errno {errno}"),
            Event::QuoteFailed(error) => write!(f, "no quote: {error}"),
            Event::EndorsementFailed(error) => write!(f, "no endorsement: {error}"),
            Event::ReportFailed(error) => write!(f, "no report: {error}"),
            Event::Engine { model, event } => {
                let event = match event {
                    EngineEvent::Ready => "ready",
                    EngineEvent::Ended => "its engine ended",
                    EngineEvent::Nonsense => "its engine broke the protocol and is given up",
                };
                write!(f, "model {model}: {event}")
            }
            Event::Panicked { line, file } => write!(f, "panicked at {file}:{line}"),
        }
    }
}

/// Writes `event` to standard error, as one line and one write. A console that takes no bytes changes nothing.
pub fn log(event: &Event) {
    let _ = std::io::stderr().write_all(format!("{event}\n").as_bytes());
}

/// Exit status after a panic.
pub const PANIC_STATUS: i32 = 101;

/// From now on a panic logs where it happened, without its message, and ends the process.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| (l.line(), l.file().to_owned()));
        let (line, file) = place.unwrap_or_default();
        log(&Event::Panicked { line, file });
        std::process::exit(PANIC_STATUS);
    }));
}

/// The operating system's error number in `error`, 0 when it has none.
pub fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}
