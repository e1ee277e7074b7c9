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

/// The name of a model: what clients ask for, and inside the image a mount point and a device's name. 1 to 63 lower-case
/// letters, digits and inner hyphens; `docs/formats/config.md` takes no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(String);

text_value!(ModelName);

impl FromStr for ModelName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<ModelName, BadValue> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let inner = !text.starts_with('-') && !text.ends_with('-');
        if (1..=63).contains(&text.len()) && inner && text.chars().all(allowed) {
            return Ok(ModelName(text.to_owned()));
        }
        Err(BadValue::new(
            format!("`{}` isn't the name of a model", shorten(text)),
            "use 1 to 63 lower-case letters, digits and inner `-`, such as llama-3-8b",
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
    fn model_names() {
        for (text, good) in [("a", true), ("llama-3-8b", true), ("7b", true), ("", false), ("-a", false), ("a-", false)] {
            assert_eq!(text.parse::<ModelName>().is_ok(), good, "{text:?}");
        }
        for text in ["llama-3.1", "a_b", "A", "a/b", "é", "a b", &"x".repeat(64)] {
            assert!(text.parse::<ModelName>().is_err(), "{text:?}");
        }
        assert!("x".repeat(63).parse::<ModelName>().is_ok());
    }

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
