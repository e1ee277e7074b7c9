//! Salted hashing, one block at a time and many at once.

use std::fmt;
use std::io;

use rayon::prelude::*;
use sha2::block_api::compress256;

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

/// Bytes that SHA-256 takes at a time.
const CHUNK: usize = 64;

/// SHA-256's initial hash value (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Blocks that are hashed side by side. The processor's SHA instructions wait for each other within one message, which
/// leaves room for those of another: compressions of independent messages that follow each other run at the same time.
const LANES: usize = 2;

/// Hashes blocks with the salt in front. Salt, block and SHA-256's own padding make exactly 65 chunks, of which
/// the first and the last are put together here and the others taken from the block where they are.
pub(super) struct Salted {
    /// The salt, and room for the block's first bytes.
    first: [u8; CHUNK],
    /// Room for the block's last bytes, and the padding (FIPS 180-4, section 5.1.1).
    last: [u8; CHUNK],
}

/// Bytes of the block that the first chunk has room for.
const HEAD: usize = CHUNK - DIGEST;
/// Bytes of the block that the last chunk has room for: what is left of it behind whole chunks.
const TAIL: usize = (BLOCK - HEAD) % CHUNK;
// The padding takes 9 bytes at least.
const _: () = assert!(TAIL + 9 <= CHUNK);

impl Salted {
    pub(super) fn new(salt: &Salt) -> Self {
        let (mut first, mut last) = ([0; CHUNK], [0; CHUNK]);
        let bits = ((DIGEST + BLOCK) * 8) as u64;
        first[..DIGEST].copy_from_slice(&salt.0);
        last[TAIL] = 0x80;
        last[CHUNK - 8..].copy_from_slice(&bits.to_be_bytes());
        Salted { first, last }
    }

    /// The digest of one block.
    pub(super) fn hash(&self, block: &[u8; BLOCK]) -> [u8; DIGEST] {
        let [digest] = self.hash_together([block]);
        digest
    }

    /// Puts the digests of some blocks into the next places.
    fn hash_each<'a>(&self, blocks: &[[u8; BLOCK]], digests: &mut impl Iterator<Item = &'a mut [u8; DIGEST]>) {
        let (together, alone) = blocks.as_chunks::<LANES>();
        let found = together.iter().flat_map(|blocks| self.hash_together(blocks.each_ref()));
        let found = found.chain(alone.iter().map(|block| self.hash(block)));
        found.zip(digests).for_each(|(digest, to)| *to = digest);
    }

    /// The digests of `N` blocks, the compressions of the ones between those of the others.
    fn hash_together<const N: usize>(&self, blocks: [&[u8; BLOCK]; N]) -> [[u8; DIGEST]; N] {
        let mut states = [INITIAL; N];
        let parts = blocks.map(|block| {
            let (mut first, mut last) = (self.first, self.last);
            first[DIGEST..].copy_from_slice(&block[..HEAD]);
            last[..TAIL].copy_from_slice(&block[BLOCK - TAIL..]);
            let (middle, _) = block[HEAD..].as_chunks::<CHUNK>();
            (first, middle, last)
        });
        for (state, (first, ..)) in states.iter_mut().zip(&parts) {
            compress256(state, &[*first]);
        }
        for chunk in 0..(BLOCK - HEAD) / CHUNK {
            for (state, (_, middle, _)) in states.iter_mut().zip(&parts) {
                compress256(state, &middle[chunk..=chunk]);
            }
        }
        for (state, (.., last)) in states.iter_mut().zip(&parts) {
            compress256(state, &[*last]);
        }
        states.map(|state| {
            let mut digest = [0; DIGEST];
            let (words, _) = digest.as_chunks_mut::<4>();
            words.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
            digest
        })
    }
}

/// Data blocks whose digests fill one hash block: what a thread takes on at a time.
const RUN: u64 = (PER_BLOCK * BLOCK) as u64;

/// Blocks that a thread reads at a time. They should still be in the core's own cache when they are hashed.
const PIECE: usize = 8;

/// Runs per thread between two meetings of all threads. More even out threads of unequal speed and need more memory, one
/// piece and one hash block each.
const RUNS_PER_THREAD: usize = 32;

/// One hash block of level 0 in the making.
pub(super) struct Run {
    /// The digests, zero-padded: the hash block's bytes.
    pub(super) block: Box<[u8; BLOCK]>,
    /// The hash block's own digest, an entry of level 1.
    pub(super) digest: [u8; DIGEST],
    piece: Box<[[u8; BLOCK]]>,
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
        let piece = vec![[0; BLOCK]; PIECE].into_boxed_slice();
        Run { block: Box::new([0; BLOCK]), digest: [0; DIGEST], piece, result: Ok(()) }
    }

    fn fill(&mut self, data: &(impl ReadAt + ?Sized), salted: &Salted, start: u64) -> Result<(), Unread> {
        let end = data.size().min(start + RUN);
        let (digests, _) = self.block.as_chunks_mut();
        let mut digests = digests.iter_mut();
        let mut at = start;
        while at < end {
            let blocks = usize::try_from((end - at) / BLOCK as u64).map_or(PIECE, |blocks| blocks.min(PIECE));
            let piece = &mut self.piece[..blocks];
            data.read_at(at, piece.as_flattened_mut()).map_err(|source| Unread { offset: at, source })?;
            salted.hash_each(piece, &mut digests);
            at += (blocks * BLOCK) as u64;
        }
        // Only the last run has any left: what stood there is of an earlier one.
        digests.for_each(|digest| *digest = [0; DIGEST]);
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
