//! Everything that can be wrong with a spec or a lock, told so that it can be mended at once.

use std::fmt;

/// A spec or a lock that can't be used. Holds every problem that was found, in the order of the text, because mending
/// them one run at a time is tiresome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The file as the caller named it.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Path of the field, such as `roots.build.packages[3]`; empty for the whole document.
    pub field: String,
    /// What sort of problem it is, for programs.
    pub kind: ProblemKind,
    /// What is wrong, for people.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The sorts of problems. All mean that the file has to be edited (or, for a lock, written anew) before it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text isn't YAML (or JSON) at all.
    Syntax,
    /// Legal YAML that could make a reader and this program see different things: anchors, aliases, tags, merge keys.
    Construct,
    /// The same key twice in one mapping.
    DuplicateKey,
    /// A field that this version doesn't know.
    UnknownField,
    /// A field that must be there isn't.
    MissingField,
    /// A mapping where a list was expected, a word where a number was, and so on.
    WrongType,
    /// The right type, but not an allowed value.
    BadValue,
    /// A name that stands for something which isn't defined.
    Dangling,
    /// The same thing listed twice, or a list that isn't in its order.
    Order,
    /// A lock whose bytes aren't the ones that its content is written as.
    NotCanonical,
    /// Written for another version of the format.
    Schema,
}

impl std::error::Error for SpecError {}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}
