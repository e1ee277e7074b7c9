//! Salted hashing, one block at a time and many at once.

use std::fmt;
use std::io;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::access::ReadAt;

use super::layout::{BLOCK, DIGEST, PER_BLOCK};

/// What precedes every block that is hashed. It is no secret: it keeps work on collisions from being shared between packs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Salt([u8; DIGEST]);

/// The digest of a tree's top block, from which everything below follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root([u8; DIGEST]);

macro_rules! bytes32 {
    ($name:ident) => {
        impl $name {
            /// From its 32 bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                $name(bytes)
            }

            /// Its 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        /// 64 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
bytes32!(Salt);
bytes32!(Root);

/// SHA-256 with the salt already in it. The salt is no whole block of the hash, so what is saved by keeping this state is
/// the copy, not a compression: 32 + 4096 bytes and the length take 65 compressions, by whatever way they come.
pub(super) struct Salted(Sha256);

impl Salted {
    pub(super) fn new(salt: &Salt) -> Self {
        Salted(Sha256::new_with_prefix(salt.0))
    }

    pub(super) fn hash(&self, block: &[u8]) -> [u8; DIGEST] {
        let mut state = self.0.clone();
        state.update(block);
        state.finalize().into()
    }
}

/// Data blocks whose digests fill one hash block: what a thread takes on at a time.
const RUN: u64 = (PER_BLOCK * BLOCK) as u64;

/// Bytes that a thread reads at a time. They should still be in the core's own cache when they are hashed.
const PIECE: usize = 8 * BLOCK;

/// Runs per thread between two meetings of all threads. More even out threads of unequal speed and need more memory, one
/// piece and one hash block each.
const RUNS_PER_THREAD: usize = 32;

/// One hash block of level 0 in the making.
pub(super) struct Run {
    /// The digests, zero-padded: the hash block's bytes.
    pub(super) block: Box<[u8]>,
    /// The hash block's own digest, an entry of level 1.
    pub(super) digest: [u8; DIGEST],
    piece: Box<[u8]>,
    result: Result<(), Unread>,
}

/// A piece of the data couldn't be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) offset: u64,
    pub(super) source: io::Error,
}

impl Run {
    fn new() -> Self {
        let zeros = |len| vec![0; len].into_boxed_slice();
        Run { block: zeros(BLOCK), digest: [0; DIGEST], piece: zeros(PIECE), result: Ok(()) }
    }

    fn fill(&mut self, data: &(impl ReadAt + ?Sized), salted: &Salted, start: u64) -> Result<(), Unread> {
        let end = data.size().min(start + RUN);
        let mut digests = self.block.chunks_exact_mut(DIGEST);
        let mut at = start;
        while at < end {
            let len = usize::try_from(end - at).map_or(PIECE, |len| len.min(PIECE));
            let piece = self.piece.get_mut(..len).unwrap_or(&mut []);
            data.read_at(at, piece).map_err(|source| Unread { offset: at, source })?;
            for (block, digest) in piece.chunks_exact(BLOCK).zip(&mut digests) {
                digest.copy_from_slice(&salted.hash(block));
            }
            at += len as u64;
        }
        // Only the last run has any left: what stood there is of an earlier one.
        digests.for_each(|digest| digest.fill(0));
        Ok(())
    }
}

/// Hashes the data, whole blocks of at most [`MAX_DATA_BLOCKS`](super::MAX_DATA_BLOCKS), on all threads of rayon's pool, and hands over
/// the hash blocks of level 0 in order: the first one's number, and some of them. Memory is bounded whatever the data.
pub(super) fn level_0<E: From<Unread>>(
    data: &(impl ReadAt + ?Sized),
    salted: &Salted,
    mut take: impl FnMut(u64, &[Run]) -> Result<(), E>,
) -> Result<(), E> {
    let total = data.size().div_ceil(RUN);
    let at_once = (rayon::current_num_threads() * RUNS_PER_THREAD) as u64;
    let mut runs: Vec<Run> = (0..at_once.min(total)).map(|_| Run::new()).collect();
    let mut first = 0;
    while first < total {
        runs.truncate(usize::try_from(total - first).unwrap_or(usize::MAX));
        // One by one, so that no thread is left with several while the others wait.
        runs.par_iter_mut().with_max_len(1).enumerate().for_each(|(index, run)| {
            run.result = run.fill(data, salted, (first + index as u64) * RUN);
            run.digest = salted.hash(&run.block);
        });
        for run in &mut runs {
            std::mem::replace(&mut run.result, Ok(()))?;
        }
        take(first, &runs)?;
        first += runs.len() as u64;
    }
    Ok(())
}
