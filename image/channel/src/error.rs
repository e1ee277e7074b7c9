//! Why a channel ends before its time. No variant holds bytes of the peer, so each may be said anywhere.

use crate::websocket::FrameError;

/// What went wrong. The session is over with any of them: none can be mended by trying again within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The peer doesn't speak WebSocket as it must.
    #[error("WebSocket: {0}")]
    Frame(#[from] FrameError),
    /// A handshake message isn't one of this protocol. With the server's, also: it was changed on the way.
    #[error("the handshake message is not one of Noise NX")]
    Handshake,
    /// A message can't be opened: changed on the way, of another session, twice, or out of order. Garbage, too.
    #[error("a message does not belong to this session")]
    Foreign,
    /// A message has a length that isn't one of the buckets.
    #[error("a message is not padded to a bucket")]
    Unpadded,
    /// What was sealed isn't a record: an unknown kind, a length beyond the record, padding that isn't zero, or a smaller
    /// bucket would have done.
    #[error("a record is malformed")]
    Record,
    /// A record came at a time that isn't its kind's: data before the evidence, evidence after it, anything after the end.
    #[error("a record came out of turn")]
    Turn,
    /// The evidence is empty, longer than allowed, or cut other than it has to be.
    #[error("the evidence is longer than allowed, or badly cut")]
    Evidence,
    /// More bytes were handed over than a record holds. A mistake of the caller.
    #[error("too much for one record")]
    TooMuch,
    /// The connection ended without the peer's having ended its stream: what was received may be cut short.
    #[error("the connection was cut")]
    Cut,
    /// The peer closed the channel, with this WebSocket close code.
    #[error("the peer closed the channel with code {0}")]
    Closed(u16),
    /// The connection failed; the operating system's error number, 0 when it has none.
    #[error("the connection failed, errno {0}")]
    Io(i32),
}

/// WebSocket close codes of this protocol (RFC 6455, section 7.4.1).
pub mod close {
    /// Both streams have ended.
    pub const NORMAL: u16 = 1000;
    /// Any breach of the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A message was longer than allowed.
    pub const TOO_BIG: u16 = 1009;
    /// The server's source of evidence failed.
    pub const NO_EVIDENCE: u16 = 1011;
    /// Too many want evidence at a time: try again later.
    pub const BUSY: u16 = 1013;
}

impl ChannelError {
    /// What to tell the peer when this is the end. `None` when there is nobody left to tell.
    pub fn close_code(self) -> Option<u16> {
        match self {
            ChannelError::Closed(_) | ChannelError::Io(_) | ChannelError::Cut => None,
            ChannelError::Frame(FrameError::TooLong) => Some(close::TOO_BIG),
            _ => Some(close::PROTOCOL),
        }
    }
}
