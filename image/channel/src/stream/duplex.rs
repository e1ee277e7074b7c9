//! The stream of bytes inside a session.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use zeroize::Zeroizing;

use super::{Wire, io_error};
use crate::error::{ChannelError, close};
use crate::limits::CHUNK;
use crate::session::{Data, Duplex, Received};

/// How a stream behaves in time.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The least time between two records that aren't full. What is written meanwhile goes out together, so that neither the
    /// number nor the moments of an answer's tokens can be counted from outside. The first record after a pause of this length
    /// goes at once: nothing is slower by it.
    pub pace: Duration,
    /// A connection on which no byte moves for so long is cut, unless an answer is [awaited](Stream::awaited).
    pub idle: Duration,
}

/// Whether this end works on something that the peer waits for in silence.
#[derive(Clone, Debug)]
pub struct Awaited(Weak<()>);

impl Awaited {
    /// As long as what this returns lives, the stream isn't idle.
    #[must_use]
    pub fn begin(&self) -> impl Send + Sync + use<> {
        self.0.upgrade()
    }
}

/// Reads and writes like a socket; `shutdown` ends the stream for the peer, complete. A reader sees the end of the file only
/// if the peer ended its stream: a cut is an error.
pub struct Stream<S> {
    wire: Wire<S>,
    duplex: Duplex,
    options: Options,
    incoming: Option<(Data, usize)>,
    outgoing: Zeroizing<Vec<u8>>,
    /// Until when a record that isn't full waits.
    paced: Pin<Box<Sleep>>,
    idle: Pin<Box<Sleep>>,
    /// One for the stream, and one for each answer that its peer waits for.
    awaited: Arc<()>,
    is_closing: bool,
}

impl<S> std::fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// The stream of `duplex`, whose handshake and evidence went over `wire`.
    pub fn new(wire: Wire<S>, duplex: Duplex, options: Options) -> Self {
        Self {
            wire,
            duplex,
            options,
            incoming: None,
            outgoing: Zeroizing::new(Vec::new()),
            paced: Box::pin(sleep(Duration::ZERO)),
            idle: Box::pin(sleep(options.idle)),
            awaited: Arc::new(()),
            is_closing: false,
        }
    }

    /// For saying that an answer is being worked on, during which no byte may move for longer than an idle stream lives.
    pub fn awaited(&self) -> Awaited {
        Awaited(Arc::downgrade(&self.awaited))
    }

    /// Moves the idle limit on after something came or went, or while an answer is awaited, and fails when it is reached.
    fn check_idle(&mut self, has_moved: bool, cx: &mut Context<'_>) -> Result<(), ChannelError> {
        if has_moved {
            self.idle.as_mut().reset(later(self.options.idle));
        }
        while self.idle.as_mut().poll(cx).is_ready() {
            if Arc::strong_count(&self.awaited) == 1 {
                return Err(ChannelError::Cut);
            }
            self.idle.as_mut().reset(later(self.options.idle));
        }
        Ok(())
    }

    /// Seals what was written and sends it, after what is on its way. Ready when all is sent.
    fn poll_seal(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        ready!(self.wire.poll_send(cx))?;
        if self.outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let message = self.duplex.send(&self.outgoing)?;
        self.outgoing = Zeroizing::new(Vec::new());
        self.wire.queue(&message);
        self.paced.as_mut().reset(later(self.options.pace));
        self.check_idle(true, cx)?;
        self.wire.poll_send(cx)
    }

    /// Fills `buffer` from the peer's stream; nothing at its end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<(), ChannelError>> {
        loop {
            if let Some((data, taken)) = self.incoming.take() {
                let rest = data.bytes().get(taken..).unwrap_or_default();
                let length = rest.len().min(buffer.remaining());
                buffer.put_slice(rest.get(..length).unwrap_or_default());
                if length < rest.len() {
                    self.incoming = Some((data, taken.saturating_add(length)));
                }
                return Poll::Ready(Ok(()));
            }
            if self.duplex.peer_has_ended() {
                return Poll::Ready(Ok(()));
            }
            match self.wire.poll_receive(cx) {
                Poll::Ready(message) => {
                    self.check_idle(true, cx)?;
                    if let Received::Data(data) = self.duplex.receive(&message?)? {
                        self.incoming = Some((data, 0));
                    }
                }
                Poll::Pending => {
                    self.check_idle(false, cx)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes the first of `bytes`; how many.
    fn poll_take(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, ChannelError>> {
        if self.outgoing.len() >= CHUNK {
            self.check_idle(false, cx)?;
            ready!(self.poll_seal(cx))?;
        }
        if self.outgoing.capacity() == 0 {
            // At its final size: growing would leave copies behind that nobody wipes.
            self.outgoing.reserve_exact(CHUNK);
        }
        let length = bytes.len().min(CHUNK.saturating_sub(self.outgoing.len()));
        self.outgoing.extend_from_slice(bytes.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        self.check_idle(false, cx)?;
        if !self.outgoing.is_empty() && self.outgoing.len() < CHUNK {
            ready!(self.paced.as_mut().poll(cx));
        }
        self.poll_seal(cx)
    }

    /// What was written, the stream's end, and the WebSocket's.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        ready!(self.poll_seal(cx))?;
        if !self.duplex.has_ended() {
            let message = self.duplex.end()?;
            self.wire.queue(&message);
        }
        if !self.is_closing {
            self.is_closing = true;
            self.wire.queue_close(close::NORMAL);
        }
        ready!(self.wire.poll_send(cx))?;
        self.wire.poll_shutdown(cx)
    }

    /// Tells a peer that breaks the protocol so, as far as that goes without waiting.
    fn fail(&mut self, cx: &mut Context<'_>, error: ChannelError) -> io::Error {
        if let Some(code) = error.close_code().filter(|_| !self.is_closing) {
            self.is_closing = true;
            self.wire.queue_close(code);
            let _ = self.wire.poll_send(cx);
            let _ = self.wire.poll_shutdown(cx);
        }
        io_error(error)
    }
}

fn later(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = ready!(self.poll_fill(cx, buffer));
        Poll::Ready(result.map_err(|error| self.fail(cx, error)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(self.poll_take(cx, bytes));
        Poll::Ready(result.map_err(|error| self.fail(cx, error)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(self.poll_push(cx));
        Poll::Ready(result.map_err(|error| self.fail(cx, error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(self.poll_end(cx));
        Poll::Ready(result.map_err(|error| self.fail(cx, error)))
    }
}
