//! Why bytes are no message, or a message has no bytes.

/// What is wrong with a frame or a message. For the receiver each means the same: the peer is broken or hostile, nothing
/// more can be read from it. For the sender: a fault in the caller, which should have checked what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A frame announces more than [`FRAME`](crate::limits::FRAME) bytes, or a message needs more.
    #[error("a frame of {0} bytes, more than the limit")]
    Frame(usize),
    /// The kind byte belongs to no message of this direction.
    #[error("unknown kind of frame {0}")]
    Kind(u8),
    /// A frame ends inside a field.
    #[error("the frame ends inside {0}")]
    Short(&'static str),
    /// A frame goes on behind its last field.
    #[error("{0} bytes behind the last field")]
    Long(usize),
    /// A field holds more, or another value, than it may.
    #[error("{0} is out of its range")]
    Range(&'static str),
    /// Text isn't UTF-8.
    #[error("{0} is not UTF-8")]
    Text(&'static str),
}
