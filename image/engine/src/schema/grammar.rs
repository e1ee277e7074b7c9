//! Schemas as rules.

use std::collections::BTreeMap;

use super::SchemaError;
use super::document::Document;

/// The longest grammar, in bytes. llama.cpp keeps it parsed, per request.
const BYTES: usize = 128 * 1024;
/// The most rules.
const RULES: usize = 4096;
/// The largest count in a repetition. llama.cpp writes each out as rules of its own.
const REPETITIONS: u64 = 512;
/// All counts of a grammar together: tenths of a second to make those rules, in which nobody is answered.
const REPEATED: u64 = 64 * 1024;
/// How deep schemas may be nested without a reference.
pub(super) const DEPTH: usize = 64;
/// References that may lead to references, in a row.
const CHAIN: usize = 16;

/// Rules that every grammar may use. White space is at most one space: it costs tokens, and a model can get lost in it.
const COMMON: &str = r#"ws ::= " "?
char ::= [^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt/] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
integer ::= natural | "-" [1-9] [0-9]{0,15}
natural ::= "0" | [1-9] [0-9]{0,15}
number ::= "-"? natural ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* ws )? "}"
array ::= "[" ws ( value ("," ws value)* ws )? "]"
"#;

pub(crate) fn any_object() -> String {
    format!("root ::= object\n{COMMON}")
}

pub(crate) fn write(document: &Document) -> Result<String, SchemaError> {
    let mut writer = Writer { document, rules: Vec::new(), bytes: 0, references: BTreeMap::new(), merges: 0, repeated: 0 };
    let root = writer.schema(document, 0)?;
    let mut text = format!("root ::= {root}\n{COMMON}");
    for (name, body) in &writer.rules {
        text.push_str(&format!("{name} ::= {body}\n"));
    }
    Ok(text)
}

struct Writer<'a> {
    document: &'a Document,
    rules: Vec<(String, String)>,
    bytes: usize,
    /// Rules of references that were followed, or are being followed: this is how a schema may hold itself.
    references: BTreeMap<String, String>,
    /// References that led to nothing but another one, in a row.
    merges: usize,
    /// The counts of all repetitions.
    repeated: u64,
}

/// Keywords that restrict nothing.
const DESCRIPTIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentMediaType",
    "contentEncoding",
    "strict",
    "discriminator",
];

impl<'a> Writer<'a> {
    fn rule(&mut self, body: String) -> Result<String, SchemaError> {
        let name = format!("r{}", self.rules.len());
        self.add(name, body)
    }

    fn add(&mut self, name: String, body: String) -> Result<String, SchemaError> {
        self.bytes = self.bytes.saturating_add(name.len()).saturating_add(body.len()).saturating_add(6);
        self.rules.push((name.clone(), body));
        if self.bytes > BYTES || self.rules.len() > RULES { Err(SchemaError::Large) } else { Ok(name) }
    }

    /// An expression for a schema: the name of a rule, or a group.
    fn schema(&mut self, schema: &'a Document, depth: usize) -> Result<String, SchemaError> {
        let deeper = depth.saturating_add(1);
        if deeper > DEPTH {
            return Err(SchemaError::Large);
        }
        let properties = match schema {
            Document::Flag(true) => return Ok("value".into()),
            Document::Flag(false) => return Err(SchemaError::Empty),
            Document::Object(properties) => properties,
            _ => return Err(SchemaError::Malformed),
        };
        let restricting: Vec<&str> =
            properties.iter().map(|(name, _)| name.as_str()).filter(|name| !DESCRIPTIONS.contains(name)).collect();
        let only = |known: &[&str]| {
            if restricting.iter().all(|name| known.contains(name)) { Ok(()) } else { Err(SchemaError::Unsupported) }
        };
        if let Some(reference) = schema.property("$ref") {
            only(&["$ref"])?;
            return self.reference(reference.text().ok_or(SchemaError::Malformed)?, deeper);
        }
        if let Some(constant) = schema.property("const") {
            only(&["const", "type"])?;
            return self.choice(std::slice::from_ref(constant), schema.property("type"));
        }
        if let Some(choices) = schema.property("enum") {
            only(&["enum", "type"])?;
            return self.choice(choices.list().ok_or(SchemaError::Malformed)?, schema.property("type"));
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            let Some(list) = schema.property(several) else { continue };
            only(&[several, "type"])?;
            let list = list.list().ok_or(SchemaError::Malformed)?;
            if several == "allOf" && list.len() != 1 {
                return Err(SchemaError::Unsupported);
            }
            // A type beside them holds as well: it is, if it is each one's own.
            let target =
                |one: &'a Document| one.property("$ref").and_then(Document::text).and_then(|path| resolve(self.document, path));
            let has = |kind| list.iter().all(|one| target(one).unwrap_or(one).property("type") == Some(kind));
            if schema.property("type").is_some_and(|kind| !has(kind)) {
                return Err(SchemaError::Unsupported);
            }
            return self.either(list, deeper);
        }
        match schema.property("type") {
            Some(Document::List(kinds)) => {
                let mut bodies = Vec::new();
                for kind in kinds {
                    bodies.push(self.kind(kind.text().ok_or(SchemaError::Malformed)?, schema, &restricting, deeper)?);
                }
                self.any(bodies)
            }
            Some(kind) => self.kind(kind.text().ok_or(SchemaError::Malformed)?, schema, &restricting, deeper),
            None if schema.property("properties").is_some() => self.kind("object", schema, &restricting, deeper),
            None if schema.property("items").is_some() => self.kind("array", schema, &restricting, deeper),
            None if restricting.is_empty() => Ok("value".into()),
            None => Err(SchemaError::Unsupported),
        }
    }

