//! A reader that hashes what passes through it.

use std::io::{self, Read};

use sealstone_spec::Sha256;
use sha2::Digest;

/// Reads from `inner` and keeps the SHA-256 and the length of all that was read.
pub struct Hashing<R> {
    inner: R,
    hasher: sha2::Sha256,
    length: u64,
}

impl<R: Read> Hashing<R> {
    /// Starts with nothing read.
    pub fn new(inner: R) -> Self {
        Hashing { inner, hasher: sha2::Sha256::new(), length: 0 }
    }

    /// Digest and length of everything that was read so far.
    pub fn finish(self) -> (Sha256, u64) {
        (Sha256::from_bytes(self.hasher.finalize().into()), self.length)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.length = self.length.saturating_add(count as u64);
        Ok(count)
    }
}
