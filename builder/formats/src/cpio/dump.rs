//! Archive → text, and the name of the place of a byte.

use std::fmt::Write;

use crate::bytes::field_name;

use super::layout::{
    HEADER, HEADER_LEN, PERMISSIONS, TRAILER, TYPE_CHAR_DEVICE, TYPE_DIRECTORY, TYPE_MASK, TYPE_REGULAR, TYPE_SYMLINK,
};
use super::reader::{Member, ReadError, member};

/// A line per member with its offset and every number of its header, trailer included. A damaged archive is listed as
/// far as it can be read, and the last line says why no further.
pub fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for step in Walk::new(bytes) {
        // Writing to a String can't fail.
        let _ = match step {
            Ok((member, _)) => writeln!(text, "{}", line(&member)),
            Err(error) => writeln!(text, "!! {error}"),
        };
    }
    text
}

fn line(member: &Member<'_>) -> String {
    let header = &member.header;
    let (letter, detail) = match header.mode & TYPE_MASK {
        TYPE_DIRECTORY => ('d', String::new()),
        TYPE_REGULAR => ('-', String::new()),
        TYPE_SYMLINK => ('l', format!(" -> {}", member.data.escape_ascii())),
        TYPE_CHAR_DEVICE => ('c', String::new()),
        _ => ('?', String::new()),
    };
    format!(
        "{:08x} {letter}{:04o} ino={} mode={:06o} uid={} gid={} nlink={} mtime={} filesize={} dev={}:{} rdev={}:{} \
         namesize={} check={} data={:08x} {}{detail}",
        member.offset,
        header.mode & PERMISSIONS,
        header.ino,
        header.mode,
        header.uid,
        header.gid,
        header.nlink,
        header.mtime,
        header.filesize,
        header.devmajor,
        header.devminor,
        header.rdevmajor,
        header.rdevminor,
        header.namesize,
        header.check,
        member.data_offset,
        member.name.escape_debug(),
    )
}

/// The place of a byte, such as "cpio entry `init`, header field mtime".
pub fn locate(bytes: &[u8], offset: usize) -> String {
    let mut unread = 0;
    for step in Walk::new(bytes) {
        let Ok((member, next)) = step else { break };
        if offset < next {
            return within(&member, offset);
        }
        unread = next;
        if member.name == TRAILER {
            return format!("cpio padding behind the trailer, byte {}", offset.saturating_sub(next));
        }
    }
    format!("cpio, byte {} behind the last readable entry", offset.saturating_sub(unread))
}

fn within(member: &Member<'_>, offset: usize) -> String {
    let entry = if member.name == TRAILER { "cpio trailer".to_owned() } else { format!("cpio entry `{}`", member.name) };
    let at = offset.saturating_sub(member.offset);
    let name_end = HEADER_LEN.saturating_add(member.header.namesize as usize);
    if at < HEADER_LEN {
        format!("{entry}, header {}", field_name(HEADER, at))
    } else if at < name_end {
        format!("{entry}, name, byte {}", at.saturating_sub(HEADER_LEN))
    } else if offset < member.data_offset {
        format!("{entry}, padding behind the name")
    } else {
        match offset.saturating_sub(member.data_offset) {
            byte if byte < member.data.len() => format!("{entry}, data, byte {byte}"),
            _ => format!("{entry}, padding behind the data"),
        }
    }
}

/// The members up to and with the trailer, or the first error.
struct Walk<'a> {
    bytes: &'a [u8],
    /// Where the next member starts; `None` when there is nothing more to read.
    at: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Walk { bytes, at: Some(0) }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<(Member<'a>, usize), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = member(self.bytes, self.at.take()?);
        if let Ok((member, next)) = &step
            && member.name != TRAILER
        {
            self.at = Some(*next);
        }
        Some(step)
    }
}

/// The data of the member that holds the byte, with the member's name and the byte's place in the data: what a nested
/// format starts from.
pub(crate) fn data_at(bytes: &[u8], offset: usize) -> Option<(&str, &[u8], usize)> {
    let (member, _) = Walk::new(bytes).map_while(Result::ok).find(|(_, next)| offset < *next)?;
    let at = offset.checked_sub(member.data_offset)?;
    (at < member.data.len()).then_some((member.name, member.data, at))
}
