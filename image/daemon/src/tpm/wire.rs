//! Big-endian fields, written and read. Source: Part 1, section "Data Marshaling"; Part 2, section 10.3 (sized buffers).

/// A command's bytes. Sizes that don't fit their field can't come up with this crate's fixed shapes; were one to, the
/// largest value stands there and the TPM refuses the command.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    pub(super) fn u16(self, value: u16) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `TPM2B_*`: the size in two bytes, then the bytes.
    pub(super) fn sized(self, bytes: &[u8]) -> Writer {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).bytes(bytes)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// What is left of an answer. Every method names the field it reads, which is the error.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

/// The field at which an answer stopped making sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadField(pub(super) &'static str);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn bytes(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], BadField> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(BadField(field))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], BadField> {
        self.bytes(N, field)?.try_into().map_err(|_| BadField(field))
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, BadField> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, BadField> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, BadField> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// A `TPM2B_*`, without its size.
    pub(super) fn sized(&mut self, field: &'static str) -> Result<&'a [u8], BadField> {
        let count = self.u16(field)?;
        self.bytes(count.into(), field)
    }

    /// A constant: 16 bits.
    pub(super) fn expect_u16(&mut self, value: u16, field: &'static str) -> Result<(), BadField> {
        if self.u16(field)? == value { Ok(()) } else { Err(BadField(field)) }
    }

    /// A constant: 32 bits.
    pub(super) fn expect_u32(&mut self, value: u32, field: &'static str) -> Result<(), BadField> {
        if self.u32(field)? == value { Ok(()) } else { Err(BadField(field)) }
    }

    /// A `TPM2B_*` with these bytes.
    pub(super) fn expect_sized(&mut self, bytes: &[u8], field: &'static str) -> Result<(), BadField> {
        if self.sized(field)? == bytes { Ok(()) } else { Err(BadField(field)) }
    }

    /// Nothing is left.
    pub(super) fn end(self, field: &'static str) -> Result<(), BadField> {
        if self.0.is_empty() { Ok(()) } else { Err(BadField(field)) }
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}
