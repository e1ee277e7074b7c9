//! Fields as bytes. Each has one encoding, and reading takes no memory before the bytes for it are there.

use crate::Error;

/// What a field may be, beside what its type says. The same function judges what goes out and what came in.
pub(crate) fn within(what: &'static str, fits: bool) -> Result<(), Error> {
    if fits { Ok(()) } else { Err(Error::Range(what)) }
}

/// Appends fields to a frame.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A count, refused beyond `limit`; the items follow.
    pub(crate) fn count(&mut self, what: &'static str, count: usize, limit: usize) -> Result<(), Error> {
        within(what, count <= limit)?;
        self.u32(u32::try_from(count).map_err(|_| Error::Range(what))?);
        Ok(())
    }

    pub(crate) fn bytes(&mut self, what: &'static str, bytes: &[u8], limit: usize) -> Result<(), Error> {
        self.count(what, bytes.len(), limit)?;
        self.raw(bytes);
        Ok(())
    }
}

/// Takes fields off the front of a frame.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(frame: &'a [u8]) -> Reader<'a> {
        Reader { rest: frame }
    }

    /// The end of the frame, which must be reached.
    pub(crate) fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Long(self.rest.len())) }
    }

    fn take(&mut self, what: &'static str, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Short(what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        self.take(what, N)?.try_into().map_err(|_| Error::Short(what))
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array(what).map(|[byte]| byte)
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, Error> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Range(what)),
        }
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(crate) fn f32(&mut self, what: &'static str) -> Result<f32, Error> {
        self.array(what).map(f32::from_le_bytes)
    }

    pub(crate) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.u32(what)?).map_err(|_| Error::Range(what))?;
        within(what, count <= limit)?;
        Ok(count)
    }

    pub(crate) fn bytes(&mut self, what: &'static str, limit: usize) -> Result<Vec<u8>, Error> {
        let count = self.count(what, limit)?;
        self.take(what, count).map(<[u8]>::to_vec)
    }

    pub(crate) fn text(&mut self, what: &'static str, limit: usize) -> Result<String, Error> {
        String::from_utf8(self.bytes(what, limit)?).map_err(|_| Error::Text(what))
    }

    /// A list whose items take at least `smallest` bytes each, so that the memory taken for it is in proportion to
    /// what came.
    pub(crate) fn list<T>(
        &mut self,
        what: &'static str,
        limit: usize,
        smallest: usize,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = self.count(what, limit)?;
        let least = count.checked_mul(smallest).ok_or(Error::Range(what))?;
        if least > self.rest.len() {
            return Err(Error::Short(what));
        }
        (0..count).map(|_| item(self)).collect()
    }
}
