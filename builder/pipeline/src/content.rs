//! Files that a build made, each with its digest.
//!
//! The same file is named by its digest in the pin, the bill of materials, the provenance, `SHA256SUMS` and the report. Hashing
//! it anew for each took most of the time of a build that had nothing to do.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sealstone_spec::Sha256;

/// Bytes and their SHA-256, which is calculated when it is first asked for. The bytes never change, so it can't grow stale.
#[derive(Clone, Debug)]
pub struct Content {
    bytes: Vec<u8>,
    sha256: OnceLock<Sha256>,
}

/// Files by their path below the output folder.
pub type Contents = BTreeMap<String, Content>;

impl Content {
    /// The digest of the bytes.
    pub fn sha256(&self) -> Sha256 {
        *self.sha256.get_or_init(|| Sha256::of(&self.bytes))
    }

    /// The bytes alone.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, sha256: OnceLock::new() }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// The files without their digests.
pub fn plain(files: Contents) -> BTreeMap<String, Vec<u8>> {
    files.into_iter().map(|(name, content)| (name, content.into_bytes())).collect()
}

/// Calculates the digests of all files, on all processors, the longest first.
pub(crate) fn hash(files: &Contents) {
    let mut left: Vec<&Content> = files.values().collect();
    left.sort_by_key(|content| std::cmp::Reverse(content.len()));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(content) = left.get(next.fetch_add(1, Ordering::Relaxed)) {
            content.sha256();
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(left.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_bytes() {
        let files: Contents = (0..9u8).map(|n| (n.to_string(), Content::from(vec![n; usize::from(n) * 1000]))).collect();
        hash(&files);
        for content in files.values() {
            assert!(content.sha256.get().is_some(), "hashing passes over no file");
            assert_eq!(content.sha256(), Sha256::of(content));
        }
        hash(&Contents::new());
    }
}
