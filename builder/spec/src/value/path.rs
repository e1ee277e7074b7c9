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

impl SpecPath {
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
