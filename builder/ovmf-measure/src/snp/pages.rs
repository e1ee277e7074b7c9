//! SHA-384 of each page of a firmware file. It is nearly all the work of a launch digest, and the pages don't depend on
//! each other (only the chain over their hashes does), so it is shared between threads where there are threads.

use sha2::{Digest as _, Sha384};

use crate::firmware::PAGE;

/// SHA-384 of each page, in order. A last piece that isn't a whole page is left out; firmware never has one.
///
/// A page like the one before it isn't hashed again: most of a firmware file is unused flash, all ones (863 of the 1024 pages
/// of the AmdSev build).
pub(super) fn hashes(bytes: &[u8]) -> Vec<[u8; 48]> {
    let mut runs: Vec<(&[u8; PAGE], usize)> = Vec::new();
    for page in bytes.as_chunks::<PAGE>().0 {
        match runs.last_mut() {
            Some((last, length)) if *last == page => *length += 1,
            _ => runs.push((page, 1)),
        }
    }
    let firsts: Vec<_> = runs.iter().map(|(page, _)| *page).collect();
    let lengths = runs.iter().map(|(_, length)| *length);
    shared(&firsts).into_iter().zip(lengths).flat_map(|(hash, length)| std::iter::repeat_n(hash, length)).collect()
}

fn one_by_one(pages: &[&[u8; PAGE]]) -> Vec<[u8; 48]> {
    pages.iter().map(|page| Sha384::digest(page).into()).collect()
}

#[cfg(target_family = "wasm")]
use one_by_one as shared;

/// Threads beside the caller's; more gain nothing on 4 MiB.
#[cfg(not(target_family = "wasm"))]
const HELPERS: usize = 3;
/// What a thread takes at a time: a fifth of a millisecond's work, so that on a busy machine nobody waits long for a
/// thread that doesn't get its turn.
#[cfg(not(target_family = "wasm"))]
const PORTION: usize = 32;

#[cfg(not(target_family = "wasm"))]
fn shared(pages: &[&[u8; PAGE]]) -> Vec<[u8; 48]> {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let portions: Vec<_> = pages.chunks(PORTION).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match portions.get(index) {
                Some(portion) => done.push((index, one_by_one(portion))),
                None => return done,
            }
        }
    };
    let helpers = HELPERS.min(portions.len().saturating_sub(1));
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for thread in threads {
            // Hashing can't panic; if a thread failed all the same, its portions are missing, which is seen below.
            done.extend(thread.join().unwrap_or_default());
        }
        done
    });
    if done.len() != portions.len() {
        return one_by_one(pages);
    }
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().flat_map(|(_, hashes)| hashes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(bytes: &[u8]) -> Vec<[u8; 48]> {
        bytes.as_chunks::<PAGE>().0.iter().map(|page| Sha384::digest(page).into()).collect()
    }

    #[test]
    fn threads_change_nothing() {
        for count in [0, 1, 32, 33, 1000] {
            let bytes: Vec<u8> = (0..count * PAGE).map(|n| (n / 7) as u8).collect();
            assert_eq!(hashes(&bytes), each(&bytes), "{count}");
        }
    }

    #[test]
    fn repeated_pages_change_nothing() {
        for fills in [&[1, 1, 1][..], &[1, 2, 1], &[0, 0, 5, 0xff, 0xff, 0xff, 5, 5, 0], &[7; 200]] {
            let bytes: Vec<u8> = fills.iter().flat_map(|fill| [*fill; PAGE]).collect();
            assert_eq!(hashes(&bytes), each(&bytes), "{fills:?}");
        }
    }
}
