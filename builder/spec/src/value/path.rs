//! Paths. Both kinds are relative and use `/`; neither is ever resolved here, because nothing here sees a disk.

use std::str::FromStr;

use super::{BadValue, text_value};
use crate::reader::shorten;

/// A path relative to the folder that the spec stands in. It may begin with `..` segments (how many are allowed depends
/// on where the spec stands, which [`Spec::parse`](crate::Spec::parse) checks) but has none later; no `.` or empty segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecPath(String);

text_value!(SpecPath);

/// A path inside an unpacked root, without a leading `/`: `usr/bin/sh`. No `.`, `..` or empty segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPath(String);

text_value!(RootPath);

/// A path inside a model pack, such as `model.gguf`: at most 255 of `A-Z a-z 0-9 . _ - + /`, no empty, `.` or `..` part, as
/// `docs/formats/config.md` wants it of the file that the engine opens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackPath(String);

text_value!(PackPath);

impl FromStr for PackPath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<PackPath, BadValue> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+/".contains(c);
        let parts = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if text.len() <= 255 && parts && text.chars().all(allowed) {
            return Ok(PackPath(text.to_owned()));
        }
        Err(BadValue::new(
            format!("`{}` isn't the path of a model file in a pack", shorten(text)),
            "use at most 255 letters, digits and `._-+`, with `/` between folders and no `.` or `..` part",
        ))
    }
}

impl SpecPath {
    /// The last part: the file's own name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// How many folders it climbs above the spec's own.
    pub fn climbs(&self) -> usize {
        self.0.split('/').take_while(|segment| *segment == "..").count()
    }
}

impl FromStr for SpecPath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<SpecPath, BadValue> {
        if text == "." {
            return Ok(SpecPath(text.to_owned()));
        }
        let rest = check_relative(text, "the spec's folder")?;
        let down: Vec<&str> = rest.skip_while(|segment| *segment == "..").collect();
        if down.contains(&"..") {
            return Err(BadValue::new(
                format!("`{}` goes down and up again", shorten(text)),
                "write the path without the detour; `..` may only stand at the beginning",
            ));
        }
        Ok(SpecPath(text.to_owned()))
    }
}

impl FromStr for RootPath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<RootPath, BadValue> {
        if check_relative(text, "the root")?.any(|segment| segment == "..") {
            return Err(BadValue::new(format!("`{}` contains `..`", shorten(text)), "write the path from the root's top"));
        }
        Ok(RootPath(text.to_owned()))
    }
}

/// What holds for both: the segments if so.
fn check_relative<'t>(text: &'t str, base: &str) -> Result<std::str::Split<'t, char>, BadValue> {
    let shown = shorten(text);
    if text.starts_with('/') {
        return Err(BadValue::new(
            format!("`{shown}` is an absolute path"),
            format!("write it relative to {base}, without the leading `/`"),
        ));
    }
    if text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(BadValue::new(
            format!("`{shown}` contains a backslash or a control character"),
            "separate folders with `/` and rename files that need such characters",
        ));
    }
    if text.split('/').any(|segment| segment.is_empty() || segment == ".") {
        return Err(BadValue::new(
            format!("`{shown}` has an empty or `.` segment"),
            "write one `/` between names and none at the end",
        ));
    }
    Ok(text.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_packs() {
        for (text, good) in [("model.gguf", true), ("a/b-00001-of-00002.gguf", true), ("", false), ("/a", false), ("a//b", false)]
        {
            assert_eq!(text.parse::<PackPath>().is_ok(), good, "{text:?}");
        }
        for text in ["../a", "a/.", "a b", "ä", &"x".repeat(256)] {
            assert!(text.parse::<PackPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_a_path() {
        for (text, spec, root) in [
            ("keys/debian.asc", true, true),
            ("../kernel-config/base.config", true, false),
            ("../../x", true, false),
            (".", true, false),
            ("", false, false),
            ("/etc/passwd", false, false),
            ("a/../b", false, false),
            ("a//b", false, false),
            ("a/", false, false),
            ("./a", false, false),
            ("a\\b", false, false),
            ("a\0b", false, false),
            ("...", true, true),
        ] {
            assert_eq!(text.parse::<SpecPath>().is_ok(), spec, "{text:?} as a path of a spec");
            assert_eq!(text.parse::<RootPath>().is_ok(), root, "{text:?} as a path of a root");
        }
        assert_eq!("../../x".parse::<SpecPath>().map(|path| path.climbs()), Ok(2));
    }
}
