//! Names: those that an author chooses, and those of Debian packages.

use std::str::FromStr;

use super::{BadValue, text_value};
use crate::reader::shorten;

/// A name that the author of a spec chose: of an image, archive, root, source, model or profile. It becomes part of file
/// names and messages, hence the narrow alphabet: starts with a lower-case letter or digit, goes on with those, `.`, `_`
/// or `-`, at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

text_value!(Name);

impl FromStr for Name {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Name, BadValue> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts && text.len() <= 64 && text.chars().all(allowed) {
            return Ok(Name(text.to_owned()));
        }
        Err(BadValue::new(
            format!("`{}` isn't a name", shorten(text)),
            "use lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64 characters",
        ))
    }
}

/// The name of a binary or source package: Debian Policy, section 5.6.1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

text_value!(PackageName);

impl FromStr for PackageName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<PackageName, BadValue> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts && (2..=128).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(PackageName(text.to_owned()));
        }
        Err(BadValue::new(
            format!("`{}` isn't the name of a Debian package", shorten(text)),
            "use at least two lower-case letters, digits, `+`, `-` and `.`, beginning with a letter or digit",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets() {
        for (text, name, package) in [
            ("inference", true, true),
            ("snp-qemu-amdsev-2025.02", true, true),
            ("g++", false, true),
            ("a", true, false),
            ("", false, false),
            ("Inference", false, false),
            ("-x", false, false),
            ("..", false, false),
            ("a/b", false, false),
            ("a_b", true, false),
            ("a b", false, false),
            ("é", false, false),
        ] {
            assert_eq!(text.parse::<Name>().is_ok(), name, "{text} as a name");
            assert_eq!(text.parse::<PackageName>().is_ok(), package, "{text} as a package");
        }
        assert!("x".repeat(65).parse::<Name>().is_err());
    }
}
