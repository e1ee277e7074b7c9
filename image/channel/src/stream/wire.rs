//! WebSocket messages over a connection.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::ChannelError;
use crate::websocket::{self, Decoder, Item, Mask, Role};

/// Bytes that are read at a time, on the stack.
const READ: usize = 16 * 1024;

/// Which end this is, and so what stands before its frames.
#[derive(Clone, Copy, Debug)]
pub enum Masks {
    /// The server's frames have no mask.
    Server,
    /// A client's have one each, from here.
    Client(fn() -> Mask),
}

impl Masks {
    fn next(self) -> Option<Mask> {
        match self {
            Masks::Server => None,
            Masks::Client(next) => Some(next()),
        }
    }
}

/// Whole messages in both directions. Answers pings by itself, the latest of them (RFC 6455, section 5.5.3).
///
/// What waits to be sent is bounded by the caller: who queues a message before the last one is sent makes the buffer longer.
#[derive(Debug)]
pub struct Wire<S> {
    io: S,
    masks: Masks,
    decoder: Decoder,
    outgoing: Vec<u8>,
    sent: usize,
    ping: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Over `io`, on which the WebSocket handshake is done.
    pub fn new(io: S, masks: Masks) -> Self {
        let role = match masks {
            Masks::Server => Role::Server,
            Masks::Client(_) => Role::Client,
        };
        Self { io, masks, decoder: Decoder::new(role), outgoing: Vec::new(), sent: 0, ping: None }
    }

    /// The peer's next message.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Cut`], and what breaks the framing.
    pub async fn receive(&mut self) -> Result<Vec<u8>, ChannelError> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Sends a message and everything that waits before it.
    ///
    /// # Errors
    /// [`ChannelError::Io`].
    pub async fn send(&mut self, message: &[u8]) -> Result<(), ChannelError> {
        self.queue(message);
        poll_fn(|cx| self.poll_send(cx)).await
    }

    /// Says goodbye with `code` and shuts the sending side down. A peer that doesn't take it doesn't get it.
    pub async fn close(&mut self, code: u16) {
        let _ = poll_fn(|cx| self.poll_send(cx)).await;
        self.queue_close(code);
        let _ = poll_fn(|cx| self.poll_send(cx)).await;
        let _ = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await;
    }

    /// As [`Wire::receive`]. Never loses anything when it isn't ready.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, ChannelError>> {
        loop {
            match self.decoder.take()? {
                Some(Item::Message(message)) => return Poll::Ready(Ok(message)),
                Some(Item::Close(code)) => return Poll::Ready(Err(ChannelError::Closed(code))),
                Some(Item::Ping(payload)) => self.ping = Some(payload),
                None => {
                    self.send_pong(cx)?;
                    ready!(self.poll_read(cx))?;
                }
            }
        }
    }

    /// Puts a message into the buffer.
    pub fn queue(&mut self, message: &[u8]) {
        self.append(&websocket::binary(message, self.masks.next()));
    }

    /// Puts a close frame into the buffer. Nothing may follow.
    pub fn queue_close(&mut self, code: u16) {
        self.append(&websocket::close(code, self.masks.next()));
    }

    /// Sends what waits; ready when nothing does.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(ChannelError::Cut)),
                Ok(length) => self.sent = self.sent.saturating_add(length),
                Err(error) => return Poll::Ready(Err(io(&error))),
            }
        }
        // An idle connection holds no buffer.
        self.outgoing = Vec::new();
        self.sent = 0;
        Pin::new(&mut self.io).poll_flush(cx).map_err(|error| io(&error))
    }

    /// Shuts the sending side of the connection down.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        Pin::new(&mut self.io).poll_shutdown(cx).map_err(|error| io(&error))
    }

    /// Answers the latest ping, unless older bytes still wait: they show that this end is alive.
    fn send_pong(&mut self, cx: &mut Context<'_>) -> Result<(), ChannelError> {
        if let Some(payload) = self.ping.take() {
            if self.outgoing.is_empty() {
                self.append(&websocket::pong(&payload, self.masks.next()));
            }
        }
        if self.outgoing.is_empty() {
            return Ok(());
        }
        match self.poll_send(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        let mut space = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => Poll::Ready(Err(ChannelError::Cut)),
            Ok(()) => {
                self.decoder.put(buffer.filled());
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(io(&error))),
        }
    }

    fn append(&mut self, frame: &[u8]) {
        self.outgoing.extend_from_slice(frame);
    }
}

fn io(error: &std::io::Error) -> ChannelError {
    ChannelError::Io(error.raw_os_error().unwrap_or(0))
}
