//! Frames (RFC 6455, section 5.2): two bytes, perhaps a longer length, perhaps a mask, the payload.

use super::Role;

/// How a frame breaks the protocol, or the channel's narrower rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A reserved bit or operation code is used, and no extension was agreed on.
    #[error("reserved bit or operation")]
    Reserved,
    /// A text message. The channel has none.
    #[error("text message")]
    Text,
    /// A client's frame without a mask, or a server's with one.
    #[error("masked the wrong way")]
    Masked,
    /// A length in a longer form than it needs.
    #[error("length not in its shortest form")]
    Length,
    /// A message longer than [`crate::limits::MAX_MESSAGE`].
    #[error("message too long")]
    TooLong,
    /// A message in more pieces than [`crate::limits::MAX_FRAGMENTS`], or pieces in the wrong order.
    #[error("badly fragmented message")]
    Fragments,
    /// A control frame that is too long, cut into pieces, or a malformed close.
    #[error("malformed control frame")]
    Control,
}

/// A client's masking key: four random bytes for each frame. They keep a page in a browser from making a client send chosen
/// bytes through a proxy that misreads WebSocket (section 10.3), and protect nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Mask(pub [u8; 4]);

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

pub(super) const FIN: u8 = 0x80;
pub(super) const MASKED: u8 = 0x80;

/// A binary message in one frame. With a mask for a client's, without for a server's.
pub fn binary(message: &[u8], mask: Option<Mask>) -> Vec<u8> {
    write(BINARY, message, mask)
}

/// An answer to a ping with this payload.
pub fn pong(payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
    write(PONG, payload, mask)
}

/// A question whether the peer is there.
pub fn ping(payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
    write(PING, payload, mask)
}

/// The end, with its code.
pub fn close(code: u16, mask: Option<Mask>) -> Vec<u8> {
    write(CLOSE, &code.to_be_bytes(), mask)
}

fn write(operation: u8, payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len().saturating_add(14));
    frame.push(FIN | operation);
    let masked = if mask.is_some() { MASKED } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(masked | length),
        (_, Ok(length)) => {
            frame.push(masked | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(masked | 127);
            frame.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    if let Some(Mask(key)) = mask {
        frame.extend_from_slice(&key);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        frame.extend_from_slice(payload);
    }
    frame
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) is_last: bool,
    pub(super) operation: u8,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the head itself.
    pub(super) size: usize,
    /// Bytes of the payload. Not checked against any bound yet.
    pub(super) length: u64,
}

impl Head {
    /// Reads a head that `receiver` was sent. `None` as long as it isn't complete.
    pub(super) fn parse(bytes: &[u8], receiver: Role) -> Result<Option<Self>, FrameError> {
        let (&[first, second], rest) = match bytes.split_first_chunk::<2>() {
            Some(split) => split,
            None => return Ok(None),
        };
        if first & 0x70 != 0 {
            return Err(FrameError::Reserved);
        }
        if (second & MASKED != 0) != (receiver == Role::Server) {
            return Err(FrameError::Masked);
        }
        let Some((length, rest)) = length(second & 0x7f, rest)? else { return Ok(None) };
        let (mask, rest) = match receiver {
            Role::Client => (None, rest),
            Role::Server => match rest.split_first_chunk::<4>() {
                Some((mask, rest)) => (Some(*mask), rest),
                None => return Ok(None),
            },
        };
        let size = bytes.len().saturating_sub(rest.len());
        Ok(Some(Self { is_last: first & FIN != 0, operation: first & 0x0f, mask, size, length }))
    }
}

/// The length that begins with these seven bits, and what follows it. Each length has one form that is right.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 65_536),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    if length < least { Err(FrameError::Length) } else { Ok(Some((length, rest))) }
}
