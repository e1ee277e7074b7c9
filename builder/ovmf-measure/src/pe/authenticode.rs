//! The Authenticode digest: what firmware measures, and Secure Boot signs, of a PE image.

use super::Pe;
use crate::digest::{Algorithm, Digest};
use crate::read;

/// Length of the checksum field.
const CHECKSUM: usize = 4;
/// Length of a data directory entry.
const DIRECTORY_ENTRY: usize = 8;

/// The digest of `image`: headers without checksum and certificate entry, then sections by file offset, then whatever
/// follows the last section, *exactly*, without the certificate table at the very end.
///
/// EDK2's `MeasurePeImageAndExtend` does so; tools that pad the rest to eight bytes differ from it on unaligned files.
pub fn authenticode(image: &Pe<'_>, algorithm: Algorithm) -> Digest {
    let bytes = image.bytes;
    let range = |start: usize, end: usize| read::slice(bytes, start, end.saturating_sub(start)).unwrap_or_default();

    let after_checksum = image.checksum + CHECKSUM;
    let mut parts = vec![range(0, image.checksum)];
    match image.certificate_entry {
        Some(entry) => {
            parts.push(range(after_checksum, entry));
            parts.push(range(entry + DIRECTORY_ENTRY, image.headers));
        }
        None => parts.push(range(after_checksum, image.headers)),
    }
    // EDK2 takes the *sum* of what it hashed as the start of the rest, which is the end of the last section unless there
    // are gaps between sections; then it hashes some bytes twice and others not at all.
    let mut sum = image.headers;
    for section in image.hashed() {
        parts.push(range(section.offset, section.offset + section.size));
        sum += section.size;
    }
    parts.push(range(sum, bytes.len() - image.certificate_size));
    algorithm.hash_parts(&parts)
}
