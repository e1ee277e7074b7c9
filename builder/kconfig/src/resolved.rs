//! The complete configuration that Kconfig made: a `.config`.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::option::{OptionName, Value, ValueError, config_line, not_set};

/// A resolved configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    values: BTreeMap<OptionName, Value>,
}

impl Resolved {
    /// Reads a `.config`. `file` is only used in messages.
    ///
    /// # Errors
    /// [`ResolvedError`] names the first line that Kconfig wouldn't have written.
    pub fn parse(file: &str, text: &str) -> Result<Self, ResolvedError> {
        let mut values = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let error = |problem| ResolvedError { file: file.to_owned(), line: index.saturating_add(1), problem };
            let Some((name, value)) = setting(line).map_err(error)? else { continue };
            if values.insert(name.clone(), value).is_some() {
                return Err(error(ResolvedProblem::Twice(name)));
            }
        }
        Ok(Self { values })
    }

    /// What was decided about an option: [`Value::No`] where the file says `is not set`, `None`
    /// where it doesn't mention it (unknown, or hidden because its dependencies aren't met).
    #[must_use]
    pub fn value(&self, name: &OptionName) -> Option<&Value> {
        self.values.get(name)
    }

    /// Every option that the file mentions, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OptionName, &Value)> {
        self.values.iter()
    }

    /// How many options are `y` or `m`: a rough size of what is trusted.
    #[must_use]
    pub fn enabled(&self) -> usize {
        self.values.values().filter(|value| value.is_on()).count()
    }
}

/// As a `.config` without headings, sorted by name.
impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.iter().try_for_each(|(name, value)| writeln!(f, "{}", config_line(name, value)))
    }
}

/// The setting on a line, if it is one.
fn setting(line: &str) -> Result<Option<(OptionName, Value)>, ResolvedProblem> {
    if let Some(name) = not_set(line) {
        return Ok(Some((OptionName::parse(name)?, Value::No)));
    }
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or(ResolvedProblem::NoSetting)?;
    Ok(Some((OptionName::parse(name)?, Value::parse(value)?)))
}

/// A file isn't a resolved configuration; nothing of it may be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("kernel configuration {file}:{line}: {problem}")]
#[non_exhaustive]
pub struct ResolvedError {
    /// The name that was given to [`Resolved::parse`].
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: ResolvedProblem,
}

/// What is wrong with a line of a resolved configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolvedProblem {
    /// Not a line of a `.config`: the file was damaged or is something else.
    #[error("neither a setting nor a comment; make the file anew with `make allnoconfig`")]
    NoSetting,
    /// A name or value that Kconfig wouldn't write. Seen when a tool that Kconfig asks for its
    /// version answers with something else.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Kconfig mentions each option once; a file edited by hand may not.
    #[error("{0} stands here a second time; make the file anew with `make allnoconfig`")]
    Twice(OptionName),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::option::strategies;

    fn name(text: &str) -> OptionName {
        OptionName::parse(text).unwrap()
    }

    #[test]
    fn the_three_forms_of_no_are_told_apart() {
        let text = "#\n# Linux/x86 6.12 Kernel Configuration\n#\nCONFIG_A=y\nCONFIG_M=m\n# CONFIG_B is not set\n# end of menu\nCONFIG_N=3\n";
        let resolved = Resolved::parse("c", text).unwrap();
        assert_eq!(resolved.value(&name("CONFIG_A")), Some(&Value::Yes));
        assert_eq!(resolved.value(&name("CONFIG_B")), Some(&Value::No));
        assert_eq!(resolved.value(&name("CONFIG_C")), None);
        assert_eq!(resolved.enabled(), 2);
    }

    #[test]
    fn damaged_files_are_refused() {
        let cases = [
            ("CONFIG_A=y\nhello\n", 2, ResolvedProblem::NoSetting),
            ("CONFIG_A=y\n# CONFIG_A is not set\n", 2, ResolvedProblem::Twice(name("CONFIG_A"))),
            (
                "CONFIG_PAHOLE_VERSION=false (GNU coreutils)\n",
                1,
                ResolvedProblem::Value(ValueError::Value("false (GNU coreutils)".into())),
            ),
        ];
        for (text, line, problem) in cases {
            let error = Resolved::parse("c", text).unwrap_err();
            assert_eq!((error.line, error.problem), (line, problem), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_rendered_configuration_is_read_back(
            values in prop::collection::btree_map(strategies::name(), strategies::value(), 0..20)
        ) {
            let resolved = Resolved { values };
            prop_assert_eq!(Resolved::parse("c", &resolved.to_string()), Ok(resolved));
        }
    }
}
