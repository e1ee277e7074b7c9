//! Two byte strings → the places that differ, named as the format names them.
//!
//! Each format is taken apart into leaves (fields, and contents that may be in another format again); leaves are compared by name,
//! so that what was inserted doesn't make everything behind it differ. What it must prove: that two different files are never
//! called equal. Hence, where no leaf differs, the bytes are compared, and the first ones that differ are named.

mod elf;
mod kernel;
mod layers;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sealstone_formats::place;
use serde::Serialize;

pub use kernel::Symbols;

/// Deepest nesting that occurs (disk, volume, UKI, kernel, program), and one to spare.
const MAX_DEPTH: usize = 6;

/// Places named for one pair of files at most; a report says how many more there are.
pub const MAX_PLACES: usize = 64;

/// One place that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Where, from the outside in: `GPT partition `ESP`: FAT volume id`.
    pub place: String,
    /// What stands there in the first file; `None` if it isn't there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What stands there in the second file; `None` if it isn't there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A part of a file.
struct Leaf<'a> {
    name: String,
    value: Value<'a>,
    /// Whether it follows from the other leaves (sizes, checksums): named only if nothing else differs.
    derived: bool,
    /// Where its first byte is in memory, if it is part of a program.
    address: Option<u64>,
}

enum Value<'a> {
    Text(String),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Leaf<'a> {
    fn text(name: impl Into<String>, value: impl ToString) -> Self {
        Self { name: name.into(), value: Value::Text(value.to_string()), derived: false, address: None }
    }

    fn bytes(name: impl Into<String>, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { name: name.into(), value: Value::Bytes(value.into()), derived: false, address: None }
    }

    fn derived(self) -> Self {
        Self { derived: true, ..self }
    }
}

/// A file taken apart: the format's name, and its leaves with unique names.
struct Parts<'a> {
    format: &'static str,
    leaves: Vec<Leaf<'a>>,
}

/// The places in which `a` and `b` differ, at most [`MAX_PLACES`]; none if and only if they are equal. `symbols` are the names of
/// addresses in the kernels of both, if they are known.
pub fn places(a: &[u8], b: &[u8], symbols: [Option<&Symbols>; 2]) -> Vec<Place> {
    let mut found = Found { list: Vec::new(), symbols };
    found.compare("", a, b, MAX_DEPTH, None);
    found.list.truncate(MAX_PLACES);
    found.list
}

struct Found<'s> {
    list: Vec<Place>,
    symbols: [Option<&'s Symbols>; 2],
}

