//! From bytes as they come to messages.

use super::Role;
use super::frame::{BINARY, CLOSE, CONTINUATION, FrameError, Head, PING, PONG, TEXT};
use crate::limits::{MAX_CONTROL, MAX_FRAGMENTS, MAX_MESSAGE};

/// What the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A whole binary message.
    Message(Vec<u8>),
    /// A ping, to be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// The end, with its code; 1005 when there is none (section 7.1.5). Nothing may follow.
    Close(u16),
}

/// No code was given.
const NO_CODE: u16 = 1005;

/// Holds what has come of a message, at most [`MAX_MESSAGE`] bytes and a frame's head more, besides what the caller put in
/// and hasn't taken out.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    input: Vec<u8>,
    /// Pieces of a message whose last hasn't come, and how many.
    pieces: Option<(Vec<u8>, usize)>,
}

impl Decoder {
    /// For the end that has `role`.
    pub fn new(role: Role) -> Self {
        Self { role, input: Vec::new(), pieces: None }
    }

    /// Puts in bytes from the connection. To be called when [`Decoder::take`] has nothing left.
    pub fn put(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Takes out the next thing that has come completely.
    ///
    /// # Errors
    /// The peer breaks the rules; whatever follows means nothing.
    pub fn take(&mut self) -> Result<Option<Item>, FrameError> {
        loop {
            let Some((head, payload)) = self.frame()? else { return Ok(None) };
            let item = match head.operation {
                CONTINUATION | BINARY => self.piece(head, payload)?.map(Item::Message),
                PING => Some(Item::Ping(payload)),
                CLOSE => Some(Item::Close(close_code(&payload)?)),
                // A pong that nobody asked for is allowed and means nothing (section 5.5.3).
                _ => None,
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// The next frame with its payload, if it is there as a whole. Refused by its head alone if it can't be right, so that
    /// nobody has to be sent, or to wait for, what would be refused in the end.
    fn frame(&mut self) -> Result<Option<(Head, Vec<u8>)>, FrameError> {
        let Some(head) = Head::parse(&self.input, self.role)? else { return Ok(None) };
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        self.check(&head, length)?;
        let end = head.size.saturating_add(length);
        let Some(payload) = self.input.get(head.size..end) else { return Ok(None) };
        let payload = match head.mask {
            Some(key) => payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
            None => payload.to_vec(),
        };
        self.input.drain(..end);
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = Vec::new();
        }
        Ok(Some((head, payload)))
    }

    fn check(&self, head: &Head, length: usize) -> Result<(), FrameError> {
        let before = self.pieces.as_ref().map_or(0, |(bytes, _)| bytes.len());
        match head.operation {
            CONTINUATION if self.pieces.is_none() => Err(FrameError::Fragments),
            BINARY if self.pieces.is_some() => Err(FrameError::Fragments),
            CONTINUATION | BINARY if before.saturating_add(length) > MAX_MESSAGE => Err(FrameError::TooLong),
            CONTINUATION | BINARY => Ok(()),
            TEXT => Err(FrameError::Text),
            CLOSE | PING | PONG if !head.is_last || length > MAX_CONTROL => Err(FrameError::Control),
            CLOSE | PING | PONG => Ok(()),
            _ => Err(FrameError::Reserved),
        }
    }

    /// Adds a piece; the message when it was the last.
    fn piece(&mut self, head: Head, payload: Vec<u8>) -> Result<Option<Vec<u8>>, FrameError> {
        let (message, count) = match self.pieces.take() {
            Some((mut bytes, count)) => {
                bytes.extend_from_slice(&payload);
                (bytes, count.saturating_add(1))
            }
            None => (payload, 1),
        };
        if head.is_last {
            return Ok(Some(message));
        }
        if count >= MAX_FRAGMENTS {
            return Err(FrameError::Fragments);
        }
        self.pieces = Some((message, count));
        Ok(None)
    }
}

/// The code of a close frame: none, or one of those that may be sent (section 7.4), perhaps with a reason, which isn't read.
fn close_code(payload: &[u8]) -> Result<u16, FrameError> {
    match payload {
        [] => Ok(NO_CODE),
        [high, low, ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(code),
            _ => Err(FrameError::Control),
        },
        [_] => Err(FrameError::Control),
    }
}
