//! A located tree to typed values. Every function returns `None` after it has reported why, so that the caller goes on
//! with the other fields and all problems come out together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Problem, ProblemKind};
use crate::tree::{Entry, Node, Position, Value};
use crate::value::BadValue;

/// One node with the path that leads to it.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    node: &'a Node,
    at: Position,
    path: String,
    problems: &'a RefCell<Vec<Problem>>,
}

pub(crate) fn field_path(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

pub(crate) fn item_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

impl<'a> Cursor<'a> {
    pub(crate) fn root(node: &'a Node, problems: &'a RefCell<Vec<Problem>>) -> Cursor<'a> {
        Cursor { node, at: node.at, path: String::new(), problems }
    }

    fn child(&self, node: &'a Node, path: String) -> Cursor<'a> {
        Cursor { node, at: node.at, path, problems: self.problems }
    }

    pub(crate) fn position(&self) -> Position {
        self.at
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// Reports a problem at this node.
    pub(crate) fn refuse<T>(&self, kind: ProblemKind, what: impl Into<String>, remedy: impl Into<String>) -> Option<T> {
        self.refuse_at(self.at, &self.path, kind, what, remedy)
    }

    fn refuse_at<T>(
        &self,
        at: Position,
        field: &str,
        kind: ProblemKind,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<T> {
        self.problems.borrow_mut().push(Problem {
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            kind,
            what: what.into(),
            remedy: remedy.into(),
        });
        None
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match &self.node.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Scalar { text, plain: true } if is_null(text) => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("`{}`", shorten(text)),
        };
        self.refuse(ProblemKind::WrongType, format!("expected {expected}, found {found}"), format!("write {expected}"))
    }

    /// Any scalar but null, as it was written.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain } if !(*plain && is_null(text)) => Some(text),
            _ => self.wrong_type("a word"),
        }
    }

    /// A non-negative integer in plain decimal: no sign, exponent, underscore, leading zero or quotes.
    pub(crate) fn integer(&self) -> Option<u64> {
        let parsed = match &self.node.value {
            Value::Scalar { text, plain: true } if is_decimal(text) => text.parse().ok(),
            _ => None,
        };
        parsed.or_else(|| self.wrong_type("a whole number, such as 8080"))
    }

    /// [`Cursor::integer`] within `low..=high`.
    pub(crate) fn integer_in(&self, low: u64, high: u64) -> Option<u64> {
        let value = self.integer()?;
        if (low..=high).contains(&value) {
            return Some(value);
        }
        self.refuse(ProblemKind::BadValue, format!("{value} is out of range"), format!("use a number from {low} to {high}"))
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A scalar that a validated type accepts.
    pub(crate) fn value<T: FromStr<Err = BadValue>>(&self) -> Option<T> {
        match self.text()?.parse() {
            Ok(value) => Some(value),
            Err(BadValue { what, remedy }) => self.refuse(ProblemKind::BadValue, what, remedy),
        }
    }

    /// One word of a closed set.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.refuse(
            ProblemKind::BadValue,
            format!("`{}` isn't one of the known values", shorten(text)),
            suggestion(text, &names, "use"),
        )
    }

    pub(crate) fn list<T>(&self, mut read: impl FnMut(&Cursor<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List(items) = &self.node.value else { return self.wrong_type("a list, such as [a, b]") };
        let read: Vec<Option<T>> =
            items.iter().enumerate().map(|(index, node)| read(&self.child(node, item_path(&self.path, index)))).collect();
        read.into_iter().collect()
    }

    /// A list of which no two items have the same key.
    pub(crate) fn unique_list<T>(&self, key: impl Fn(&T) -> String, read: impl Fn(&Cursor<'a>) -> Option<T>) -> Option<Vec<T>> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        self.list(|item| {
            let value = read(item)?;
            let name = key(&value);
            if let Some(line) = seen.get(&name) {
                return item.refuse(
                    ProblemKind::Order,
                    format!("`{name}` is listed twice, first on line {line}"),
                    "keep one of them",
                );
            }
            seen.insert(name, item.at.line);
            Some(value)
        })
    }

    /// A mapping whose keys are chosen by the author.
    pub(crate) fn table<K, V>(&self, read: impl Fn(&Cursor<'a>) -> Option<V>) -> Option<BTreeMap<K, V>>
    where
        K: FromStr<Err = BadValue> + Ord,
    {
        let entries = self.entries()?;
        let read: Vec<Option<(K, V)>> = entries
            .iter()
            .map(|entry| {
                let path = field_path(&self.path, &entry.key);
                let value = read(&self.child(&entry.value, path.clone()));
                match entry.key.parse() {
                    Ok(key) => Some((key, value?)),
                    Err(BadValue { what, remedy }) => self.refuse_at(entry.at, &path, ProblemKind::BadValue, what, remedy),
                }
            })
            .collect();
        read.into_iter().collect()
    }

    /// The value of a key, without a report when there is none.
    pub(crate) fn find(&self, key: &str) -> Option<Cursor<'a>> {
        let Value::Map(entries) = &self.node.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(self.child(&entry.value, field_path(&self.path, key)))
    }

    fn entries(&self) -> Option<&'a [Entry]> {
        match &self.node.value {
            Value::Map(entries) => Some(entries),
            _ => self.wrong_type("a mapping (`field: value`)"),
        }
    }

    /// A mapping with the given fields and no others.
    pub(crate) fn fields(&self, known: &[&'static str]) -> Option<Fields<'a>> {
        let entries = self.entries()?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.refuse_at::<()>(
                entry.at,
                &field_path(&self.path, &entry.key),
                ProblemKind::UnknownField,
                "the field isn't known",
                suggestion(&entry.key, known, "known here:"),
            );
        }
        Some(Fields { cursor: self.clone() })
    }
}

