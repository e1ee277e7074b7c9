//! The outer layer of a `.deb`: the "common" ar format, as deb(5) restricts it. Only reading, only in order.
//!
//! Own code because it is smaller than a dependency's description would be: a .deb has three members with plain names.

use std::io::{self, Read};

use crate::error::UnpackError;

const GLOBAL_MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_LEN: usize = 60;
const HEADER_MAGIC: &[u8; 2] = b"`\n";

/// Advances `reader` to the package's `data.tar*` member and returns a reader of exactly its bytes.
pub(super) fn data_member<R: Read>(mut reader: R) -> Result<io::Take<R>, UnpackError> {
    let mut magic = [0; GLOBAL_MAGIC.len()];
    read_all(&mut reader, &mut magic)?;
    if &magic != GLOBAL_MAGIC {
        return Err(UnpackError::NotADeb("it doesn't begin with !<arch>".into()));
    }
    let mut seen_version = false;
    loop {
        let (name, size) = header(&mut reader)?;
        match name.as_slice() {
            b"debian-binary" if !seen_version => {
                version(&mut reader, size)?;
                seen_version = true;
            }
            _ if !seen_version => return Err(UnpackError::NotADeb("its first member isn't debian-binary".into())),
            name if name.starts_with(b"data.tar") => return Ok(reader.take(size)),
            _ => skip(&mut reader, size)?,
        }
        if size % 2 == 1 {
            skip(&mut reader, 1)?;
        }
    }
}

fn header(reader: &mut impl Read) -> Result<(Vec<u8>, u64), UnpackError> {
    let mut header = [0; HEADER_LEN];
    read_all(reader, &mut header)?;
    let [name @ .., _, _] = &header;
    let (name, rest) = name.split_at(16);
    let size = &rest[32..42];
    if &header[58..] != HEADER_MAGIC {
        return Err(UnpackError::NotADeb("a member's header doesn't end as it should".into()));
    }
    let name = name.trim_ascii_end();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let size = std::str::from_utf8(size.trim_ascii())
        .ok()
        .filter(|s| s.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|s| s.parse().ok());
    let size = size.ok_or_else(|| UnpackError::NotADeb("a member's size isn't a number".into()))?;
    Ok((name.to_vec(), size))
}

/// The format's version: any 2.x is read alike (deb(5)).
fn version(reader: &mut impl Read, size: u64) -> Result<(), UnpackError> {
    let mut text = Vec::new();
    reader.take(size.min(64)).read_to_end(&mut text).map_err(UnpackError::Damaged)?;
    if size > 64 || !text.starts_with(b"2.") {
        return Err(UnpackError::NotADeb("its format isn't 2.x".into()));
    }
    Ok(())
}

fn skip(reader: &mut impl Read, size: u64) -> Result<(), UnpackError> {
    let skipped = io::copy(&mut reader.take(size), &mut io::sink()).map_err(UnpackError::Damaged)?;
    if skipped < size { Err(UnpackError::Damaged(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
}

fn read_all(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), UnpackError> {
    reader.read_exact(buffer).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => UnpackError::NotADeb("it ends before a data.tar member".into()),
        _ => UnpackError::Damaged(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, data: &[u8]) -> Vec<u8> {
        let mut out = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", data.len()).into_bytes();
        out.extend(data);
        if data.len() % 2 == 1 {
            out.push(b'\n');
        }
        out
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = GLOBAL_MAGIC.to_vec();
        members.iter().for_each(|(name, data)| out.extend(member(name, data)));
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let mut data = Vec::new();
        data_member(bytes)?.read_to_end(&mut data).map_err(UnpackError::Damaged)?;
        Ok(data)
    }

    #[test]
    fn finds_the_data() {
        let odd =
            archive(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz/", b"payload"), ("later", b"x")]);
        assert_eq!(read(&odd).unwrap(), b"payload");
    }

    #[test]
    fn refuses_what_is_not_a_deb() {
        let huge = archive(&[("debian-binary", b"2.0\n")])
            .into_iter()
            .chain(*b"control.tar     0           0     0     100644  9999999999`\n")
            .collect::<Vec<_>>();
        let mut bad_size = archive(&[("debian-binary", b"2.0\n")]);
        bad_size[8 + 48] = b'-';
        for (what, bytes) in [
            ("empty", vec![]),
            ("another magic", b"!<thin>\n".to_vec()),
            ("no version", archive(&[("data.tar", b"x")])),
            ("another version", archive(&[("debian-binary", b"3.0\n"), ("data.tar", b"x")])),
            ("no data", archive(&[("debian-binary", b"2.0\n"), ("control.tar", b"x")])),
            ("a member longer than the file", huge),
            ("a size that is no number", bad_size),
        ] {
            assert!(read(&bytes).is_err(), "{what}");
        }
    }
}