impl Found<'_> {
    fn push(&mut self, place: String, before: Option<String>, after: Option<String>) {
        // One more than is kept, so that the limit is seen to be reached.
        if self.list.len() <= MAX_PLACES {
            self.list.push(Place { place, before, after });
        }
    }

    fn compare(&mut self, at: &str, a: &[u8], b: &[u8], depth: usize, address: Option<u64>) {
        if a == b {
            return;
        }
        let known = self.list.len();
        if let Some(depth) = depth.checked_sub(1)
            && let (Some(parts), Some(others)) = (take_apart(a), take_apart(b))
            && parts.format == others.format
        {
            self.leaves(at, &parts, &others, depth);
        }
        if self.list.len() == known {
            self.raw(at, a, b, address);
        }
    }

    fn leaves(&mut self, at: &str, a: &Parts<'_>, b: &Parts<'_>, depth: usize) {
        let known = self.list.len();
        let (left, right) = (index(a), index(b));
        for derived in [false, true] {
            if self.list.len() > known {
                return;
            }
            // In the order of the first file, then what only the second has.
            let mut names: Vec<&str> =
                a.leaves.iter().chain(&b.leaves).filter(|l| l.derived == derived).map(|l| l.name.as_str()).collect();
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(*name));
            for name in names {
                let (x, y) = (left.get(name).copied(), right.get(name).copied());
                self.leaf(&join(at, name), x, y, depth);
            }
        }
    }

    fn leaf(&mut self, at: &str, a: Option<&Leaf<'_>>, b: Option<&Leaf<'_>>, depth: usize) {
        match (a.map(|leaf| &leaf.value), b.map(|leaf| &leaf.value)) {
            (Some(Value::Bytes(x)), Some(Value::Bytes(y))) => self.compare(at, x, y, depth, a.and_then(|leaf| leaf.address)),
            (Some(Value::Text(a)), Some(Value::Text(b))) if a == b => {}
            (a, b) => self.push(at.to_owned(), a.map(show), b.map(show)),
        }
    }

    /// Bytes that no leaf tells apart: by the formats' names of places where the lengths are equal, by ranges otherwise.
    fn raw(&mut self, at: &str, a: &[u8], b: &[u8], address: Option<u64>) {
        if let Some((before, after)) = text::short(a, b) {
            return self.push(name(at, "text"), Some(before), Some(after));
        }
        if a.len() != b.len() {
            let first = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
            let of = |bytes: &[u8]| Some(format!("{} bytes", bytes.len()));
            return self.push(name(at, &format!("from byte {first:#x}")), of(a), of(b));
        }
        let runs = runs(a, b);
        if place::recognise(a).is_some() {
            let mut seen = BTreeSet::new();
            for (start, _) in runs.iter().take(MAX_PLACES) {
                let located = place::locate(a, *start);
                if seen.insert(located.clone()) {
                    let (before, after) = (hex(a, *start), hex(b, *start));
                    self.push(join(at, &located), Some(before), Some(after));
                }
            }
            return;
        }
        let differing: usize = runs.iter().map(|(start, end)| end - start).sum();
        for (start, end) in runs.iter().take(3) {
            let range = format!("bytes {start:#x}..{end:#x}{}", self.symbol(address, *start));
            self.push(name(at, &range), Some(hex(a, *start)), Some(hex(b, *start)));
        }
        if runs.len() > 3 {
            self.push(name(at, &format!("{} more ranges, {differing} of {} bytes in all", runs.len() - 3, a.len())), None, None);
        }
    }
}

impl Found<'_> {
    /// The name of the function or object that a byte belongs to, if symbols say so: the first kernel's, or else the second's, which
    /// are the same as far as both kernels are.
    fn symbol(&self, address: Option<u64>, offset: usize) -> String {
        let [first, second] = self.symbols;
        let Some(symbols) = first.or(second) else { return String::new() };
        let at = address.and_then(|address| address.checked_add(u64::try_from(offset).ok()?));
        at.and_then(|at| symbols.at(at)).map(|name| format!(" (in {name})")).unwrap_or_default()
    }
}

/// Leaves of whatever format these bytes are in.
fn take_apart(bytes: &[u8]) -> Option<Parts<'_>> {
    if kernel::is_kernel(bytes) {
        return kernel::parts(bytes).or_else(|| layers::pe(bytes));
    }
    match place::recognise(bytes) {
        Some(place::Format::Gpt) => layers::gpt(bytes),
        Some(place::Format::Fat) => layers::fat(bytes),
        Some(place::Format::Pe) => layers::pe(bytes),
        Some(place::Format::Cpio) => layers::cpio(bytes),
        Some(place::Format::Erofs) => layers::pack(bytes),
        Some(_) => None,
        None => elf::parts(bytes).or_else(|| text::json(bytes)).or_else(|| text::lines(bytes)),
    }
}

fn index<'p, 'a>(parts: &'p Parts<'a>) -> BTreeMap<&'p str, &'p Leaf<'a>> {
    parts.leaves.iter().map(|leaf| (leaf.name.as_str(), leaf)).collect()
}

/// Ranges of differing bytes; those with less than sixteen equal bytes between them count as one.
fn runs(a: &[u8], b: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in a.iter().zip(b).enumerate().filter(|(_, (x, y))| x != y) {
        match runs.last_mut() {
            Some((_, end)) if at < end.saturating_add(16) => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn hex(bytes: &[u8], at: usize) -> String {
    let some = bytes.get(at..bytes.len().min(at.saturating_add(8))).unwrap_or_default();
    some.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn join(outer: &str, inner: &str) -> String {
    if outer.is_empty() { inner.to_owned() } else { format!("{outer}: {inner}") }
}

/// Like [`join`], for what isn't a layer of its own.
fn name(at: &str, what: &str) -> String {
    if at.is_empty() { what.to_owned() } else { format!("{at}, {what}") }
}
