//! Moving a pin in the text of a spec without touching another byte: comments and layout are the author's.

use std::cell::RefCell;

use super::Spec;
use crate::error::{Problem, ProblemKind, SpecError};
use crate::reader::Cursor;
use crate::tree;
use crate::value::{Name, Version};

impl Spec {
    /// The text of a spec with `sources.<source>.version` changed to `to`, and the line on which it stands.
    ///
    /// # Errors
    /// If the text isn't a spec, or has no such pin, or spells it in a way (an escape within quotes) that can't be changed
    /// in place.
    pub fn move_pin(file: &str, text: &str, source: &Name, to: &Version) -> Result<(String, usize), SpecError> {
        Spec::parse(file, text)?;
        let node = tree::parse(text, &mut Vec::new());
        let problems = RefCell::new(Vec::new());
        let place = node.as_ref().and_then(|node| {
            let pin = Cursor::root(node, &problems).find("sources")?.find(source.as_str())?.find("version")?;
            Some((pin.position(), pin.text()?.to_owned()))
        });
        let moved = place.as_ref().and_then(|(at, from)| Some((replace(text, *at, from, to.as_str())?, at.line)));
        moved.ok_or_else(|| {
            let (line, column) = place.map_or((1, 1), |(at, _)| (at.line, at.column));
            let problem = Problem {
                line,
                column,
                field: format!("sources.{source}.version"),
                kind: ProblemKind::MissingField,
                what: "the version can't be changed in place".to_owned(),
                remedy: format!("write `version: {to}` by hand"),
            };
            SpecError { file: file.to_owned(), problems: vec![problem] }
        })
    }
}

/// Replaces `from`, which stands at a place with or without a quote before it.
fn replace(text: &str, at: tree::Position, from: &str, to: &str) -> Option<String> {
    let line_start: usize = text.split_inclusive('\n').take(at.line.checked_sub(1)?).map(str::len).sum();
    let line = text.get(line_start..)?;
    let column: usize = line.chars().take(at.column.checked_sub(1)?).map(char::len_utf8).sum();
    let (before, rest) = text.split_at_checked(line_start.checked_add(column)?)?;
    let unquoted = rest.trim_start_matches(['"', '\'']);
    let after = unquoted.strip_prefix(from)?;
    let quote = rest.get(..rest.len().checked_sub(unquoted.len())?)?;
    Some(format!("{before}{quote}{to}{after}"))
}
