//! A session over a connection: WebSocket messages on one side, a stream of bytes on the other.
//!
//! - [`Wire`]: whole messages, for the handshake and the evidence
//! - [`Stream`]: afterwards; reads and writes like a socket, so that HTTP needs to know nothing of the channel

mod duplex;
mod wire;

pub use duplex::{Awaited, Options, Stream};
pub use wire::{Masks, Wire};

use crate::error::ChannelError;

/// The error as I/O has it. A cut is `UnexpectedEof`, so that no reader takes half a body for a whole one.
fn io_error(error: ChannelError) -> std::io::Error {
    use std::io::ErrorKind;
    let kind = match error {
        ChannelError::Cut | ChannelError::Closed(_) => ErrorKind::UnexpectedEof,
        ChannelError::Io(_) => ErrorKind::ConnectionReset,
        _ => ErrorKind::InvalidData,
    };
    std::io::Error::new(kind, error)
}
