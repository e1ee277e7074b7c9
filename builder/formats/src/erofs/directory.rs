//! The blocks of a directory: entries ↔ bytes.

use crate::bytes::{slice, u16_at, u64_at};

use super::layout::{BLOCK, DIRENT_LEN, NAME_MAX};

/// An entry to be written.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) nid: u64,
    pub(super) kind: u8,
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) name: &'a [u8],
    pub(super) nid: u64,
    pub(super) kind: u8,
    /// Where the name stands in its block.
    pub(super) name_at: usize,
}

/// How many of the sorted `lengths` of names fit one block: at least one, since a name has at most 255 bytes.
fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let ends = lengths.scan(0usize, |used, len| {
        *used = used.saturating_add(DIRENT_LEN + len);
        Some(*used)
    });
    ends.take_while(|used| *used <= BLOCK).count()
}

/// Bytes of the directory, its last block up to the end of the last name, for names in the order in which they will stand.
pub(super) fn size(names: &[&str]) -> u64 {
    let (mut rest, mut size) = (names, 0u64);
    loop {
        let (now, later) = rest.split_at(fitting(rest.iter().map(|name| name.len())).min(rest.len()));
        if later.is_empty() || now.is_empty() {
            return size + now.iter().map(|name| (DIRENT_LEN + name.len()) as u64).sum::<u64>();
        }
        size += BLOCK as u64;
        rest = later;
    }
}

/// The directory's blocks, the last one filled up with zeros, for entries in ascending order of their names' bytes.
pub(super) fn to_bytes(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let count = fitting(rest.iter().map(|entry| entry.name.len())).clamp(1, rest.len());
        let (now, later) = rest.split_at(count);
        let mut names = Vec::new();
        let names_at = now.len() * DIRENT_LEN;
        for entry in now {
            bytes.extend_from_slice(&entry.nid.to_le_bytes());
            // Within a block, by `fitting`.
            bytes.extend_from_slice(&((names_at + names.len()) as u16).to_le_bytes());
            bytes.push(entry.kind);
            bytes.push(0);
            names.extend_from_slice(entry.name.as_bytes());
        }
        bytes.append(&mut names);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        rest = later;
    }
    bytes
}

/// The entries of one block of a directory, of which `block` is as much as belongs to the directory.
pub(super) fn parse(block: &[u8]) -> Result<Vec<Found<'_>>, &'static str> {
    let names_at = |index: usize| u16_at(block, index.saturating_mul(DIRENT_LEN).saturating_add(8)).map(usize::from);
    let first = names_at(0).ok_or("a block of it has no entry")?;
    let count = first / DIRENT_LEN;
    if count == 0 || first % DIRENT_LEN != 0 || first >= block.len() {
        return Err("a block of it has no entries before its names");
    }
    let mut entries = Vec::with_capacity(count);
    for index in 0..count {
        let outside = "an entry's name lies outside its block";
        let start = names_at(index).ok_or(outside)?;
        let end = if index + 1 < count { names_at(index + 1).ok_or(outside)? } else { block.len() };
        let mut name = end.checked_sub(start).and_then(|len| slice(block, start, len)).ok_or(outside)?;
        if index + 1 == count {
            name = name.split(|byte| *byte == 0).next().unwrap_or(name);
        }
        if name.is_empty() || name.len() > NAME_MAX || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err("an entry's name must have 1 to 255 bytes without NUL and slash");
        }
        let at = index.saturating_mul(DIRENT_LEN);
        let nid = u64_at(block, at).ok_or(outside)?;
        let kind = block.get(at.saturating_add(10)).copied().ok_or(outside)?;
        entries.push(Found { name, nid, kind, name_at: start });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::put;

    fn round_trip(names: &[&str]) -> Vec<usize> {
        let entries: Vec<_> = names.iter().zip(1..).map(|(name, nid)| Entry { name, nid, kind: 1 }).collect();
        let bytes = to_bytes(&entries);
        let size = size(names) as usize;
        assert_eq!(bytes.len(), size.next_multiple_of(BLOCK));
        let mut counts = Vec::new();
        let mut found = Vec::new();
        for block in bytes[..size].chunks(BLOCK) {
            let entries = parse(block).unwrap();
            counts.push(entries.len());
            found.extend(entries);
        }
        let found: Vec<_> = found.iter().map(|entry| (entry.name, entry.nid)).collect();
        let expected: Vec<_> = entries.iter().map(|entry| (entry.name.as_bytes(), entry.nid)).collect();
        assert_eq!(found, expected);
        counts
    }

    /// 15 names of 255 bytes and one of 79 with their entries fill a block to the last byte.
    #[test]
    fn blocks_are_filled_as_far_as_names_fit() {
        let long: Vec<String> = (0..20).map(|n| format!("{n:0255}")).collect();
        let short = ["x".repeat(79), "x".repeat(80)];
        let with = |last: &'static str, short: &str| {
            let mut names: Vec<&str> = long.iter().take(15).map(String::as_str).collect();
            let owned = short.to_owned();
            names.push(&owned);
            names.extend((!last.is_empty()).then_some(last));
            round_trip(&names)
        };
        assert_eq!(with("", &short[0]), [16]);
        assert_eq!(with("y", &short[0]), [16, 1]);
        assert_eq!(with("", &short[1]), [15, 1]);
        assert_eq!(round_trip(&["."]), [1]);
        assert_eq!(round_trip(&long.iter().map(String::as_str).collect::<Vec<_>>()), [15, 5]);
    }

    #[test]
    fn crafted_blocks_are_refused() {
        let good = to_bytes(&[Entry { name: "a", nid: 1, kind: 1 }, Entry { name: "b", nid: 2, kind: 1 }]);
        assert!(parse(&good).is_ok());
        let cases: [(usize, u16); 7] = [(8, 0), (8, 13), (8, 4096), (8, 24 * 100), (20, 4097), (20, 24), (20, 23)];
        for (at, value) in cases {
            let mut bad = good.clone();
            put(&mut bad, at, &value.to_le_bytes()).unwrap();
            assert!(parse(&bad).is_err(), "{at} {value}");
        }
        let mut slash = good;
        slash[25] = b'/';
        assert!(parse(&slash).is_err());
        assert!(parse(&[]).is_err());
    }
}
