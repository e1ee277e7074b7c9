//! The Release file: the root that a suite's signature covers. <https://wiki.debian.org/DebianRepository/Format>

use std::collections::BTreeMap;

use sealstone_spec::{Sha256, UtcTime};

use super::deb822::{Malformed, paragraphs};

/// What a Release file says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `Suite`, such as `oldstable`.
    pub suite: String,
    /// `Codename`, such as `bookworm`.
    pub codename: String,
    /// `Date`: when it was made.
    pub date: UtcTime,
    /// `Valid-Until`: when it is to be refused. Suites that no longer change have none.
    pub valid_until: Option<UtcTime>,
    /// Size and digest of every index, by path below the suite's folder.
    pub files: BTreeMap<String, (u64, Sha256)>,
}

impl Release {
    /// Reads the text of a Release file whose signature has been checked.
    ///
    /// # Errors
    /// [`Malformed`] if a field that matters is missing, stands twice, or can't be read.
    pub fn parse(text: &str) -> Result<Release, Malformed> {
        let mut found = paragraphs(text);
        let paragraph = match (found.next(), found.next()) {
            (Some(paragraph), None) => paragraph?,
            _ => return Err(Malformed { line: 1, what: "expected exactly one paragraph".to_owned() }),
        };
        let date = |name: &str| -> Result<Option<UtcTime>, Malformed> {
            let Some(value) = paragraph.field(name) else { return Ok(None) };
            let moment = parse_date(value);
            moment.map(Some).ok_or_else(|| paragraph.malformed(format!("`{name}`: `{value}` isn't a date")))
        };
        let mut files = BTreeMap::new();
        for line in paragraph.need("SHA256")?.lines().filter(|line| !line.trim().is_empty()) {
            let entry = parse_entry(line).ok_or_else(|| paragraph.malformed(format!("`SHA256`: `{line}` isn't an entry")))?;
            if files.insert(entry.0.to_owned(), entry.1).is_some() {
                return Err(paragraph.malformed(format!("`SHA256` lists {} twice", entry.0)));
            }
        }
        Ok(Release {
            suite: paragraph.field("Suite").unwrap_or_default().to_owned(),
            codename: paragraph.field("Codename").unwrap_or_default().to_owned(),
            date: date("Date")?.ok_or_else(|| paragraph.malformed("there is no `Date`"))?,
            valid_until: date("Valid-Until")?,
            files,
        })
    }
}

/// `digest size path`
fn parse_entry(line: &str) -> Option<(&str, (u64, Sha256))> {
    let mut words = line.split_ascii_whitespace();
    let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
    let entry = (path, (size.parse().ok()?, digest.parse().ok()?));
    words.next().is_none().then_some(entry)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The date format of Release files: `Sat, 11 Jul 2026 10:16:37 UTC`. The day of the week is redundant and not looked at.
pub(super) fn parse_date(text: &str) -> Option<UtcTime> {
    let (_, rest) = text.split_once(", ")?;
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let [day, month, year, time, "UTC" | "GMT" | "+0000"] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)?;
    let mut parts = time.split(':').map(number);
    let clock = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    UtcTime::from_civil((number(year)?, u64::try_from(month).ok()? + 1, number(day)?), clock)
}

fn number(text: &str) -> Option<u64> {
    (text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, expected) in [
            ("Sat, 11 Jul 2026 10:16:37 UTC", Some("2026-07-11T10:16:37Z")),
            ("Sat,  1 Jul 2026 00:00:00 UTC", Some("2026-07-01T00:00:00Z")),
            ("Thu, 29 Feb 2024 23:59:59 +0000", Some("2024-02-29T23:59:59Z")),
            ("Sat, 11 Jul 2026 10:16:37 CEST", None),
            ("11 Jul 2026 10:16:37 UTC", None),
            ("Sat, 31 Jun 2026 10:16:37 UTC", None),
            ("Sat, 11 Jul 2026 10:16 UTC", None),
            ("Sat, 11 Jul 2026 10:16:37:00 UTC", None),
            ("Sat, +1 Jul 2026 10:16:37 UTC", None),
        ] {
            assert_eq!(parse_date(text).map(|time| time.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        let head = "Suite: s\nCodename: c\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n";
        let digest = "0".repeat(64);
        for (text, what) in [
            (String::new(), "exactly one paragraph"),
            (format!("{head}\n{head}"), "exactly one paragraph"),
            (head.to_owned(), "no `SHA256`"),
            (format!("{head}SHA256:\n {digest} 1\n"), "isn't an entry"),
            (format!("{head}SHA256:\n {digest} -1 a\n"), "isn't an entry"),
            (format!("{head}SHA256:\n {digest}0 1 a\n"), "isn't an entry"),
            (format!("{head}SHA256:\n {digest} 1 a\n {digest} 1 a\n"), "twice"),
            (format!("Suite: s\nSHA256:\n {digest} 1 a\n"), "no `Date`"),
            (format!("{head}Valid-Until: soon\nSHA256:\n {digest} 1 a\n"), "isn't a date"),
        ] {
            let error = Release::parse(&text).unwrap_err();
            assert!(error.what.contains(what), "{text:?}: {}", error.what);
        }
    }
}
