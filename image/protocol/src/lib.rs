//! What the front and an engine say to each other over their socket pair: one engine per model, orders one way, reports
//! the other.
//!
//! Either side treats the other as hostile: the engine runs C++ over a model file, the front runs on bytes of the network.
//! So every message has a bounded size and every field a range ([`limits`]), both sides check it ([`encode`] as well as
//! [`Decoder`]), and a frame has exactly one reading. After an [`Error`] the stream has no meaning any more: close it.
//!
//! The stream: a frame is the length of what follows (32 bits), a kind (8 bits), and the kind's fields in the order of
//! the types here. Integers and IEEE 754 numbers are little-endian; text, bytes and lists start with a count (32 bits);
//! an optional field and a flag start with, or are, a byte 0 or 1. The engine's first frame is [`Report::Hello`].

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod codec;
mod error;
pub mod limits;
mod order;
mod report;
mod wire;

#[cfg(test)]
mod tests;

pub use codec::{Decoder, Message, encode};
pub use error::Error;
pub use order::{
    Constraint, Embed, Generate, LogitBias, Order, Prompt, RequestId, Role, Salt, Sampling, Segment, Tokenize, Turn,
};
pub use report::{Alternative, Done, Embedding, Facts, Failure, Finish, Logprobs, Report, Token, Tokens, Usage};
