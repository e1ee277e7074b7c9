//! Directory order, which must not matter, made different on purpose.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, mkdirat, openat, renameat, unlinkat};
use rustix::io;

use super::tree::DIRECTORY;

/// A name that no package uses, taken while a directory's entries are moved out and in again.
const ASIDE: &str = ".sealstone-order";

/// Order in which the entries of a directory are made. Some file systems list a directory in that order (tmpfs: backwards),
/// others by a hash of the names (ext4), where it makes no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Order {
    /// As they come.
    #[default]
    Archive,
    /// Shuffled; the same seed gives the same order.
    Shuffled(u64),
}

/// Makes the entries of `directory` anew in a shuffled order, by moving them out and in again.
pub(super) fn reorder(directory: BorrowedFd<'_>, seed: u64) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort();
    let names = shuffled(names, seed, CString::as_bytes);
    if names.len() < 2 {
        return Ok(());
    }
    mkdirat(directory, ASIDE, Mode::RWXU)?;
    let aside = openat(directory, ASIDE, DIRECTORY, Mode::empty())?;
    for name in &names {
        renameat(directory, name, aside.as_fd(), name)?;
    }
    for name in &names {
        renameat(aside.as_fd(), name, directory, name)?;
    }
    unlinkat(directory, Path::new(OsStr::from_bytes(ASIDE.as_bytes())), AtFlags::REMOVEDIR)
}

/// Sorts by a seeded hash of the names: a shuffle that needs no random numbers.
pub(crate) fn shuffled<T>(mut items: Vec<T>, seed: u64, name: impl Fn(&T) -> &[u8]) -> Vec<T> {
    items.sort_by_cached_key(|item| (mix(seed, name(item)), name(item).to_vec()));
    items
}

/// FNV-1a, finished with the mixer of SplitMix64, so that similar names end up far apart.
fn mix(seed: u64, name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_different_orders_of_the_same_things() {
        let names: Vec<String> = (0..20).map(|i| format!("file{i:02}")).collect();
        let order = |seed| shuffled(names.clone(), seed, |n| n.as_bytes());
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), names);
        let mut back = order(1);
        back.sort();
        assert_eq!(back, names);
    }
}
