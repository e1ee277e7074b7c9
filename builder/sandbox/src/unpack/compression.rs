//! Decompression, chosen by the stream's first bytes, never by a file's name.

use std::io::{self, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use crate::error::UnpackError;

/// Largest xz dictionary that is accepted, in KiB. `xz -9` uses 64 MiB; a package that asks for more than this would let
/// the archive decide how much memory the builder takes.
const XZ_MEMORY_KIB: u32 = 160 * 1024;

const READ_AHEAD: usize = 128 * 1024;

/// The tar inside `reader`, whatever it is compressed with.
pub(super) fn plain<'r, R: Read + 'r>(mut reader: R) -> Result<Box<dyn Read + 'r>, UnpackError> {
    let mut magic = Vec::with_capacity(6);
    reader.by_ref().take(6).read_to_end(&mut magic).map_err(UnpackError::Damaged)?;
    let whole = BufReader::with_capacity(READ_AHEAD, Cursor::new(magic.clone()).chain(reader));
    match magic.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Box::new(XzReader::new_mem_limit(whole, true, XZ_MEMORY_KIB))),
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(UnpackError::Compression("zstd")),
        [b'B', b'Z', b'h', ..] => Err(UnpackError::Compression("bzip2")),
        [0x5d, 0, 0, ..] => Err(UnpackError::Compression("lzma")),
        [] => Err(UnpackError::Damaged(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(Box::new(whole)),
    }
}
