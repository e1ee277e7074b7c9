//! File names: the short one that every entry has, and when a long one must accompany it.
//!
//! Source: fatgen103, "The Basis-Name Generation Algorithm", "The Numeric-Tail Generation Algorithm",
//! "FAT Long Directory Entries".

use std::collections::BTreeSet;

/// Eight bytes of name and three of extension, padded with spaces.
pub(super) type ShortName = [u8; 11];

/// The entries of a directory that mean itself and its parent.
pub(super) const DOT: ShortName = *b".          ";
pub(super) const DOT_DOT: ShortName = *b"..         ";

/// Besides letters and digits: what a short name may hold, and what only a long one may. A space may stand in a long
/// name, too, but nothing on an ESP needs one.
const SHORT_PUNCTUATION: &[u8] = b"$%'-_@~`!(){}^#&";
const LONG_PUNCTUATION: &[u8] = b".+,;=[]";

/// Longest long name in UTF-16 code units; ours are ASCII.
const LONG_MAX: usize = 255;

/// What is wrong with a name, if anything.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || SHORT_PUNCTUATION.contains(&byte) || LONG_PUNCTUATION.contains(&byte);
    if name.is_empty() || name.len() > LONG_MAX {
        Some("each part of a path must have 1 to 255 characters")
    } else if !name.bytes().all(fits) {
        Some("only ASCII letters, digits and $%'-_@~`!(){}^#&.+,;=[] can stand in a name")
    } else if name.starts_with('.') || name.ends_with('.') {
        Some("no part of a path may start or end with a dot")
    } else {
        None
    }
}

/// The short name that *is* the name: upper case, 8.3. It then needs no long entries.
pub(super) fn exact(name: &str) -> Option<ShortName> {
    let (base, extension) = match name.rsplit_once('.') {
        Some((_, "")) => return None,
        Some((base, extension)) => (base, extension),
        None => (name, ""),
    };
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || SHORT_PUNCTUATION.contains(&byte);
    let good = !base.is_empty() && base.len() <= 8 && extension.len() <= 3 && base.bytes().chain(extension.bytes()).all(fits);
    good.then(|| padded(base.as_bytes(), extension.as_bytes()))
}

/// A short name for a long one: up to six characters, `~`, and the smallest number that isn't `taken` in the directory.
/// `None` when there are too many alike.
pub(super) fn numbered(name: &str, taken: &BTreeSet<ShortName>) -> Option<ShortName> {
    let convert = |byte: u8| match byte.to_ascii_uppercase() {
        upper if upper.is_ascii_alphanumeric() || SHORT_PUNCTUATION.contains(&upper) => upper,
        _ => b'_',
    };
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let base: Vec<u8> = base.bytes().filter(|byte| *byte != b'.').map(convert).collect();
    let extension: Vec<u8> = extension.bytes().map(convert).take(3).collect();
    (1..=999_999).find_map(|number| {
        let tail = format!("~{number}");
        let kept = base.len().min(8usize.saturating_sub(tail.len()));
        let mut start = base.clone();
        start.truncate(kept);
        start.extend_from_slice(tail.as_bytes());
        let short = padded(&start, &extension);
        (!taken.contains(&short)).then_some(short)
    })
}

fn padded(base: &[u8], extension: &[u8]) -> ShortName {
    let mut short = [b' '; 11];
    for (to, from) in short.iter_mut().zip(base.iter().take(8)) {
        *to = *from;
    }
    for (to, from) in short.iter_mut().skip(8).zip(extension.iter().take(3)) {
        *to = *from;
    }
    short
}

/// The checksum that ties long entries to the short one behind them.
pub(super) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_short_names() {
        let cases: [(&str, Option<&ShortName>); 8] = [
            ("EFI", Some(b"EFI        ")),
            ("BOOTX64.EFI", Some(b"BOOTX64 EFI")),
            ("A.B", Some(b"A       B  ")),
            ("bootx64.efi", None),
            ("BOOTX6400.EFI", None),
            ("A.B.C", None),
            ("LOADER.CONF", None),
            ("A+B", None),
        ];
        for (name, short) in cases {
            assert_eq!(exact(name).as_ref(), short, "{name}");
        }
    }

    #[test]
    fn numbered_short_names_avoid_what_is_taken() {
        let mut taken = BTreeSet::new();
        for expected in [b"LOADER~1CON", b"LOADER~2CON"] {
            let short = numbered("loader.config", &taken).unwrap();
            assert_eq!(&short, expected);
            taken.insert(short);
        }
        assert_eq!(&numbered("a.b", &taken).unwrap(), b"A~1     B  ");
        assert_eq!(&numbered("x.y+z.efi", &taken).unwrap(), b"XY_Z~1  EFI");
    }

    /// Read from an image that the fatfs crate wrote.
    #[test]
    fn known_checksums() {
        assert_eq!(checksum(b"EFI        "), 0x2d);
        assert_eq!(checksum(b"BOOT       "), 0xdd);
        assert_eq!(checksum(b"BOOTX64 EFI"), 0x1d);
    }
}
