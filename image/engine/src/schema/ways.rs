//! In how many ways a text can be read so far.
//!
//! llama.cpp follows all of them at once (`llama_grammar_advance_stack`), in time that grows with their square. Where
//! alternatives that hold others begin alike, and what they hold does so again, their number multiplies with each level of
//! the text: some thirty characters of a reply would keep the engine busy for hours, and everybody else waiting. So they
//! are counted beforehand, generously, and a schema with too many is refused. One that holds itself is walked again as
//! long as the number grows.

use std::collections::BTreeMap;

use super::SchemaError;
use super::document::Document;
use super::grammar::{DEPTH, required, resolve};

/// The most ways at a time: more than a list of a thousand names needs, and still milliseconds a token.
const WAYS: usize = 1024;

/// Steps of the counting, which itself must end soon.
const STEPS: usize = 1 << 20;

/// Properties at an object's start by which it is told from others.
const LEADING: usize = 16;

/// Judges a schema of which a grammar could be made.
pub(super) fn check(document: &Document) -> Result<(), SchemaError> {
    Walk { document, seen: BTreeMap::new(), steps: 0 }.walk(document, 1, 0)
}

struct Walk<'a> {
    document: &'a Document,
    /// Each schema that was walked, by its place in memory, with the most ways that led there.
    seen: BTreeMap<*const Document, usize>,
    steps: usize,
}

impl<'a> Walk<'a> {
    fn step(&mut self, steps: usize) -> Result<(), SchemaError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS { Err(SchemaError::Large) } else { Ok(()) }
    }

    /// A schema that is read in `ways` at once, and what it holds.
    fn walk(&mut self, schema: &'a Document, ways: usize, depth: usize) -> Result<(), SchemaError> {
        let seen = self.seen.entry(std::ptr::from_ref(schema)).or_insert(0);
        if *seen >= ways {
            return Ok(());
        }
        *seen = ways;
        let mut alternatives = Vec::new();
        self.alternatives(schema, 0, &mut alternatives)?;
        // The ways grow at least twofold before a schema is walked inside of itself; so this depth has an end, too.
        let deeper = depth.saturating_add(1);
        if deeper > DEPTH.saturating_mul(4) {
            return Err(SchemaError::Large);
        }
        few(ways, alternatives.iter().map(|one| leaves(one)).sum())?;
        let lists: Vec<_> = alternatives.iter().copied().filter(|one| may_be(one, "array")).collect();
        for list in &lists {
            let first = list.property("prefixItems").and_then(Document::list).unwrap_or_default();
            for item in first.iter().chain(list.property("items")) {
                self.walk(item, ways.saturating_mul(lists.len()), deeper)?;
            }
        }
        let objects: Vec<_> = alternatives.iter().copied().filter(|one| may_be(one, "object")).collect();
        self.objects(&objects, ways, deeper)
    }

    fn objects(&mut self, objects: &[&'a Document], ways: usize, depth: usize) -> Result<(), SchemaError> {
        self.step(objects.len().saturating_mul(objects.len()))?;
        let starts: Vec<Vec<Lead<'a>>> = objects.iter().map(|object| leading(object)).collect();
        for (object, start) in objects.iter().zip(&starts) {
            let until: Vec<usize> = starts.iter().map(|other| told_apart(start, other)).collect();
            let alike = |at: usize| until.iter().filter(|until| **until > at).count().max(1);
            let declared = properties(object);
            // A name that was declared can be read as another one, too.
            let more = object.property("additionalProperties").filter(|more| **more != Document::Flag(false));
            let double = if more.is_some() && !declared.is_empty() { 2 } else { 1 };
            let names = required(object)?;
            let optional = declared.iter().filter(|(name, _)| !names.contains(&name.as_str())).count();
            few(ways.saturating_mul(objects.len()), optional.saturating_add(1))?;
            for (at, (_, value)) in declared.iter().enumerate() {
                self.walk(value, ways.saturating_mul(alike(at)).saturating_mul(double), depth)?;
            }
            if let Some(more) = more {
                self.walk(more, ways.saturating_mul(alike(declared.len())).saturating_mul(double), depth)?;
            }
        }
        Ok(())
    }

    /// What a schema is one of, without references and lists of alternatives.
    fn alternatives(&mut self, schema: &'a Document, depth: usize, into: &mut Vec<&'a Document>) -> Result<(), SchemaError> {
        self.step(1)?;
        let deeper = depth.saturating_add(1);
        if deeper > DEPTH || into.len() > WAYS {
            return Err(SchemaError::Large);
        }
        if let Some(path) = schema.property("$ref").and_then(Document::text) {
            let target = resolve(self.document, path).ok_or(SchemaError::Reference)?;
            return self.alternatives(target, deeper, into);
        }
        let several = ["anyOf", "oneOf", "allOf"].iter().find_map(|name| schema.property(name)).and_then(Document::list);
        match several {
            Some(list) if !is_listed(schema) => list.iter().try_for_each(|one| self.alternatives(one, deeper, into)),
            _ => {
                into.push(schema);
                Ok(())
            }
        }
    }
}

fn few(ways: usize, each: usize) -> Result<(), SchemaError> {
    if ways.saturating_mul(each) > WAYS { Err(SchemaError::Large) } else { Ok(()) }
}

/// Whether the values themselves are listed, of which none holds a schema.
fn is_listed(schema: &Document) -> bool {
    schema.property("const").or(schema.property("enum")).is_some()
}

fn leaves(schema: &Document) -> usize {
    let list = schema.property("enum").or(schema.property("type")).and_then(Document::list);
    list.map_or(1, <[Document]>::len)
}

fn may_be(schema: &Document, kind: &str) -> bool {
    if is_listed(schema) {
        return false;
    }
    match schema.property("type") {
        Some(Document::List(kinds)) => kinds.iter().any(|known| known.text() == Some(kind)),
        Some(known) => known.text() == Some(kind),
        None if schema.property("properties").is_some() => kind == "object",
        None if schema.property("items").is_some() => kind == "array",
        None => true,
    }
}

fn properties(object: &Document) -> &[(String, Document)] {
    if let Some(Document::Object(properties)) = object.property("properties") { properties } else { &[] }
}

/// A property that must stand where it stands: its name, and its values if they are listed.
type Lead<'a> = (&'a str, Option<Vec<String>>);

/// The properties at an object's start, up to the first that may be left out.
fn leading(object: &Document) -> Vec<Lead<'_>> {
    let names = required(object).unwrap_or_default();
    let values = |schema: &Document| match (schema.property("const"), schema.property("enum")) {
        (Some(value), _) => Some(vec![value.json()]),
        (None, Some(list)) => Some(list.list().unwrap_or_default().iter().map(Document::json).collect()),
        (None, None) => None,
    };
    let must = properties(object).iter().take_while(|(name, _)| names.contains(&name.as_str())).take(LEADING);
    must.map(|(name, schema)| (name.as_str(), values(schema))).collect()
}

/// Up to which property two objects can be confused: the number of the one that tells them apart.
fn told_apart(a: &[Lead<'_>], b: &[Lead<'_>]) -> usize {
    let differ = |((a, in_a), (b, in_b)): (&Lead<'_>, &Lead<'_>)| match (in_a, in_b) {
        (Some(in_a), Some(in_b)) if a == b => in_a.iter().all(|value| !in_b.contains(value)),
        _ => a != b,
    };
    a.iter().zip(b).position(differ).unwrap_or(usize::MAX)
}
