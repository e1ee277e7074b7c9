//! WebSocket (RFC 6455), as far as the channel uses it: binary messages, pings, and the end.
//!
//! By hand, because the usual crates bring masks' random generators, UTF-8 validation, SHA-1 and an I/O model of their own into
//! the image, for what is a page of code here; and because a message's whole length is bounded before any of it is kept. The
//! daemon's tests set it against the WebSocket of Node.

mod decoder;
mod frame;
mod handshake;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Item};
pub use frame::{FrameError, Mask, binary, close, ping, pong};
pub use handshake::{accept, is_key};

/// Which side of a connection: a client masks what it sends, a server doesn't, and each insists on the other's doing so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opened the connection.
    Client,
    /// It accepted it.
    Server,
}
