//! Paragraphs of `Field: value` lines: deb822(5), Debian Policy section 5.1.

/// One paragraph. Values are slices of the text, continuation lines and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paragraph<'t> {
    /// Line of its first field, counted from 1.
    pub(super) line: usize,
    fields: Vec<(&'t str, &'t str)>,
}

/// Text that isn't what an archive's index may be: a line that is no field, continuation or empty one, a field that stands
/// twice, or a value that can't be read. The index can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// Where, counted from 1; of a paragraph, its first line.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl<'t> Paragraph<'t> {
    /// The value without surrounding white space. Names are the same in upper and lower case (Policy 5.1).
    pub(super) fn field(&self, name: &str) -> Option<&'t str> {
        let found = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(found.1.trim())
    }

    /// A field that has to be there.
    pub(super) fn need(&self, name: &str) -> Result<&'t str, Malformed> {
        self.field(name).ok_or_else(|| self.malformed(format!("the paragraph has no `{name}`")))
    }

    /// A field that has to be there and has to be a value of a type.
    pub(super) fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<T, Malformed>
    where
        T::Err: std::fmt::Display,
    {
        self.need(name)?.parse().map_err(|error| self.malformed(format!("`{name}`: {error}")))
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> Malformed {
        Malformed { line: self.line, what: what.into() }
    }
}

/// The paragraphs of a text, one at a time. Comments aren't part of an archive's indexes and so aren't known.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = Result<Paragraph<'_>, Malformed>> {
    Paragraphs { rest: text, line: 1 }
}

struct Paragraphs<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Iterator for Paragraphs<'t> {
    type Item = Result<Paragraph<'t>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() && self.peek().trim().is_empty() {
            self.advance();
        }
        if self.rest.is_empty() {
            return None;
        }
        let result = self.paragraph();
        if result.is_err() {
            self.rest = "";
        }
        Some(result)
    }
}

impl<'t> Paragraphs<'t> {
    /// The next line without its line break.
    fn peek(&self) -> &'t str {
        self.rest.split_once('\n').map_or(self.rest, |(line, _)| line)
    }

    fn advance(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.line += 1;
    }

    fn paragraph(&mut self) -> Result<Paragraph<'t>, Malformed> {
        let mut paragraph = Paragraph { line: self.line, fields: Vec::new() };
        while !self.rest.is_empty() && !self.peek().trim().is_empty() {
            let line = self.line;
            let malformed = |what: String| Malformed { line, what };
            let Some((name, first)) = self.peek().split_once(':').filter(|(name, _)| is_field_name(name)) else {
                return Err(malformed("neither a field nor a continuation of one".to_owned()));
            };
            if paragraph.field(name).is_some() {
                return Err(malformed(format!("the field `{name}` stands twice in a paragraph")));
            }
            // The value reaches from behind the colon to the end of the last continuation line.
            let from = &self.rest[name.len() + 1..];
            let mut length = first.len();
            self.advance();
            while self.rest.starts_with([' ', '\t']) && !self.peek().trim().is_empty() {
                length += 1 + self.peek().len();
                self.advance();
            }
            paragraph.fields.push((name, &from[..length]));
        }
        Ok(paragraph)
    }
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '-']) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Paragraph<'_>>, Malformed> {
        paragraphs(text).collect()
    }

    #[test]
    fn fields_and_continuations() {
        let text = "\nPackage: a\nVersion:1\nDescription: short\n long\n .\n\tlonger\n\n \nPackage:  b \nFiles:\n x y\n";
        let found = read(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[1].line), (2, 10));
        assert_eq!(found[0].field("package"), Some("a"));
        assert_eq!(found[0].field("Version"), Some("1"));
        assert_eq!(found[0].field("Description"), Some("short\n long\n .\n\tlonger"));
        assert_eq!(found[1].field("Package"), Some("b"));
        assert_eq!(found[1].field("Files"), Some("x y"));
        assert_eq!(found[1].field("Nothing"), None);
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn what_is_refused() {
        for (text, line) in [("a: 1\nA: 2\n", 2), (" a: 1\n", 1), ("a: 1\nb\n", 2), (": x\n", 1), ("# c: x\n", 1), ("a b: x", 1)]
        {
            assert_eq!(read(text).map_err(|error| error.line), Err(line), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-cA-C:# \\n\\té-]){0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn written_paragraphs_are_read(values in prop::collection::vec("[a-z ]{0,8}(\\n [a-z]{1,8}){0,3}", 1..6)) {
            let text: String = values.iter().enumerate().map(|(i, value)| format!("F{i}: {value}\n")).collect();
            let found = read(&text).unwrap();
            prop_assert_eq!(found.len(), 1);
            for (i, value) in values.iter().enumerate() {
                prop_assert_eq!(found[0].field(&format!("f{i}")), Some(value.trim()));
            }
        }
    }
}
