//! Archive → members. [`parse`] takes any uncompressed newc archive that one reader and another would understand alike;
//! [`parse_canonical`] takes only what [`write`](super::write) makes.

use crate::bytes::{Comparison, all_zero, slice};

use super::dump::locate;
use super::layout::{
    ALIGN, BLOCK, DIGITS, HEADER, HEADER_LEN, MAGIC, PERMISSIONS, TRAILER, TYPE_CHAR_DEVICE, TYPE_DIRECTORY, TYPE_MASK,
    TYPE_REGULAR, TYPE_SYMLINK,
};
use super::writer::{Entry, Kind, write};

/// An archive, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Archive<'a> {
    /// Its members in order, without the trailer.
    pub members: Vec<Member<'a>>,
    /// Offset of the trailer's header.
    pub trailer_offset: usize,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member<'a> {
    /// Offset of the header.
    pub offset: usize,
    /// The header's numbers.
    pub header: Header,
    /// The name without its NUL.
    pub name: &'a str,
    /// Offset of the data.
    pub data_offset: usize,
    /// The data: a file's content, a symbolic link's target.
    pub data: &'a [u8],
}

/// The numbers of a header, named as the format names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation: buffer-format.rst has no more to say")]
pub struct Header {
    pub ino: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime: u32,
    pub filesize: u32,
    pub devmajor: u32,
    pub devminor: u32,
    pub rdevmajor: u32,
    pub rdevminor: u32,
    pub namesize: u32,
    pub check: u32,
}

/// Why an archive was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The archive ends inside a member, or without a trailer: it is cut off.
    #[error("reading an initramfs: it ends inside the {what} at {at:#x}")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// What stands there isn't what the format wants: it is damaged, compressed, or not a newc archive.
    #[error("reading an initramfs: {what} at {at:#x}: {fault}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// Where it starts.
        at: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// It is a newc archive, but not byte for byte what this program writes for the same members.
    #[error("reading an initramfs: it isn't in the form that sealstone writes: {fault}")]
    NotCanonical {
        /// The first place that differs, or what can't be expressed.
        fault: String,
    },
}

/// Reads an archive: every member, the trailer, and zeros up to the end.
///
/// # Errors
/// [`ReadError`], never `NotCanonical`.
pub fn parse(bytes: &[u8]) -> Result<Archive<'_>, ReadError> {
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let (member, next) = member(bytes, at)?;
        if member.name == TRAILER {
            if !member.data.is_empty() {
                return Err(ReadError::Malformed { what: "trailer", at, fault: "it has data" });
            }
            if !all_zero(bytes.get(next..).unwrap_or(&[])) {
                return Err(ReadError::Malformed { what: "padding", at: next, fault: "something follows the trailer" });
            }
            if !bytes.len().is_multiple_of(BLOCK) || bytes.len().saturating_sub(next) >= BLOCK {
                return Err(ReadError::Malformed { what: "padding", at: next, fault: "it must end at the next multiple of 512" });
            }
            return Ok(Archive { members, trailer_offset: at });
        }
        members.push(member);
        at = next;
    }
}

/// Reads an archive that [`write`](super::write) made: writes it again and compares, so it is exactly as strict as the
/// writer is definite.
///
/// # Errors
/// [`ReadError`]; `NotCanonical` names the first place that differs.
pub fn parse_canonical(bytes: &[u8]) -> Result<Archive<'_>, ReadError> {
    let archive = parse(bytes)?;
    let refuse = |fault| ReadError::NotCanonical { fault };
    let mut entries = Vec::with_capacity(archive.members.len());
    for member in &archive.members {
        entries.push(entry(member).map_err(|fault| refuse(format!("member `{}` {fault}", member.name)))?);
    }
    let epoch = archive.members.first().map_or(0, |member| member.header.mtime);
    let mut comparison = Comparison::with(bytes);
    write(&entries, epoch.into(), &mut comparison).map_err(|error| refuse(error.to_string()))?;
    match comparison.difference() {
        None => Ok(archive),
        Some(at) => Err(refuse(format!("it differs first at {at:#x}, {}", locate(bytes, at)))),
    }
}

/// What would have to be declared to get this member.
fn entry<'a>(member: &Member<'a>) -> Result<Entry<'a>, &'static str> {
    let Header { mode, rdevmajor, rdevminor, .. } = member.header;
    let kind = match mode & TYPE_MASK {
        TYPE_DIRECTORY => Kind::Directory,
        TYPE_REGULAR => Kind::File(member.data),
        TYPE_SYMLINK => Kind::Symlink(std::str::from_utf8(member.data).map_err(|_| "has a target that isn't UTF-8")?),
        TYPE_CHAR_DEVICE => Kind::CharDevice { major: rdevmajor, minor: rdevminor },
        _ => return Err("is neither directory, file, symbolic link nor character device"),
    };
    Ok(Entry { path: member.name, mode: mode & PERMISSIONS, kind })
}

