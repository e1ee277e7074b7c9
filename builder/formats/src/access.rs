//! Access by position to things that are too long to hold in memory: packs have gigabytes.
//!
//! The caller implements these for its files (`FileExt::read_exact_at`, `FileExt::write_all_at`); here they exist for
//! memory alone.

use std::io;

/// Something of known length that can be read anywhere, by several threads at once.
pub trait ReadAt: Sync {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Fills `out` with the bytes from `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where they reach past the end, and whatever the source fails with.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

/// Something that can be written anywhere; it grows as needed.
pub trait WriteAt {
    /// Puts all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Whatever the target fails with.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = || -> Option<&[u8]> {
            let start = usize::try_from(offset).ok()?;
            self.get(start..start.checked_add(out.len())?)
        };
        let bytes = from().ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, out)
    }
}

impl WriteAt for Vec<u8> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::OutOfMemory)?;
        if self.len() < end {
            self.resize(end, 0);
        }
        self.get_mut(start..end).ok_or(io::ErrorKind::OutOfMemory)?.copy_from_slice(bytes);
        Ok(())
    }
}

/// A stretch of something longer: of a pack, the file system or the hash tree.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a, S: ?Sized> {
    whole: &'a S,
    start: u64,
    len: u64,
}

impl<'a, S: ReadAt + ?Sized> Part<'a, S> {
    /// `len` bytes from `start`; `None` where they reach past the end of `whole`.
    pub fn new(whole: &'a S, start: u64, len: u64) -> Option<Self> {
        (start.checked_add(len)? <= whole.size()).then_some(Part { whole, start, len })
    }

    /// Everything from `start`; `None` where that is past the end of `whole`.
    pub fn from(whole: &'a S, start: u64) -> Option<Self> {
        Some(Part { whole, start, len: whole.size().checked_sub(start)? })
    }
}

impl<S: ReadAt + ?Sized> ReadAt for Part<'_, S> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        let (Some(_), Some(at)) = (end, self.start.checked_add(offset)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        self.whole.read_at(at, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_it_says() {
        let whole: &[u8] = b"0123456789";
        let part = Part::new(whole, 3, 4).unwrap();
        let mut out = [0; 2];
        part.read_at(2, &mut out).unwrap();
        assert_eq!((&out, part.size()), (b"56", 4));
        for offset in [3, 4, u64::MAX] {
            assert_eq!(part.read_at(offset, &mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{offset}");
        }
        assert!(Part::new(whole, 7, 4).is_none() && Part::new(whole, u64::MAX, 2).is_none() && Part::from(whole, 11).is_none());
        assert_eq!(Part::from(whole, 10).unwrap().size(), 0);
    }

    #[test]
    fn writing_behind_the_end_fills_with_zeros() {
        let mut out = vec![1];
        out.write_at(3, b"ab").unwrap();
        out.write_at(0, b"x").unwrap();
        assert_eq!(out, b"x\0\0ab");
    }
}
