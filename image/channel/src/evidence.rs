//! The evidence document in records: the length of the whole (4, big-endian) and its bytes, cut into as few pieces as can be.

use zeroize::Zeroizing;

use crate::error::ChannelError;
use crate::limits::{MAX_CONTENT, MAX_EVIDENCE};
use crate::record::{self, Kind};

/// Bytes of the length in front.
const HEAD: usize = 4;

/// The records that carry `document`.
///
/// # Errors
/// [`ChannelError::Evidence`]: it is empty or longer than [`MAX_EVIDENCE`].
pub fn records(document: &[u8]) -> Result<Vec<Zeroizing<Vec<u8>>>, ChannelError> {
    if document.is_empty() || document.len() > MAX_EVIDENCE {
        return Err(ChannelError::Evidence);
    }
    let length = u32::try_from(document.len()).map_err(|_| ChannelError::Evidence)?;
    let whole = [&length.to_be_bytes(), document].concat();
    whole.chunks(MAX_CONTENT).map(|piece| record::write(Kind::Evidence, piece)).collect()
}

/// Puts the pieces together again. Holds no more than has come, and never more than [`MAX_EVIDENCE`].
#[derive(Debug, Default)]
pub struct Assembly {
    expected: Option<usize>,
    document: Vec<u8>,
}

impl Assembly {
    /// Takes the content of the next record; the document once it is complete.
    ///
    /// # Errors
    /// [`ChannelError::Evidence`]: the length isn't allowed, a piece other than the last isn't full, or the last has more than
    /// is missing.
    pub fn add(&mut self, content: &[u8]) -> Result<Option<Vec<u8>>, ChannelError> {
        let (expected, piece) = match self.expected {
            Some(expected) => (expected, content),
            None => first(content)?,
        };
        self.expected = Some(expected);
        let missing = expected.checked_sub(self.document.len()).ok_or(ChannelError::Evidence)?;
        if piece.len() > missing || piece.len() < missing && content.len() != MAX_CONTENT {
            return Err(ChannelError::Evidence);
        }
        self.document.extend_from_slice(piece);
        Ok((piece.len() == missing).then(|| std::mem::take(&mut self.document)))
    }
}

/// The length of the whole, and the first bytes of it.
fn first(content: &[u8]) -> Result<(usize, &[u8]), ChannelError> {
    let (head, piece) = content.split_first_chunk::<HEAD>().ok_or(ChannelError::Evidence)?;
    let expected = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| ChannelError::Evidence)?;
    if expected == 0 || expected > MAX_EVIDENCE { Err(ChannelError::Evidence) } else { Ok((expected, piece)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn assemble(contents: &[Vec<u8>]) -> Result<Option<Vec<u8>>, ChannelError> {
        let mut assembly = Assembly::default();
        let mut document = None;
        for content in contents {
            assert_eq!(document, None, "complete before the last piece");
            document = assembly.add(content)?;
        }
        Ok(document)
    }

    #[test]
    fn documents_come_back_whole() {
        for length in [1, 2, MAX_CONTENT - 5, MAX_CONTENT - 4, MAX_CONTENT - 3, 200_000, 2 * MAX_CONTENT - 4, MAX_EVIDENCE] {
            let document: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let records = records(&document).unwrap();
            assert_eq!(records.len(), (length + 4).div_ceil(MAX_CONTENT), "{length}");
            let contents: Vec<_> = records.into_iter().map(|r| Record::parse(r).unwrap().content().to_vec()).collect();
            assert_eq!(assemble(&contents), Ok(Some(document)), "{length}");
            assert_eq!(assemble(&contents[..contents.len() - 1]), Ok(None), "{length} without the last piece");
        }
        assert_eq!(records(&[]).unwrap_err(), ChannelError::Evidence);
        assert_eq!(records(&vec![0; MAX_EVIDENCE + 1]).unwrap_err(), ChannelError::Evidence);
    }

    #[test]
    fn other_cuts_are_refused() {
        let full = |length: u32| [&length.to_be_bytes()[..], &vec![0; MAX_CONTENT - 4]].concat();
        let table: &[(&str, Vec<Vec<u8>>)] = &[
            ("no length", vec![vec![0, 0, 1]]),
            ("empty", vec![vec![0, 0, 0, 0]]),
            ("too long", vec![full(MAX_EVIDENCE as u32 + 1)]),
            ("far too long", vec![vec![0xff; MAX_CONTENT]]),
            ("a short first piece", vec![vec![0, 0, 0, 2, 7]]),
            ("more than it says", vec![vec![0, 0, 0, 2, 7, 7, 7]]),
            ("a short piece in the middle", vec![full(200_000), vec![0; MAX_CONTENT - 1]]),
            ("a last piece with too much", vec![full(65_600), vec![0; 1000]]),
        ];
        for (what, contents) in table {
            assert_eq!(assemble(contents), Err(ChannelError::Evidence), "{what}");
        }
    }
}
