//! Frames in a stream, whoever reads it: bytes go in as they come, messages come out.

use std::marker::PhantomData;

use crate::wire::{Reader, Writer};
use crate::{Error, limits};

/// What can be framed: [`Order`](crate::Order) and [`Report`](crate::Report).
pub trait Message: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn write(&self, to: &mut Body) -> Result<(), Error>;
    #[doc(hidden)]
    fn read(kind: u8, from: &mut Fields<'_>) -> Result<Self, Error>;
}

pub(crate) mod sealed {
    /// Nobody else's types are messages.
    pub trait Sealed {}
}

/// A frame being written, without its length. Only messages can do anything with it.
pub struct Body(pub(crate) Writer);

/// A frame being read, behind its kind. Only messages can do anything with it.
pub struct Fields<'a>(pub(crate) Reader<'a>);

const LENGTH: usize = size_of::<u32>();

/// A message as a frame, length first.
///
/// # Errors
/// When a field is out of its range; then nothing should be sent.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, Error> {
    let mut body = Body(Writer::default());
    body.0.u32(0);
    message.write(&mut body)?;
    let mut frame = body.0.into_bytes();
    let length = frame.len().saturating_sub(LENGTH);
    if length > limits::FRAME {
        return Err(Error::Frame(length));
    }
    let length = u32::try_from(length).map_err(|_| Error::Frame(length))?;
    frame.splice(..LENGTH, length.to_le_bytes());
    Ok(frame)
}

/// Takes a stream apart into messages. It holds at most one frame and what was pushed last; drain it with
/// [`Decoder::message`] after each [`Decoder::push`].
#[derive(Debug)]
pub struct Decoder<M> {
    buffer: Vec<u8>,
    /// How much of the buffer's start has been read already.
    read: usize,
    message: PhantomData<M>,
}

impl<M: Message> Default for Decoder<M> {
    fn default() -> Decoder<M> {
        Decoder { buffer: Vec::new(), read: 0, message: PhantomData }
    }
}

impl<M: Message> Decoder<M> {
    /// A decoder at the start of a stream.
    pub fn new() -> Decoder<M> {
        Decoder::default()
    }

    /// Adds bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read.min(self.buffer.len()));
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or `None` until more bytes have come.
    ///
    /// # Errors
    /// When the stream can't be the peer's. A frame that is too long is refused by its length, before it is here.
    pub fn message(&mut self) -> Result<Option<M>, Error> {
        let waiting = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > limits::FRAME {
            return Err(Error::Frame(length));
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let mut fields = Fields(Reader::new(frame));
        let kind = fields.0.u8("the kind")?;
        let message = M::read(kind, &mut fields)?;
        fields.0.end()?;
        self.read = self.read.saturating_add(LENGTH).saturating_add(length);
        Ok(Some(message))
    }

    /// Whether the stream may end here: no frame has begun.
    pub fn is_between_frames(&self) -> bool {
        self.read >= self.buffer.len()
    }
}
