//! Fragments: parts of a request to Kconfig, in which every option has a reason.
//!
//! The format is a subset of what Kconfig itself reads, line by line:
//! - `#: text` — the reason of the next option; several such lines in a row are one reason;
//! - `CONFIG_NAME=value` — directly behind its reason; `n` is written out;
//! - `# text`, `#` or an empty line — headings, ignored, but never between a reason and its option.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::option::{OptionName, Value, ValueError, not_set};

/// A fragment: its options in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Where it came from, for messages. Never opened.
    pub file: String,
    /// Each option once.
    pub entries: Vec<Entry>,
}

/// One requested option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which option.
    pub name: OptionName,
    /// What it should be. Never [`Value::Module`].
    pub value: Value,
    /// Why, as one line; never empty.
    pub reason: String,
    /// The line of the file, counted from 1.
    pub line: usize,
}

impl Fragment {
    /// Reads a fragment. `file` is only used in messages.
    ///
    /// # Errors
    /// See [`FragmentError`]; the first problem from the top is reported.
    pub fn parse(file: &str, text: &str) -> Result<Self, FragmentError> {
        let mut parser = Parser { file, entries: Vec::new(), seen: BTreeMap::new(), reason: None };
        for (index, line) in text.lines().enumerate() {
            parser.line(index.saturating_add(1), line)?;
        }
        parser.no_dangling_reason()?;
        Ok(Self { file: file.to_owned(), entries: parser.entries })
    }
}

/// The fragment's text: what [`Fragment::parse`] reads, without headings.
impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "#: {}\n{}={}", entry.reason, entry.name, entry.value))
    }
}

struct Parser<'a> {
    file: &'a str,
    entries: Vec<Entry>,
    /// The line of every option so far.
    seen: BTreeMap<OptionName, usize>,
    /// A reason that waits for its option, and the line it began on.
    reason: Option<(usize, String)>,
}

impl Parser<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<(), FragmentError> {
        if let Some(text) = line.strip_prefix("#:") {
            self.reason_line(number, text.trim());
            Ok(())
        } else if not_set(line).is_some() {
            Err(self.error(number, Problem::NotSet))
        } else if line.is_empty() || line.starts_with('#') {
            self.no_dangling_reason()
        } else {
            self.option(number, line)
        }
    }

    fn reason_line(&mut self, number: usize, text: &str) {
        let (_, reason) = self.reason.get_or_insert_with(|| (number, String::new()));
        if !reason.is_empty() && !text.is_empty() {
            reason.push(' ');
        }
        reason.push_str(text);
    }

    fn option(&mut self, number: usize, line: &str) -> Result<(), FragmentError> {
        let (name, value) = line.split_once('=').ok_or_else(|| self.error(number, Problem::NoEqualsSign))?;
        let name = OptionName::parse(name).map_err(|e| self.error(number, Problem::Value(e)))?;
        let value = Value::parse(value).map_err(|e| self.error(number, Problem::Value(e)))?;
        if value == Value::Module {
            return Err(self.error(number, Problem::Module(name)));
        }
        let reason = match self.reason.take() {
            Some((_, reason)) if !reason.is_empty() => reason,
            _ => return Err(self.error(number, Problem::NoReason(name))),
        };
        if let Some(first) = self.seen.insert(name.clone(), number) {
            return Err(self.error(number, Problem::Twice { name, first }));
        }
        self.entries.push(Entry { name, value, reason, line: number });
        Ok(())
    }

    fn no_dangling_reason(&mut self) -> Result<(), FragmentError> {
        match self.reason.take() {
            Some((line, _)) => Err(self.error(line, Problem::DanglingReason)),
            None => Ok(()),
        }
    }

    fn error(&self, line: usize, problem: Problem) -> FragmentError {
        FragmentError { file: self.file.to_owned(), line, problem }
    }
}

/// A fragment couldn't be read; nothing of it may be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("kernel fragment {file}:{line}: {problem}")]
#[non_exhaustive]
pub struct FragmentError {
    /// The name that was given to [`Fragment::parse`].
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub problem: Problem,
}