    /// A schema of one type. Keywords of other types restrict nothing here, but all must be known.
    fn kind(&mut self, kind: &str, schema: &'a Document, restricting: &[&str], depth: usize) -> Result<String, SchemaError> {
        const KNOWN: &[&str] = &[
            "type",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "prefixItems",
            "minItems",
            "maxItems",
            "minLength",
            "maxLength",
            "minimum",
        ];
        if restricting.iter().any(|name| !KNOWN.contains(name)) {
            return Err(SchemaError::Unsupported);
        }
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => match self.repetition(schema, "minLength", "maxLength")? {
                None => Ok("string".into()),
                Some(count) => self.rule(format!(r#""\"" char{count} "\"""#)),
            },
            // Of ranges, only "not negative" is easily said by a grammar.
            "integer" | "number" => match (schema.property("minimum"), kind) {
                (None, kind) => Ok(kind.into()),
                (Some(Document::Number(n)), "integer") if n.as_u64() == Some(0) => Ok("natural".into()),
                (Some(Document::Number(_)), _) => Err(SchemaError::Unsupported),
                (Some(_), _) => Err(SchemaError::Malformed),
            },
            "boolean" | "null" => Ok(kind.into()),
            _ => Err(SchemaError::Malformed),
        }
    }

    fn reference(&mut self, path: &str, depth: usize) -> Result<String, SchemaError> {
        if let Some(rule) = self.references.get(path) {
            return Ok(rule.clone());
        }
        let target = resolve(self.document, path).ok_or(SchemaError::Reference)?;
        // A reference to a reference to itself would be a rule that is nothing but itself.
        if target.property("$ref").is_some() {
            self.merges = self.merges.saturating_add(1);
            if self.merges > CHAIN {
                return Err(SchemaError::Reference);
            }
            return self.schema(target, depth);
        }
        self.merges = 0;
        let rule = format!("ref{}", self.references.len());
        self.references.insert(path.to_owned(), rule.clone());
        let body = self.schema(target, depth)?;
        self.add(rule, body)
    }

    fn either(&mut self, list: &'a [Document], depth: usize) -> Result<String, SchemaError> {
        let mut bodies = Vec::new();
        for schema in list {
            bodies.push(self.schema(schema, depth)?);
        }
        self.any(bodies)
    }

    fn any(&mut self, bodies: Vec<String>) -> Result<String, SchemaError> {
        if bodies.is_empty() { Err(SchemaError::Empty) } else { self.rule(bodies.join(" | ")) }
    }

    /// Of the values those that are of the type, if one stands beside them.
    fn choice(&mut self, values: &[Document], kind: Option<&Document>) -> Result<String, SchemaError> {
        let fits = |value: &&Document| match kind {
            None => true,
            Some(Document::List(kinds)) => kinds.iter().filter_map(Document::text).any(|kind| value.is(kind)),
            Some(kind) => kind.text().is_some_and(|kind| value.is(kind)),
        };
        self.any(values.iter().filter(fits).map(|value| literal(&value.json())).collect())
    }

    /// The properties in order; one that isn't required may be left out, with its comma. What may follow when something
    /// stands before (`rest`), and what when nothing does (`start`), is written from the end.
    fn object(&mut self, schema: &'a Document, depth: usize) -> Result<String, SchemaError> {
        let properties = match schema.property("properties") {
            None => &[][..],
            Some(Document::Object(properties)) => properties,
            Some(_) => return Err(SchemaError::Malformed),
        };
        let required = required(schema)?;
        if required.iter().any(|name| !properties.iter().any(|(known, _)| known == name)) {
            return Err(SchemaError::Unsupported);
        }
        let more = match (schema.property("additionalProperties"), properties.is_empty()) {
            (Some(Document::Flag(false)), _) | (None, false) => None,
            (None, true) => Some("value".to_owned()),
            (Some(schema), _) => Some(self.schema(schema, depth)?),
        };
        let (mut start, mut rest) = match more {
            None => (String::new(), String::new()),
            Some(value) => {
                let pair = self.rule(format!(r#"string ":" ws {value}"#))?;
                (self.rule(format!(r#"( {pair} ("," ws {pair})* )?"#))?, self.rule(format!(r#"("," ws {pair})*"#))?)
            }
        };
        for (name, property) in properties.iter().rev() {
            let value = self.schema(property, depth)?;
            let pair = self.rule(format!(r#"{} ":" ws {value}"#, literal(&Document::Text(name.clone()).json())))?;
            let (first, later) = (format!("{pair} {rest}"), format!(r#""," ws {pair} {rest}"#));
            (start, rest) = match required.contains(&name.as_str()) {
                true => (self.rule(first)?, self.rule(later)?),
                false => {
                    let without = if start.is_empty() { String::new() } else { start };
                    let skipped = if rest.is_empty() { String::new() } else { rest };
                    (self.rule(format!("{first} | {without}"))?, self.rule(format!("{later} | {skipped}"))?)
                }
            };
        }
        self.rule(format!(r#""{{" ws {start} ws "}}""#))
    }

    fn array(&mut self, schema: &'a Document, depth: usize) -> Result<String, SchemaError> {
        if let Some(first) = schema.property("prefixItems") {
            let closed = matches!(schema.property("items"), None | Some(Document::Flag(false)));
            if !closed || schema.property("minItems").or(schema.property("maxItems")).is_some() {
                return Err(SchemaError::Unsupported);
            }
            let mut bodies = Vec::new();
            for item in first.list().ok_or(SchemaError::Malformed)? {
                bodies.push(self.schema(item, depth)?);
            }
            return self.rule(format!(r#""[" ws {} ws "]""#, bodies.join(r#" "," ws "#)));
        }
        let item = match schema.property("items") {
            None => "value".to_owned(),
            Some(items) => self.schema(items, depth)?,
        };
        let (least, most) = self.bounds(schema, "minItems", "maxItems")?;
        let body = match (least, most) {
            (_, Some(0)) => return self.rule(r#""[" ws "]""#.into()),
            (least, None) if least <= 1 => format!(r#"{item} ("," ws {item})*"#),
            (least, most) => {
                let most = most.map_or(String::new(), |most| most.saturating_sub(1).to_string());
                format!(r#"{item} ("," ws {item}){{{},{most}}}"#, least.saturating_sub(1))
            }
        };
        match least {
            0 => self.rule(format!(r#""[" ws ( {body} ws )? "]""#)),
            _ => self.rule(format!(r#""[" ws {body} ws "]""#)),
        }
    }

    /// A repetition as the grammar writes it; `None` when nothing is asked.
    fn repetition(&mut self, schema: &Document, least: &str, most: &str) -> Result<Option<String>, SchemaError> {
        if schema.property(least).or(schema.property(most)).is_none() {
            return Ok(None);
        }
        let (least, most) = self.bounds(schema, least, most)?;
        Ok(Some(format!("{{{least},{}}}", most.map_or(String::new(), |most| most.to_string()))))
    }

    fn bounds(&mut self, schema: &Document, least: &str, most: &str) -> Result<(u64, Option<u64>), SchemaError> {
        let count = |name: &str| match schema.property(name) {
            None => Ok(None),
            Some(Document::Number(number)) => match number.as_u64() {
                Some(count) if count <= REPETITIONS => Ok(Some(count)),
                Some(_) => Err(SchemaError::Large),
                None => Err(SchemaError::Malformed),
            },
            Some(_) => Err(SchemaError::Malformed),
        };
        let (least, most) = (count(least)?.unwrap_or(0), count(most)?);
        if most.is_some_and(|most| most < least) {
            return Err(SchemaError::Empty);
        }
        self.repeated = self.repeated.saturating_add(most.unwrap_or(least));
        if self.repeated > REPEATED { Err(SchemaError::Large) } else { Ok((least, most)) }
    }
}

pub(super) fn required(schema: &Document) -> Result<Vec<&str>, SchemaError> {
    match schema.property("required") {
        None => Ok(Vec::new()),
        Some(Document::List(names)) => names.iter().map(|name| name.text().ok_or(SchemaError::Malformed)).collect(),
        Some(_) => Err(SchemaError::Malformed),
    }
}

/// What `#/a/b` points to (RFC 6901, without the parts that need a list).
pub(super) fn resolve<'a>(document: &'a Document, path: &str) -> Option<&'a Document> {
    let path = path.strip_prefix('#')?;
    path.split('/').skip(1).try_fold(document, |at, part| at.property(&part.replace("~1", "/").replace("~0", "~")))
}

/// Text as a literal of the grammar.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}
