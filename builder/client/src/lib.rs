//! The attested client. It opens the channel of `docs/formats/channel.md` to an image's front, judges the evidence by a pin and
//! a policy, and sends nothing before the verdict accepts. The connection under the channel is trusted with nothing.
//!
//! - [`Target`]: where the image is; [`Client`]: how it gets there, and the [`Attested`] stream that it comes back with
//! - [`Sessions`]: HTTP over such streams, each of which is judged anew
//! - [`proxy`]: a server on loopback for whoever speaks HTTP; [`chat`]: a conversation
//! - [`ClientError`]: what can go wrong

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod chat;
mod connect;
mod endorse;
mod error;
pub mod proxy;
mod session;
mod supplement;
mod target;
mod upgrade;

pub use connect::{Attested, Client, Trust, now};
pub use error::ClientError;
pub use session::{Body, Session, Sessions};
pub use supplement::Supplement;
pub use target::{Target, TargetError};

/// Runs `future` to its end on this thread, with timers and sockets.
///
/// # Errors
/// The operating system gives no event queue.
pub fn run<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    Ok(runtime.block_on(future))
}