/// What is wrong with a line of a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Neither a comment nor a setting.
    #[error("not a setting: write CONFIG_NAME=value, or begin the line with #")]
    NoEqualsSign,
    /// The name or value is misspelt.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The kernel is monolithic; a module couldn't be loaded and would be missing.
    #[error("{0}=m: the kernel has no modules; write y or n")]
    Module(OptionName),
    /// Nobody said why the option is needed.
    #[error("{0} has no reason: put a line `#: why` directly above it")]
    NoReason(OptionName),
    /// A reason that belongs to nothing, for example because its option was deleted.
    #[error("this reason belongs to no option: put it directly above one, or delete it")]
    DanglingReason,
    /// Two requests in one file: the later one would win silently.
    #[error("{name} stands on line {first} already: keep one of them")]
    Twice {
        /// Which option.
        name: OptionName,
        /// The line of the first one.
        first: usize,
    },
    /// Kconfig's own spelling of `n` is a comment, easily overlooked and easily made by accident.
    #[error("write CONFIG_NAME=n instead of `is not set`")]
    NotSet,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::option::strategies;

    #[test]
    fn reasons_belong_to_the_next_option() {
        let text = "# heading\n\n#: one\n#: two\nCONFIG_A=y\n#:three\nCONFIG_B=\"x\"\n#\n#: four\nCONFIG_C=n\n";
        let fragment = Fragment::parse("f", text).unwrap();
        let found: Vec<_> =
            fragment.entries.iter().map(|e| (e.name.bare(), e.value.clone(), e.reason.as_str(), e.line)).collect();
        assert_eq!(
            found,
            [("A", Value::Yes, "one two", 5), ("B", Value::Text("x".into()), "three", 7), ("C", Value::No, "four", 10),]
        );
    }

    #[test]
    fn refused_lines_are_named() {
        let name = |text: &str| OptionName::parse(text).unwrap();
        let cases = [
            ("CONFIG_A=y\n", 1, Problem::NoReason(name("CONFIG_A"))),
            ("#:\nCONFIG_A=y\n", 2, Problem::NoReason(name("CONFIG_A"))),
            ("#: a\nCONFIG_A=y\nCONFIG_B=y\n", 3, Problem::NoReason(name("CONFIG_B"))),
            ("#: a\n\nCONFIG_A=y\n", 1, Problem::DanglingReason),
            ("#: a\n# heading\nCONFIG_A=y\n", 1, Problem::DanglingReason),
            ("#: a\nCONFIG_A=y\n#: b\n", 3, Problem::DanglingReason),
            ("#: a\nCONFIG_A=m\n", 2, Problem::Module(name("CONFIG_A"))),
            ("#: a\n# CONFIG_A is not set\n", 2, Problem::NotSet),
            ("#: a\nCONFIG_A\n", 2, Problem::NoEqualsSign),
            ("#: a\n CONFIG_A=y\n", 2, Problem::Value(ValueError::Name(" CONFIG_A".into()))),
            ("#: a\nCONFIG_A=yes\n", 2, Problem::Value(ValueError::Value("yes".into()))),
            ("#: a\nCONFIG_A=y # b\n", 2, Problem::Value(ValueError::Value("y # b".into()))),
            ("#: a\nCONFIG_A=y\n#: b\nCONFIG_A=y\n", 4, Problem::Twice { name: name("CONFIG_A"), first: 2 }),
        ];
        for (text, line, problem) in cases {
            let error = Fragment::parse("dir/x.config", text).unwrap_err();
            assert_eq!((error.line, &error.problem), (line, &problem), "{text:?}");
            assert!(error.to_string().starts_with(&format!("kernel fragment dir/x.config:{line}: ")));
        }
    }

    proptest! {
        #[test]
        fn a_rendered_fragment_is_read_back(
            wanted in prop::collection::btree_map(strategies::name(), (strategies::value(), "[!-~]([ -~]{0,30}[!-~])?"), 0..20)
        ) {
            let entries = wanted.into_iter().enumerate().map(|(index, (name, (value, reason)))| {
                Entry { name, value, reason, line: index * 2 + 2 }
            }).collect();
            let fragment = Fragment { file: "f".into(), entries };
            prop_assert_eq!(Fragment::parse("f", &fragment.to_string()), Ok(fragment));
        }

        #[test]
        fn no_text_panics(text in "(\\PC|\n|#|CONFIG_|=){0,60}") {
            let _ = Fragment::parse("f", &text);
        }
    }
}
