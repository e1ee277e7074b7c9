//! The attested channel, version 1, as both of its ends need it. What the bytes are stands in `docs/formats/channel.md`.
//!
//! Everything but [`stream`] is a function of its arguments: no sockets, no clock, no randomness. Whoever drives it hands in
//! 32 random bytes a handshake, so a whole session can be replayed byte for byte, which the known answers rest on.
//!
//! From the wire inwards:
//! - [`websocket`]: messages in frames
//! - [`noise`]: the handshake, and what it leaves: a [`noise::Transport`] that seals and opens
//! - [`record`]: what is in a sealed message, padded to buckets
//! - [`evidence`]: the first records of a session, and [`binding`]: what ties them to its handshake
//! - [`session`]: the order of it all, as types: nothing can be sent before the evidence was judged
//! - [`stream`] (feature `tokio`): a session as a stream of bytes over a connection
//! - [`limits`]: every bound; [`error`]: every way to fail

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::arithmetic_side_effects)
)]

pub mod binding;
pub mod error;
pub mod evidence;
pub mod limits;
pub mod noise;
mod primitives;
pub mod record;
pub mod session;
#[cfg(feature = "tokio")]
pub mod stream;
pub mod websocket;

pub use error::ChannelError;