/// The fields of one mapping, taken by name.
pub(crate) struct Fields<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn find(&self, key: &str) -> Option<Cursor<'a>> {
        self.cursor.find(key)
    }

    /// A field that has to be there.
    pub(crate) fn need<T>(&self, key: &str, read: impl FnOnce(&Cursor<'a>) -> Option<T>) -> Option<T> {
        match self.find(key) {
            Some(cursor) => read(&cursor),
            None => self.cursor.refuse_at(
                self.cursor.at,
                &field_path(&self.cursor.path, key),
                ProblemKind::MissingField,
                "the field is missing",
                format!("add `{key}:`"),
            ),
        }
    }

    /// A field that may be left out. The outer `None` means that it is there and wrong.
    pub(crate) fn may<T>(&self, key: &str, read: impl FnOnce(&Cursor<'a>) -> Option<T>) -> Option<Option<T>> {
        match self.find(key) {
            Some(cursor) => read(&cursor).map(Some),
            None => Some(None),
        }
    }

    /// A field with a value to use when it is left out.
    pub(crate) fn or<T>(&self, key: &str, default: T, read: impl FnOnce(&Cursor<'a>) -> Option<T>) -> Option<T> {
        self.may(key, read).map(|value| value.unwrap_or(default))
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

/// Text for a message, cut to a length that leaves the message readable.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    let escaped = text.escape_debug().to_string();
    if escaped.chars().count() <= MOST {
        return escaped;
    }
    escaped.chars().take(MOST).chain(std::iter::once('…')).collect()
}

/// `did you mean …` when a known name is near, the list of them when none is.
pub(crate) fn suggestion(found: &str, known: &[&str], verb: &str) -> String {
    let near = known
        .iter()
        .map(|name| (distance(found, name), *name))
        .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 3)
        .min();
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("{verb} {}", listing(known)),
    }
}

fn listing(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// Optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbours each cost one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("epoch", "epoch", 0), ("epcoh", "epoch", 1), ("nam", "name", 1), ("abc", "", 3), ("ca", "abc", 3)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
