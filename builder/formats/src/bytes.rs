//! Checked access to bytes that somebody else wrote, and the field tables that name what stands where.

/// `len` bytes from `at`, or `None` where they reach past the end.
pub(crate) fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// `N` bytes from `at`.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    slice(bytes, at, N)?.try_into().ok()
}

/// A little-endian 16-bit number.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// A little-endian 32-bit number.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// A little-endian 64-bit number.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Overwrites bytes in place; `None`, and nothing written, where they don't fit.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    let end = at.checked_add(value.len())?;
    bytes.get_mut(at..end)?.copy_from_slice(value);
    Some(())
}

/// Whether nothing but zeros stands here. By blocks, since tens of MiB of free space are looked through.
pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.starts_with(chunk))
}

/// `value` rounded up to a multiple of `unit`; `None` on overflow or for a `unit` of zero.
pub(crate) fn round_up(value: u64, unit: u64) -> Option<u64> {
    value.checked_next_multiple_of(unit)
}

/// Where the two differ first; the end of the shorter one if that is all there is to tell.
pub(crate) fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    if a == b {
        return None;
    }
    match a.iter().zip(b).position(|(x, y)| x != y) {
        Some(at) => Some(at),
        None if a.len() == b.len() => None,
        None => Some(a.len().min(b.len())),
    }
}

/// An output that keeps nothing: it compares what is written with what is expected.
pub(crate) struct Comparison<'a> {
    expected: &'a [u8],
    written: usize,
    difference: Option<usize>,
}

impl<'a> Comparison<'a> {
    pub(crate) fn with(expected: &'a [u8]) -> Self {
        Comparison { expected, written: 0, difference: None }
    }

    /// Where the two differ first, now that everything is written.
    pub(crate) fn difference(&self) -> Option<usize> {
        self.difference.or((self.written < self.expected.len()).then_some(self.written))
    }
}

impl std::io::Write for Comparison<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.difference.is_none() {
            let rest = self.expected.get(self.written..).unwrap_or(&[]);
            let same = rest.get(..bytes.len()).unwrap_or(rest);
            self.difference = first_difference(same, bytes).map(|at| self.written.saturating_add(at));
        }
        self.written = self.written.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One field of a fixed-size record.
pub(crate) struct Field {
    /// As the format's specification calls it, spelled out.
    pub(crate) name: &'static str,
    /// First byte, from the start of the record.
    pub(crate) at: usize,
    /// Bytes.
    pub(crate) len: usize,
}

/// The field of `fields` that byte `at` of a record belongs to.
pub(crate) fn field_at(fields: &'static [Field], at: usize) -> Option<&'static Field> {
    fields.iter().find(|field| at >= field.at && at - field.at < field.len)
}

/// "field mtime", or "byte 7" where the table has no name for it.
pub(crate) fn field_name(fields: &'static [Field], at: usize) -> String {
    match field_at(fields, at) {
        Some(field) => format!("field {}", field.name),
        None => format!("byte {at}"),
    }
}

/// A line per field: its offset, its name and its value. Numbers are little-endian, names are text, long fields
/// are summed up.
pub(crate) fn dump_fields(text: &mut String, base: usize, fields: &'static [Field], raw: &[u8]) {
    for field in fields {
        let Some(value) = slice(raw, field.at, field.len) else { return };
        let shown = match value.len() {
            8 | 11 if value.iter().all(|byte| matches!(byte, b' '..=b'~')) => format!("\"{}\"", value.escape_ascii()),
            1 | 2 | 4 | 8 => {
                let digits: String = value.iter().rev().map(|byte| format!("{byte:02x}")).collect();
                format!("0x{digits}")
            }
            3..=16 => value.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
            len if all_zero(value) => format!("{len} bytes, all zero"),
            len => format!("{len} bytes"),
        };
        text.push_str(&format!("{:08x}   {} = {shown}\n", base.saturating_add(field.at), field.name));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record's table must cover the record without gap or overlap; every format's tests call this.
    pub(crate) fn assert_covers(fields: &[Field], len: usize) {
        let mut at = 0;
        for field in fields {
            assert_eq!(field.at, at, "field {} doesn't follow its predecessor", field.name);
            at += field.len;
        }
        assert_eq!(at, len);
    }

    #[test]
    fn access_past_the_end_is_none() {
        assert_eq!(u32_at(&[1, 0, 0, 0], 0), Some(1));
        assert_eq!(u32_at(&[1, 0, 0, 0], 1), None);
        assert_eq!(u16_at(&[], usize::MAX), None);
        let mut bytes = [0u8; 4];
        assert_eq!(put(&mut bytes, 3, &[1, 2]), None);
        assert_eq!(bytes, [0; 4]);
    }

    #[test]
    fn the_first_difference_counts_missing_bytes() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"axc"), Some(1));
        assert_eq!(first_difference(b"abc", b"ab"), Some(2));
    }

    #[test]
    fn a_comparison_finds_the_first_difference() {
        use std::io::Write;
        let cases: [(&[&[u8]], Option<usize>); 5] = [
            (&[b"ab", b"cd"], None),
            (&[b"ab", b"cx"], Some(3)),
            (&[b"ax", b"xx"], Some(1)),
            (&[b"ab"], Some(2)),
            (&[b"ab", b"cde"], Some(4)),
        ];
        for (pieces, expected) in cases {
            let mut comparison = Comparison::with(b"abcd");
            for piece in pieces {
                comparison.write_all(piece).unwrap();
            }
            assert_eq!(comparison.difference(), expected, "{pieces:?}");
        }
    }

    #[test]
    fn zeros() {
        let mut bytes = [0; 10_000];
        assert!(all_zero(&bytes) && all_zero(&[]));
        bytes[9_999] = 1;
        assert!(!all_zero(&bytes));
    }
}
