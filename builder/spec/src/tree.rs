//! YAML text to a tree of nodes that know where they stand.
//!
//! Built from parser events and not through serde, for three reasons. A scalar stays the text it was written as, so the
//! schema alone decides its type (`version: 2025.10` is never the number 2025.1). Every node has its line and column,
//! keys included. And reading goes on after a problem, so that all of them are reported. JSON is a subset of YAML, so
//! the lock is read by the same code; that it is strict JSON follows from its text having to be the canonical one.

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::{Problem, ProblemKind};

/// How deep mappings and lists may nest. The deepest spec uses six levels; the limit bounds the recursion of readers.
const MAX_DEPTH: usize = 32;

/// Line and column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// `plain` means unquoted: only such a scalar can be a number, a boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the text. No key stands twice.
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Position,
    pub(crate) key: String,
    pub(crate) value: Node,
}

/// Reads one document. What makes a node ambiguous goes to `problems`; what isn't YAML ends the reading.
pub(crate) fn parse(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut builder = Builder { open: Vec::new(), done: None, problems };
    for next in Parser::new_from_str(text) {
        match next {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => {
                let mark = error.marker();
                builder.report(
                    Position { line: mark.line(), column: mark.col().saturating_add(1) },
                    ProblemKind::Syntax,
                    &format!("this isn't well-formed: {}", error.info()),
                    "check indentation, quotes and brackets here and on the line before",
                );
                return None;
            }
        }
    }
    if builder.done.is_none() {
        let start = Position { line: 1, column: 1 };
        builder.report(start, ProblemKind::Syntax, "the file is empty", "write at least `schema:`");
    }
    builder.done
}

/// A mapping or list that hasn't ended yet.
enum Open {
    List { at: Position, items: Vec<Node> },
    Map { at: Position, entries: Vec<Entry>, key: Option<(Position, String)> },
}

struct Builder<'p> {
    open: Vec<Open>,
    done: Option<Node>,
    problems: &'p mut Vec<Problem>,
}

impl Builder<'_> {
    /// `None` when going on would make no sense.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = Position { line: span.start.line(), column: span.start.col().saturating_add(1) };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                self.scalar(at, text.into_owned(), plain)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.enter(at, Open::List { at, items: Vec::new() })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.enter(at, Open::Map { at, entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(_) => {
                self.report(at, ProblemKind::Construct, "an alias (`*name`) is used", "write the value out");
                self.node(Node { at, value: Value::Scalar { text: String::new(), plain: false } })
            }
            Event::DocumentStart(..) if self.done.is_some() => {
                self.report(at, ProblemKind::Construct, "a second document begins", "keep one document in a file");
                None
            }
            _ => Some(()),
        }
    }

    fn refuse_properties(&mut self, at: Position, anchor: usize, tag: bool) {
        if anchor != 0 {
            self.report(at, ProblemKind::Construct, "an anchor (`&name`) is used", "write the value out where it is needed");
        }
        if tag {
            self.report(at, ProblemKind::Construct, "a tag (`!name`) is used", "remove it: the field decides the type");
        }
    }

    fn scalar(&mut self, at: Position, text: String, plain: bool) -> Option<()> {
        let Some(Open::Map { key: key @ None, .. }) = self.open.last_mut() else {
            return self.node(Node { at, value: Value::Scalar { text, plain } });
        };
        let merge = plain && text == "<<";
        *key = Some((at, text));
        if merge {
            self.report(at, ProblemKind::Construct, "a merge key (`<<`) is used", "write the fields out");
        }
        Some(())
    }

    fn enter(&mut self, at: Position, open: Open) -> Option<()> {
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            self.report(at, ProblemKind::Construct, "a key is itself a mapping or a list", "use a plain word as the key");
            return None;
        }
        if self.open.len() >= MAX_DEPTH {
            self.report(at, ProblemKind::Construct, "the nesting is too deep", "no field needs more than a few levels");
            return None;
        }
        self.open.push(open);
        Some(())
    }

    fn leave(&mut self) -> Option<()> {
        let node = match self.open.pop()? {
            Open::List { at, items } => Node { at, value: Value::List(items) },
            Open::Map { at, entries, .. } => Node { at, value: Value::Map(entries) },
        };
        self.node(node)
    }

    fn node(&mut self, node: Node) -> Option<()> {
        let duplicate = match self.open.last_mut() {
            None => {
                self.done = Some(node);
                None
            }
            Some(Open::List { items, .. }) => {
                items.push(node);
                None
            }
            Some(Open::Map { entries, key, .. }) => {
                let (at, name) = key.take()?;
                match entries.iter().find(|entry| entry.key == name) {
                    Some(first) => Some((at, first.at, name)),
                    None => {
                        entries.push(Entry { at, key: name, value: node });
                        None
                    }
                }
            }
        };
        if let Some((at, first, name)) = duplicate {
            let field = self.path(&name);
            self.problems.push(Problem {
                line: at.line,
                column: at.column,
                field,
                kind: ProblemKind::DuplicateKey,
                what: format!("the key is given twice, first on line {}", first.line),
                remedy: "keep one of them".to_owned(),
            });
        }
        Some(())
    }

    /// Path of `name` in the mapping that is open now.
    fn path(&self, name: &str) -> String {
        let mut path = String::new();
        let outer = self.open.len().saturating_sub(1);
        for open in self.open.iter().take(outer) {
            match open {
                Open::List { items, .. } => path = crate::reader::item_path(&path, items.len()),
                Open::Map { key: Some((_, key)), .. } => path = crate::reader::field_path(&path, key),
                Open::Map { key: None, .. } => {}
            }
        }
        crate::reader::field_path(&path, name)
    }

    fn report(&mut self, at: Position, kind: ProblemKind, what: &str, remedy: &str) {
        self.problems.push(Problem {
            line: at.line,
            column: at.column,
            field: String::new(),
            kind,
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
}
