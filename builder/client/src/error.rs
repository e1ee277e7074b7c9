//! Why there is no session, or no answer in one.

use sealstone_channel::ChannelError;
use sealstone_channel::error::close;
use sealstone_release::evidence::EvidenceError;
use sealstone_release::verdict::{Check, Outcome, Verdict};

/// What went wrong. Nothing of the user's was sent with any of them but [`ClientError::Http`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection to the front. Try again, or look at the address and the machine.
    #[error("cannot connect to {target}: {error}")]
    Unreachable {
        /// The front's address.
        target: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The far end took too long for a step.
    #[error("the far end took too long: {0}")]
    TimedOut(&'static str),
    /// The far end has no channel: it isn't an image's front, or one without evidence.
    #[error("the far end has no channel: it answered {0}")]
    NoChannel(String),
    /// The front is there and has no room. Try again in a second.
    #[error("the far end is busy")]
    Busy,
    /// The far end breaks the protocol, or someone between changes it.
    #[error("the channel failed: {0}")]
    Channel(#[from] ChannelError),
    /// What it sent in place of evidence can't be read, so it is none.
    #[error("the far end's evidence: {0}")]
    Evidence(#[from] EvidenceError),
    /// What is to be added to the evidence isn't there or can't be read.
    #[error("{0}")]
    Supplement(String),
    /// The evidence is refused; the verdict says by which checks.
    #[error("the far end's evidence is refused by {}", refused(.0))]
    Refused(Box<Verdict>),
    /// This machine has no randomness, or its clock is out of any calendar.
    #[error("this machine: {0}")]
    Host(&'static str),
    /// The session ended in the middle of a request.
    #[error("the session ended: {0}")]
    Http(String),
}

impl ClientError {
    /// A channel's end before its session.
    pub(crate) fn of_handshake(error: ChannelError) -> Self {
        if error == ChannelError::Closed(close::BUSY) { Self::Busy } else { Self::Channel(error) }
    }

    /// The verdict, if this is one.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Refused(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// One word for programs; of a refusal, the worst check's id.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut(_) => "timed_out",
            Self::NoChannel(_) => "no_channel",
            Self::Busy => "busy",
            Self::Channel(_) => "channel_failed",
            Self::Evidence(_) => "evidence_unreadable",
            Self::Supplement(_) => "supplement_unreadable",
            Self::Refused(verdict) => refusals(verdict).next().map_or("refused", |check| check.id),
            Self::Host(_) => "host",
            Self::Http(_) => "session_ended",
        }
    }
}

/// The checks that refuse, worst first.
pub(crate) fn refusals(verdict: &Verdict) -> impl Iterator<Item = &Check> {
    verdict.checks().iter().filter(|check| matches!(check.outcome, Outcome::Refused(_)))
}

fn refused(verdict: &Verdict) -> String {
    refusals(verdict).map(|check| check.id).collect::<Vec<_>>().join(", ")
}
