//! What is in a sealed message: `kind (1) ‖ length (2, big-endian) ‖ content ‖ zeros`, up to the smallest bucket that fits.

use zeroize::Zeroizing;

use crate::error::ChannelError;
use crate::limits::{BUCKETS, MAX_CONTENT, RECORD_HEAD};

/// What a record's content is. The number is the record's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The first piece of the evidence, beginning with the length of the whole.
    Evidence = 1,
    /// The next bytes of the stream, at least one.
    Data = 2,
    /// The end of the stream in this direction. No content. Without it, an end of the connection is a cut.
    End = 3,
}

/// A record that was opened.
#[derive(Debug)]
pub struct Record {
    /// What the content is.
    pub kind: Kind,
    bytes: Zeroizing<Vec<u8>>,
    end: usize,
}

impl Record {
    /// The content, without padding.
    pub fn content(&self) -> &[u8] {
        self.bytes.get(RECORD_HEAD..self.end).unwrap_or_default()
    }

    /// Reads what [`write`] wrote.
    ///
    /// # Errors
    /// [`ChannelError::Unpadded`] and [`ChannelError::Record`]. There is one way to write a record, and every other is refused.
    pub fn parse(bytes: Zeroizing<Vec<u8>>) -> Result<Self, ChannelError> {
        if !BUCKETS.contains(&bytes.len()) {
            return Err(ChannelError::Unpadded);
        }
        let (kind, length) = match bytes.as_slice() {
            [kind, high, low, ..] => (*kind, usize::from(u16::from_be_bytes([*high, *low]))),
            _ => return Err(ChannelError::Record),
        };
        let kind = match kind {
            1 => Kind::Evidence,
            2 => Kind::Data,
            3 => Kind::End,
            _ => return Err(ChannelError::Record),
        };
        let end = length.checked_add(RECORD_HEAD).ok_or(ChannelError::Record)?;
        let padding = bytes.get(end..).ok_or(ChannelError::Record)?;
        let is_plain = padding.iter().all(|byte| *byte == 0);
        if !is_plain || bucket(length) != Some(bytes.len()) || (length == 0) != (kind == Kind::End) {
            return Err(ChannelError::Record);
        }
        Ok(Self { kind, bytes, end })
    }
}

/// The record of `kind` with `content`, padded.
///
/// # Errors
/// [`ChannelError::TooMuch`]: more than [`MAX_CONTENT`] bytes.
pub fn write(kind: Kind, content: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
    let size = bucket(content.len()).ok_or(ChannelError::TooMuch)?;
    let length = u16::try_from(content.len()).map_err(|_| ChannelError::TooMuch)?;
    // Allocated at its final size: growing would leave copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bytes.push(kind as u8);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(size, 0);
    Ok(bytes)
}

/// The smallest bucket for so much content.
fn bucket(content: usize) -> Option<usize> {
    let needed = content.checked_add(RECORD_HEAD)?;
    BUCKETS.into_iter().find(|bucket| *bucket >= needed)
}

const _: () = assert!(MAX_CONTENT <= u16::MAX as usize, "a record's length field has 16 bits");

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: Vec<u8>) -> Result<Record, ChannelError> {
        Record::parse(Zeroizing::new(bytes))
    }

    #[test]
    fn sizes_at_the_edges_of_the_buckets() {
        let table = [(1, 1024), (1021, 1024), (1022, 4096), (4093, 4096), (4094, 16_384), (16_381, 16_384), (16_382, 65_519)];
        for (content, size) in table.into_iter().chain([(MAX_CONTENT, 65_519)]) {
            assert_eq!(write(Kind::Data, &vec![7; content]).unwrap().len(), size, "{content}");
        }
        assert_eq!(write(Kind::Data, &vec![7; MAX_CONTENT + 1]).unwrap_err(), ChannelError::TooMuch);
    }

    #[test]
    fn only_the_one_way_to_write_a_record_is_read() {
        let good = write(Kind::Data, b"content").unwrap().to_vec();
        assert_eq!(parse(good.clone()).unwrap().content(), b"content");
        let change = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let table = [
            ("kind 0", change(0, 0), ChannelError::Record),
            ("kind 4", change(0, 4), ChannelError::Record),
            ("an end with content", change(0, 3), ChannelError::Record),
            ("length beyond the record", change(1, 4), ChannelError::Record),
            ("length too short: content in the padding", change(2, 6), ChannelError::Record),
            ("padding that isn't zero", change(1023, 1), ChannelError::Record),
            ("a bucket too large", [&good[..], &[0; 3072]].concat(), ChannelError::Record),
            ("no bucket", good[..1023].to_vec(), ChannelError::Unpadded),
            ("nothing", vec![], ChannelError::Unpadded),
            ("data without content", [&[2, 0, 0][..], &[0; 1021]].concat(), ChannelError::Record),
            ("evidence without content", [&[1, 0, 0][..], &[0; 1021]].concat(), ChannelError::Record),
        ];
        for (what, bytes, error) in table {
            assert_eq!(parse(bytes).unwrap_err(), error, "{what}");
        }
    }
}
