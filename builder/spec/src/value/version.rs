//! Version numbers of Debian packages and their order.

use std::cmp::Ordering;
use std::str::FromStr;

use super::{BadValue, text_value};
use crate::reader::shorten;

/// A version `[epoch:]upstream[-revision]`: deb-version(7), Debian Policy section 5.6.12.
///
/// `==` compares texts. [`Version::compare`] is Debian's order, in which different texts can be equal (`1.0` and `1.00`);
/// `Ord` is that order with the text as the tie breaker, so that sorting is deterministic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

text_value!(Version);

impl Version {
    /// The order of deb-version(7), "Sorting algorithm".
    pub fn compare(&self, other: &Version) -> Ordering {
        let (a, b) = (self.parts(), other.parts());
        a.epoch
            .cmp(&b.epoch)
            .then_with(|| compare_part(a.upstream, b.upstream))
            .then_with(|| compare_part(a.revision, b.revision))
    }

    /// The version as file names show it: without the epoch.
    pub fn without_epoch(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, rest)| rest)
    }

    fn parts(&self) -> Parts<'_> {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("0", &self.0));
        // A missing revision is the same as the revision `0`, and the empty text compares like `0`.
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Parts { epoch: epoch.parse().unwrap_or(u32::MAX), upstream, revision }
    }
}

struct Parts<'v> {
    epoch: u32,
    upstream: &'v str,
    revision: &'v str,
}

/// Compares an upstream version or a revision: alternately the longest prefix without digits, character by character in
/// the order of [`weight`], and the longest prefix of digits, as a number of any length.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = a.split_at(prefix(a, |byte| !byte.is_ascii_digit()));
        let (b_text, b_rest) = b.split_at(prefix(b, |byte| !byte.is_ascii_digit()));
        let (a_digits, a_next) = a_rest.split_at(prefix(a_rest, |byte| byte.is_ascii_digit()));
        let (b_digits, b_next) = b_rest.split_at(prefix(b_rest, |byte| byte.is_ascii_digit()));
        let order = compare_text(a_text, b_text).then_with(|| compare_digits(a_digits, b_digits));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_next, b_next);
    }
    Ordering::Equal
}

fn prefix(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

fn compare_text(a: &str, b: &str) -> Ordering {
    let longest = a.len().max(b.len());
    let weights = |text: &'_ str| -> Vec<u16> { (0..longest).map(|i| weight(text.as_bytes().get(i).copied())).collect() };
    weights(a).cmp(&weights(b))
}

/// `~` before the end of the part, the end before letters, letters before everything else.
fn weight(byte: Option<u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(byte) if byte.is_ascii_alphabetic() => u16::from(byte),
        Some(byte) => u16::from(byte) + 256,
    }
}

fn compare_digits(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.compare(other).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Version {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Version, BadValue> {
        if is_version(text) {
            return Ok(Version(text.to_owned()));
        }
        Err(BadValue::new(
            format!("`{}` isn't a Debian version", shorten(text)),
            "write it as the archive does, such as 6.12.107-1 or 1:2.3+dfsg-4~deb12u1",
        ))
    }
}

fn is_version(text: &str) -> bool {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    // dpkg holds the epoch in an int, and so refuses what doesn't fit.
    let epoch_fits = epoch.bytes().all(|byte| byte.is_ascii_digit()) && epoch.parse::<i32>().is_ok();
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((upstream, revision)) => (upstream, Some(revision)),
        None => (rest, None),
    };
    let allowed = |byte: u8, extra: &[u8]| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    epoch_fits
        && text.len() <= 128
        && upstream.starts_with(|c: char| c.is_ascii_digit())
        && upstream.bytes().all(|byte| allowed(byte, b".+~-"))
        && revision.is_none_or(|revision| !revision.is_empty() && revision.bytes().all(|byte| allowed(byte, b".+~")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Pairs in ascending order. Oracle: `dpkg --compare-versions`.
    #[test]
    fn ascending() {
        for (lower, higher) in [
            ("1.0~~", "1.0~~a"),
            ("1.0~~a", "1.0~"),
            ("1.0~", "1.0"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+a"),
            ("1.0~beta1~svn1245", "1.0~beta1"),
            ("1.0~beta1", "1.0"),
            ("1.2.3", "1.12.3"),
            ("9", "10"),
            ("1.0-1", "1.0-1+b1"),
            ("1.0-1~bpo12+1", "1.0-1"),
            ("1.0-1", "1.0-1.1"),
            ("2.0", "1:1.0"),
            ("1:1.0", "2:0.1"),
            ("1.0", "1.0-1"),
            ("252.39-1~deb12u1", "252.39-1~deb12u2"),
            ("6.12.94-1", "6.12.107-1"),
            ("2025.02-8", "2025.02-8+deb13u1"),
            ("0.9.99999999999999999999999", "0.9.100000000000000000000000"),
            ("1.0-a", "1.0-b"),
            ("1.0Z", "1.0a"),
            ("1.0z", "1.0."),
            ("1.0-1+", "1.0+"),
            ("1-2", "1-1-1"),
            ("0~", "0"),
        ] {
            let (low, high) = (version(lower), version(higher));
            assert_eq!(low.compare(&high), Ordering::Less, "{lower} < {higher}");
            assert_eq!(high.compare(&low), Ordering::Greater, "{higher} > {lower}");
        }
    }

    #[test]
    fn equal_though_spelled_differently() {
        for (a, b) in [("1.0", "1.00"), ("0:1.0", "1.0"), ("1.0-0", "1.0"), ("1.0", "1.0-0"), ("1.a", "1.a0"), ("01", "1")] {
            assert_eq!(version(a).compare(&version(b)), Ordering::Equal, "{a} = {b}");
            assert_ne!(version(a).cmp(&version(b)), Ordering::Equal, "sorting tells {a} and {b} apart");
        }
    }

    #[test]
    fn not_versions() {
        for bad in ["", "a1", "1:", ":1", "x:1", "1.0-", "1.0_1", "1 0", "1/0", "1:2:3", "3000000000:1", "-1:1", "1.0-1-", "1é"]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    fn versions() -> impl Strategy<Value = Version> {
        // A small alphabet, so that equal prefixes and equal versions are frequent.
        "([01]:)?[01][01a~+.]{0,4}(-[01a~+.]{1,3})?".prop_map(|text| version(&text))
    }

    proptest! {
        #[test]
        fn order_laws(a in versions(), b in versions(), c in versions()) {
            prop_assert_eq!(a.compare(&a), Ordering::Equal);
            prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
            if a.compare(&b) != Ordering::Greater && b.compare(&c) != Ordering::Greater {
                prop_assert_ne!(a.compare(&c), Ordering::Greater);
            }
            if a.compare(&b) == Ordering::Equal {
                prop_assert_eq!(a.compare(&c), b.compare(&c));
            }
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        }
    }
}
