//! The server's end of the attested channel: who gets in, and what is served inside.
//!
//! - [`upgrade`]: from a request in the open to a WebSocket, or a refusal that costs nothing
//! - `handshake`: from a WebSocket to a session, within [`Limits::handshake`]
//! - `inside`: HTTP/1.1 and HTTP/2 in the session

mod handshake;
mod inside;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sealstone_channel::limits::MAX_AGE;
use sealstone_channel::noise::{Entropy, StaticKey};
use tokio::sync::Semaphore;

pub use upgrade::{is_asked_for, upgrade};

use crate::evidence::document::Challenge;
use crate::evidence::quotes::{QuoteError, Quotes};

/// Where a request came from.
#[derive(Clone, Debug)]
pub enum Inside {
    /// The network. Anybody may read and change it, and the host sees it.
    Open,
    /// A session of the channel: from whoever judged this machine's evidence and went on.
    Channel(Session),
}

/// What is known of a session.
#[derive(Clone, Debug)]
pub struct Session {
    salt: [u8; 32],
}

impl Session {
    #[cfg(test)]
    pub(crate) fn salted(salt: [u8; 32]) -> Session {
        Session { salt }
    }

    /// 32 bytes that no other session has: what is kept for one session under it can't be found from another.
    pub fn salt(&self) -> &[u8; 32] {
        &self.salt
    }
}

/// Bounds on sessions.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at a time, those in their handshake among them. Each holds at most about 200 KiB of its own buffers, and what
    /// HTTP inside it holds.
    pub sessions: usize,
    /// Handshakes at a time, so that those who never finish leave room for sessions: as many as the TPM serves in time.
    pub handshakes: usize,
    /// From the upgrade to the client's first message.
    pub hello: Duration,
    /// From the upgrade to the end of the evidence.
    pub handshake: Duration,
    /// A session on which no byte moves for so long ends, unless it waits for an answer.
    pub idle: Duration,
    /// A session of this age takes no more requests.
    pub age: Duration,
    /// How long its last ones may then take.
    pub drain: Duration,
    /// The least time between records that aren't full (`sealstone_channel::stream::Options::pace`).
    pub pace: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// Requests at a time in a session that speaks HTTP/2.
    pub requests: u32,
}

impl Limits {
    /// What the image uses.
    pub const DEFAULT: Limits = Limits {
        sessions: 640,
        handshakes: 64,
        hello: Duration::from_secs(5),
        handshake: Duration::from_secs(20),
        idle: Duration::from_secs(300),
        age: MAX_AGE,
        drain: Duration::from_secs(300),
        pace: Duration::from_millis(20),
        head_bytes: 16 * 1024,
        headers: 64,
        requests: 32,
    };
}

/// Where a session's evidence comes from.
#[derive(Debug)]
pub enum Source {
    /// The TPM.
    Tpm(Quotes),
    /// The processor: SEV-SNP or TDX.
    Tee(Quotes),
    /// Nowhere: the measured configuration says so. This document says so to the client.
    Insecure(Bytes),
}

impl Source {
    async fn document(&self, challenge: Challenge) -> Result<Bytes, QuoteError> {
        match self {
            Source::Tpm(quotes) | Source::Tee(quotes) => quotes.document(challenge).await,
            Source::Insecure(document) => Ok(document.clone()),
        }
    }
}

/// The channel of this boot.
#[derive(Debug)]
pub struct Channel {
    key: StaticKey,
    source: Source,
    limits: Limits,
    sessions: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

impl Channel {
    /// With a static key that lives as long as this value: as the boot.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub fn new(source: Source, limits: Limits) -> rustix::io::Result<Channel> {
        Ok(Channel {
            key: StaticKey::new(random()?),
            source,
            limits,
            sessions: Arc::new(Semaphore::new(limits.sessions)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
        })
    }
}

fn entropy() -> rustix::io::Result<Entropy> {
    random().map(Entropy::new)
}

/// 32 bytes of the kernel's generator, which gives as many at once or fails (random(7)).
pub(crate) fn random() -> rustix::io::Result<[u8; 32]> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut bytes = [0; 32];
    match getrandom(&mut bytes, GetRandomFlags::empty())? {
        32 => Ok(bytes),
        _ => Err(rustix::io::Errno::IO),
    }
}