/// The member at `at`, and where the next one starts.
pub(super) fn member(bytes: &[u8], at: usize) -> Result<(Member<'_>, usize), ReadError> {
    let truncated = |what, at| ReadError::Truncated { what, at };
    let raw = slice(bytes, at, HEADER_LEN).ok_or(truncated("header", at))?;
    if !raw.starts_with(MAGIC) {
        return Err(ReadError::Malformed { what: "header", at, fault: "it must start with 070701" });
    }
    let header = header(raw).ok_or(ReadError::Malformed {
        what: "header",
        at,
        fault: "its numbers must be lower-case hexadecimal digits",
    })?;
    let name_at = at.saturating_add(HEADER_LEN);
    let name = slice(bytes, name_at, header.namesize as usize).ok_or(truncated("name", name_at))?;
    let name = name
        .split_last()
        .filter(|(last, rest)| **last == 0 && !rest.is_empty() && !rest.contains(&0))
        .and_then(|(_, rest)| std::str::from_utf8(rest).ok())
        .ok_or(ReadError::Malformed { what: "name", at: name_at, fault: "it must be UTF-8 and end with its only NUL" })?;

    let data_offset = skip_padding(bytes, name_at.saturating_add(header.namesize as usize))?;
    let data = slice(bytes, data_offset, header.filesize as usize).ok_or(truncated("data", data_offset))?;
    let next = skip_padding(bytes, data_offset.saturating_add(data.len()))?;
    Ok((Member { offset: at, header, name, data_offset, data }, next))
}

/// Where the padding from `at` ends. It must be zero: the kernel doesn't look at it, so anything could hide there.
fn skip_padding(bytes: &[u8], at: usize) -> Result<usize, ReadError> {
    let end = at.checked_next_multiple_of(ALIGN).ok_or(ReadError::Truncated { what: "padding", at })?;
    let padding = bytes.get(at..end).ok_or(ReadError::Truncated { what: "padding", at })?;
    if !all_zero(padding) {
        return Err(ReadError::Malformed { what: "padding", at, fault: "it must be zero" });
    }
    Ok(end)
}

fn header(raw: &[u8]) -> Option<Header> {
    let mut numbers = HEADER.iter().skip(1).map(|field| number(slice(raw, field.at, DIGITS)?));
    let mut next = || numbers.next().flatten();
    Some(Header {
        ino: next()?,
        mode: next()?,
        uid: next()?,
        gid: next()?,
        nlink: next()?,
        mtime: next()?,
        filesize: next()?,
        devmajor: next()?,
        devminor: next()?,
        rdevmajor: next()?,
        rdevminor: next()?,
        namesize: next()?,
        check: next()?,
    })
}

/// Exactly eight lower-case digits: `from_str_radix` alone would take a sign and upper case, and the kernel's
/// `simple_strtoul` a `0x`.
fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let entries = [
            Entry { path: "dev", mode: 0o755, kind: Kind::Directory },
            Entry { path: "dev/console", mode: 0o600, kind: Kind::CharDevice { major: 5, minor: 1 } },
            Entry { path: "init", mode: 0o755, kind: Kind::File(b"hello") },
            Entry { path: "link", mode: 0o777, kind: Kind::Symlink("init") },
        ];
        write(&entries, 1_783_296_000, &mut out).unwrap();
        out
    }

    /// Every byte matters: no other archive of the same length and one changed byte is taken for ours.
    #[test]
    fn any_changed_byte_is_refused_or_is_other_content() {
        let good = sample();
        let archive = parse_canonical(&good).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            if let Ok(other) = parse_canonical(&bad) {
                assert_ne!(other, archive, "byte {at:#x} changes nothing");
            }
        }
    }

    #[test]
    fn every_prefix_is_refused() {
        let good = sample();
        for len in 0..good.len() {
            assert!(parse(&good[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn what_sealstone_does_not_write_is_named() {
        let good = sample();
        let archive = parse(&good).unwrap();
        let mtime = archive.members[2].offset + 46 + 7;
        let mut bad = good.clone();
        bad[mtime] = b'1';
        let message = parse_canonical(&bad).unwrap_err().to_string();
        assert!(message.contains("cpio entry `init`, header field mtime"), "{message}");
        bad[mtime] = b'A';
        assert!(parse(&bad).unwrap_err().to_string().contains("lower-case"));
        let mut long = good.clone();
        long.resize(good.len() + 512, 0);
        assert!(parse(&long).unwrap_err().to_string().contains("next multiple of 512"));
    }
}
