//! From a WebSocket to a session that is served: handshake, evidence, stream.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sealstone_channel::ChannelError;
use sealstone_channel::error::close;
use sealstone_channel::session::{Duplex, Server};
use sealstone_channel::stream::{Options, Stream, Wire};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;

use super::upgrade::Places;
use super::{Channel, Session, entropy, inside};
use crate::evidence::document::Challenge;
use crate::evidence::quotes::QuoteError;
use crate::front::Answer;
use crate::life::unless;
use crate::metrics::Outside;

/// How long a peer may take to take its farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// One connection from the upgrade to its end.
pub(super) async fn run<A, S>(channel: Arc<Channel>, front: Arc<A>, mut wire: Wire<S>, places: Places)
where
    A: Answer,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Places { session: place, handshake } = places;
    let limits = channel.limits;
    let _running = front.life().session();
    let shaken = unless(front.life().ending(), time::timeout(limits.handshake, shake(&channel, &mut wire))).await;
    drop(handshake);
    let in_time = shaken.unwrap_or(Ok(Err(Stop::Code(close::BUSY))));
    let shaken = in_time.unwrap_or(Err(Stop::Code(close::PROTOCOL)));
    front.life().metrics().count(end_of(&shaken));
    match shaken {
        Ok((duplex, session)) => {
            let options = Options { pace: limits.pace, idle: limits.idle };
            inside::serve(Stream::new(wire, duplex, options), front, session, limits).await;
        }
        Err(Stop::Silently) => {}
        Err(Stop::Code(code)) => {
            let _ = time::timeout(FAREWELL, wire.close(code)).await;
        }
    }
    drop(place);
}

fn end_of(shaken: &Result<(Duplex, Session), Stop>) -> Outside {
    match shaken {
        Ok(_) => Outside::Session,
        Err(Stop::Silently) => Outside::HandshakeGone,
        Err(Stop::Code(close::BUSY | close::NO_EVIDENCE)) => Outside::HandshakeUnproven,
        Err(Stop::Code(_)) => Outside::HandshakeRefused,
    }
}

/// How a handshake ends that doesn't lead to a session.
enum Stop {
    /// The peer has gone.
    Silently,
    /// With this close code.
    Code(u16),
}

impl From<ChannelError> for Stop {
    fn from(error: ChannelError) -> Self {
        error.close_code().map_or(Stop::Silently, Stop::Code)
    }
}

async fn shake<S>(channel: &Channel, wire: &mut Wire<S>) -> Result<(Duplex, Session), Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = time::timeout(channel.limits.hello, wire.receive()).await.map_err(|_| Stop::Code(close::PROTOCOL))??;
    let entropy = entropy().map_err(|_| Stop::Code(close::NO_EVIDENCE))?;
    let (server, reply) = Server::respond(&channel.key, entropy, &hello)?;
    wire.send(&reply).await?;
    let hash = server.hash();
    let document = evidence(channel, wire, Challenge::Channel(hash)).await?;
    let (messages, duplex) = server.evidence(&document)?;
    for message in messages {
        wire.send(&message).await?;
    }
    Ok((duplex, Session { salt: hash.salt() }))
}

/// The evidence, unless the client goes away or sends anything before it could have judged it.
async fn evidence<S>(channel: &Channel, wire: &mut Wire<S>, challenge: Challenge) -> Result<Bytes, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut document = pin!(channel.source.document(challenge));
    poll_fn(|cx| {
        if let Poll::Ready(document) = document.as_mut().poll(cx) {
            return Poll::Ready(document.map_err(|error| match error {
                QuoteError::Busy => Stop::Code(close::BUSY),
                QuoteError::Failed | QuoteError::Refused => Stop::Code(close::NO_EVIDENCE),
            }));
        }
        match wire.poll_receive(cx) {
            Poll::Ready(Ok(_)) => Poll::Ready(Err(ChannelError::Turn.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
