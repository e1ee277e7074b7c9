//! The tree of RFC 6962, section 2.1. Verification follows the iterative algorithms of RFC 9162, sections 2.1.3.2 and
//! 2.1.4.2; generation follows the recursive definitions, so that neither can hide a mistake of the other.

use sha2::{Digest as _, Sha256 as Hasher};

use super::TlogError;
use crate::hex::Sha256;

/// A node of the tree.
pub type Hash = Sha256;

/// Trees of more entries are refused: sizes then fit any integer type that a reader of the formats may use.
pub const MAX_SIZE: u64 = 1 << 62;

/// The root of no entries: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::of(b"")
}

/// The hash of an entry. The first byte keeps entries and nodes apart.
pub fn leaf(entry: &[u8]) -> Hash {
    hash(&[&[0x00], entry])
}

/// The hash of two neighbours.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    Hash::new(hasher.finalize().into())
}

/// The root of a tree of `size` entries that has `leaf` at `index`, if `path` is what stands beside the way up.
/// `None` if that can't be.
fn root_of(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size || size > MAX_SIZE {
        return None;
    }
    let (mut at, mut last, mut root) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            root = node(sibling, &root);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            root = node(&root, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

/// Checks that `leaf` is entry `index` of the tree of `size` entries with this root.
///
/// # Errors
/// [`TlogError::Inclusion`].
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<(), TlogError> {
    match root_of(leaf, index, size, path) {
        Some(computed) if computed == *root => Ok(()),
        _ => Err(TlogError::Inclusion),
    }
}

/// Checks that the tree `new` continues the tree `old`; each is a size and a root.
///
/// # Errors
/// [`TlogError::Consistency`].
pub fn verify_consistency(old: (u64, Hash), new: (u64, Hash), path: &[Hash]) -> Result<(), TlogError> {
    match continues(old, new, path) {
        Some(true) => Ok(()),
        _ => Err(TlogError::Consistency { old: old.0, new: new.0 }),
    }
}

fn continues((old, old_root): (u64, Hash), (new, new_root): (u64, Hash), path: &[Hash]) -> Option<bool> {
    if old > new || new > MAX_SIZE {
        return None;
    }
    if old == new || old == 0 {
        let same = if old == new { old_root == new_root } else { old_root == empty_root() };
        return Some(path.is_empty() && same);
    }
    let (first, rest) = if old.is_power_of_two() { (old_root, path) } else { path.split_first().map(|(a, b)| (*a, b))? };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut from_old, mut from_new) = (first, first);
    for sibling in rest {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            from_old = node(sibling, &from_old);
            from_new = node(sibling, &from_new);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            from_new = node(&from_new, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    Some(last == 0 && from_old == old_root && from_new == new_root)
}

/// Where hashes come from: the root of the `2^level` entries from `index * 2^level` on, all of which are in the log.
pub trait Complete {
    /// That hash.
    ///
    /// # Errors
    /// If it can't be had.
    fn complete(&self, level: u8, index: u64) -> Result<Hash, TlogError>;
}

/// The root of the first `size` entries.
///
/// # Errors
/// Those of `hashes`.
pub fn root(hashes: &dyn Complete, size: u64) -> Result<Hash, TlogError> {
    if size == 0 { Ok(empty_root()) } else { range(hashes, 0, size) }
}

/// The root of entries `from..to`; `from` is a multiple of the least power of two that isn't less than their number.
fn range(hashes: &dyn Complete, from: u64, to: u64) -> Result<Hash, TlogError> {
    let count = to - from;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return hashes.complete(u8::try_from(level).unwrap_or(u8::MAX), from >> level);
    }
    let split = from + left(count);
    Ok(node(&range(hashes, from, split)?, &range(hashes, split, to)?))
}

/// Entries in the left half: the largest power of two less than `count`, which is at least 2.
fn left(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

/// The hashes that lead from entry `index` to the root of `size` entries, the leaf's neighbour first.
///
/// # Errors
/// If there is no such entry, and those of `hashes`.
pub fn inclusion(hashes: &dyn Complete, index: u64, size: u64) -> Result<Vec<Hash>, TlogError> {
    if index >= size || size > MAX_SIZE {
        return Err(TlogError::Inclusion);
    }
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 {
        let split = from + left(to - from);
        if index < split {
            path.push(range(hashes, split, to)?);
            to = split;
        } else {
            path.push(range(hashes, from, split)?);
            from = split;
        }
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show that the tree of `new` entries continues that of `old`.
///
/// # Errors
/// If `old` is the larger, and those of `hashes`.
pub fn consistency(hashes: &dyn Complete, old: u64, new: u64) -> Result<Vec<Hash>, TlogError> {
    if old > new || new > MAX_SIZE {
        return Err(TlogError::Consistency { old, new });
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    // SUBPROOF(m, D[n], b) of RFC 6962, section 2.1.2; `whole` is b.
    let (mut from, mut to, mut whole) = (0, new, true);
    while old != to {
        let split = from + left(to - from);
        if old <= split {
            path.push(range(hashes, split, to)?);
            to = split;
        } else {
            path.push(range(hashes, from, split)?);
            (from, whole) = (split, false);
        }
    }
    if !whole {
        path.push(range(hashes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definitions of RFC 6962, section 2.1, word for word, on slices: slow, and independent of everything above but the
    /// two hash functions, which `known_answers` pins.
    mod naive {
        use super::{Hash, empty_root, leaf, node};

        fn k(n: usize) -> usize {
            let mut k = 1;
            while k * 2 < n {
                k *= 2;
            }
            k
        }

        pub(super) fn mth(d: &[Vec<u8>]) -> Hash {
            match d {
                [] => empty_root(),
                [one] => leaf(one),
                many => node(&mth(&many[..k(many.len())]), &mth(&many[k(many.len())..])),
            }
        }

        pub(super) fn path(m: usize, d: &[Vec<u8>]) -> Vec<Hash> {
            if d.len() == 1 {
                return Vec::new();
            }
            let k = k(d.len());
            let (mut path, last) =
                if m < k { (path(m, &d[..k]), mth(&d[k..])) } else { (self::path(m - k, &d[k..]), mth(&d[..k])) };
            path.push(last);
            path
        }

        pub(super) fn subproof(m: usize, d: &[Vec<u8>], b: bool) -> Vec<Hash> {
            if m == d.len() {
                return if b { Vec::new() } else { vec![mth(d)] };
            }
            let k = k(d.len());
            let (mut proof, last) =
                if m <= k { (subproof(m, &d[..k], b), mth(&d[k..])) } else { (subproof(m - k, &d[k..], false), mth(&d[..k])) };
            proof.push(last);
            proof
        }
    }

    struct Memory(Vec<Vec<u8>>);

    impl Complete for Memory {
        fn complete(&self, level: u8, index: u64) -> Result<Hash, TlogError> {
            let width = 1usize << level;
            let from = index as usize * width;
            Ok(naive::mth(&self.0[from..from + width]))
        }
    }

    /// The entries of the test vectors that Certificate Transparency's implementations share.
    fn entries() -> Vec<Vec<u8>> {
        let hex = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        hex.iter().map(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn known_answers() {
        // The published roots of 0 to 8 of those entries.
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let memory = Memory(entries());
        for (size, expected) in roots.iter().enumerate() {
            assert_eq!(root(&memory, size as u64).unwrap().to_string(), *expected, "{size}");
        }
    }

    #[test]
    fn agrees_with_the_definitions_for_every_small_tree() {
        let all: Vec<Vec<u8>> = (0..70u8).map(|n| vec![n; usize::from(n % 5)]).collect();
        for size in 1..=all.len() {
            let memory = Memory(all[..size].to_vec());
            let whole = naive::mth(&all[..size]);
            assert_eq!(root(&memory, size as u64).unwrap(), whole);
            for index in 0..size {
                let path = inclusion(&memory, index as u64, size as u64).unwrap();
                assert_eq!(path, naive::path(index, &all[..size]), "{index} of {size}");
                verify_inclusion(leaf(&all[index]), index as u64, size as u64, &path, &whole).unwrap();
            }
            for old in 0..=size {
                let path = consistency(&memory, old as u64, size as u64).unwrap();
                let expected = if old == 0 { Vec::new() } else { naive::subproof(old, &all[..size], true) };
                assert_eq!(path, expected, "{old} to {size}");
                verify_consistency((old as u64, naive::mth(&all[..old])), (size as u64, whole), &path).unwrap();
            }
        }
    }

    #[test]
    fn nothing_else_verifies() {
        let all = entries();
        let memory = Memory(all.clone());
        for size in 1..=8u64 {
            let whole = root(&memory, size).unwrap();
            for index in 0..size {
                let path = inclusion(&memory, index, size).unwrap();
                let entry = leaf(&all[index as usize]);
                let refuses = |index, size, path: &[Hash], root| verify_inclusion(entry, index, size, path, root).is_err();
                // Another place can't be claimed. (Another size can, for some places: a size is the checkpoint's to say.)
                for other in (0..=9).filter(|other| *other != index) {
                    assert!(refuses(other, size, &path, &whole), "{index} as {other} of {size}");
                }
                for cut in 0..path.len() {
                    assert!(refuses(index, size, &path[..cut], &whole));
                    let mut changed = path.clone();
                    changed[cut] = leaf(b"other");
                    assert!(refuses(index, size, &changed, &whole));
                }
                let longer: Vec<Hash> = path.iter().copied().chain([whole]).collect();
                assert!(refuses(index, size, &longer, &whole));
                let other = leaf(b"other");
                assert!(refuses(index, size, &path, &other));
                assert!(refuses(index, u64::MAX, &path, &whole) && refuses(u64::MAX, u64::MAX, &path, &whole));
            }
            for old in 1..size {
                let path = consistency(&memory, old, size).unwrap();
                let start = root(&memory, old).unwrap();
                let refuses = |old, new, path: &[Hash]| verify_consistency(old, new, path).is_err();
                assert!(refuses((old, leaf(b"other")), (size, whole), &path), "another past");
                assert!(refuses((old, start), (size, leaf(b"other")), &path), "another present");
                assert!(refuses((size, whole), (old, start), &path), "shrinking");
                for cut in 0..path.len() {
                    assert!(refuses((old, start), (size, whole), &path[..cut]));
                    let mut changed = path.clone();
                    changed[cut] = leaf(b"other");
                    assert!(refuses((old, start), (size, whole), &changed));
                }
                let longer: Vec<Hash> = path.iter().copied().chain([whole]).collect();
                assert!(refuses((old, start), (size, whole), &longer));
            }
            assert!(verify_consistency((size, leaf(b"x")), (size, whole), &[]).is_err(), "a split view of one size");
            assert!(verify_consistency((0, leaf(b"x")), (size, whole), &[]).is_err());
        }
    }
}
