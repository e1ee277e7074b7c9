//! Grammars of schemas, matched by a small matcher of the notation, so that the tests need no model.

use super::*;

/// Whether the whole of `text` can be made from `grammar`, by trying everything.
fn matches(grammar: &str, text: &str) -> bool {
    matcher::Grammar::parse(grammar).matches(text)
}

#[test]
fn replies_that_fit_and_others() {
    let table: &[(&str, &[&str], &[&str])] = &[
        (r#"{"type":"object"}"#, &["{}", r#"{"a":[1,{"b":null}]}"#], &["[]", "1", "", r#"{"a":}"#, "{} "]),
        (r#"{"type":"string"}"#, &[r#""""#, r#""a\n\u00e9 é""#], &["a", "\"a", "\"\n\"", r#""\x""#]),
        (r#"{"type":"string","minLength":2,"maxLength":3}"#, &[r#""ab""#, r#""abc""#], &[r#""a""#, r#""abcd""#]),
        (r#"{"type":"integer"}"#, &["0", "-5", "120"], &["01", "-0", "1.5", "--1", "", "1e3"]),
        (r#"{"type":"integer","minimum":0}"#, &["0", "17"], &["-1"]),
        (r#"{"type":"number"}"#, &["0", "-1.5", "2e10", "1.0E-3"], &[".5", "1.", "+1", "NaN"]),
        (r#"{"type":["boolean","null"]}"#, &["true", "null"], &["nil", "1"]),
        (
            r#"{"enum":["a\"b","\\",1,null,[1,2],{"z":1,"a":2}]}"#,
            &[r#""a\"b""#, r#""\\""#, "1", "null", "[1,2]", r#"{"z":1,"a":2}"#],
            &["a", "2"],
        ),
        (r#"{"const":"x"}"#, &[r#""x""#], &[r#""y""#]),
        (r#"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#, &["5", "null"], &["\"5\""]),
        (r#"{"type":"array","items":{"type":"integer"}}"#, &["[]", "[1]", "[1, 2]", "[ 1,2 ]"], &["[1,]", "[,]", "[\"a\"]"]),
        (
            r#"{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3}"#,
            &["[1,2]", "[1,2,3]"],
            &["[]", "[1]", "[1,2,3,4]"],
        ),
        (r#"{"type":"array","items":{"type":"integer"},"maxItems":1}"#, &["[]", "[1]"], &["[1,2]"]),
        (r#"{"type":"array","items":{"type":"integer"},"maxItems":0}"#, &["[]"], &["[1]"]),
        (r#"{"type":"array","prefixItems":[{"type":"integer"},{"type":"null"}]}"#, &["[1,null]"], &["[1]", "[null,1]"]),
        (
            r#"{"type":"object","properties":{"z":{"type":"integer"},"a":{"type":"null"}},"required":["z","a"],"additionalProperties":false}"#,
            &[r#"{"z":1,"a":null}"#, "{ \"z\": 1, \"a\": null }"],
            &[r#"{"a":null,"z":1}"#, r#"{"z":1}"#, "{}", r#"{"z":1,"a":null,"b":1}"#],
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}},"required":["b"]}"#,
            &[r#"{"b":1}"#, r#"{"a":1,"b":1}"#, r#"{"b":1,"c":2}"#, r#"{"a":1,"b":1,"c":2}"#],
            &["{}", r#"{"a":1}"#, r#"{"a":1,"c":2}"#, r#"{,"b":1}"#, r#"{"b":1,}"#],
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}"#,
            &["{}", r#"{"a":1}"#, r#"{"b":1}"#, r#"{"a":1,"b":1}"#],
            &[r#"{"b":1,"a":1}"#, r#"{"a":1,}"#],
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"null"}}"#,
            &["{}", r#"{"a":1}"#, r#"{"x":null}"#, r#"{"a":1,"x":null,"y":null}"#],
            &[r#"{"x":1}"#, r#"{"a":1,"x":1}"#],
        ),
        (
            r##"{"$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["next"]}},"$ref":"#/$defs/node"}"##,
            &[r#"{"next":null}"#, r#"{"next":{"next":null}}"#],
            &["null", r#"{"next":{}}"#],
        ),
        (r#"{"type":"string","enum":["a",1,null]}"#, &[r#""a""#], &["1", "null"]),
        (r#"{"type":["integer","null"],"enum":["a",1,1.5,2.0,null]}"#, &["1", "2.0", "null"], &["1.5", r#""a""#]),
        (
            r##"{"$defs":{"a":{"type":"array","items":{"type":"null"}}},"type":"array","oneOf":[{"$ref":"#/$defs/a"},{"type":"array","maxItems":0}]}"##,
            &["[null]", "[]"],
            &["[1]", "null"],
        ),
        (r#"{"title":"x","description":"y"}"#, &["1", "{}", "null"], &["x"]),
    ];
    for (schema, good, bad) in table {
        let grammar = grammar(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        good.iter().for_each(|text| assert!(matches(&grammar, text), "{schema} should allow {text}\n{grammar}"));
        bad.iter().for_each(|text| assert!(!matches(&grammar, text), "{schema} should refuse {text}\n{grammar}"));
    }
    assert!(matches(&object(), r#"{"a":{"b":[]}}"#) && !matches(&object(), "[]"));
}

#[test]
fn what_cant_be_promised_is_refused() {
    let deep = format!("{}{}", r#"{"type":"array","items":"#.repeat(70), "{}").to_owned() + &"}".repeat(70);
    let wide = format!(r#"{{"enum":[{}1]}}"#, "\"some text that is long enough\",".repeat(5000));
    let table: &[(&str, SchemaError)] = &[
        ("", SchemaError::Json),
        ("{", SchemaError::Json),
        (r#"{"type":"string","type":"null"}"#, SchemaError::Json),
        ("1", SchemaError::Malformed),
        ("false", SchemaError::Empty),
        (r#"{"type":"strin"}"#, SchemaError::Malformed),
        (r#"{"type":7}"#, SchemaError::Malformed),
        (r#"{"type":"string","pattern":"a+"}"#, SchemaError::Unsupported),
        (r#"{"type":"integer","maximum":5}"#, SchemaError::Unsupported),
        (r#"{"type":"integer","minimum":3}"#, SchemaError::Unsupported),
        (r#"{"not":{}}"#, SchemaError::Unsupported),
        (r#"{"type":"object","patternProperties":{}}"#, SchemaError::Unsupported),
        (r#"{"allOf":[{},{}]}"#, SchemaError::Unsupported),
        (r#"{"anyOf":[]}"#, SchemaError::Empty),
        (r#"{"type":"string","anyOf":[{"type":"integer"},{"type":"string"}]}"#, SchemaError::Unsupported),
        (r#"{"type":"string","const":1}"#, SchemaError::Empty),
        (r#"{"enum":[]}"#, SchemaError::Empty),
        (r#"{"type":"array","minItems":3,"maxItems":2}"#, SchemaError::Empty),
        (r#"{"type":"array","maxItems":1000000}"#, SchemaError::Large),
        (r#"{"type":"array","minItems":-1}"#, SchemaError::Malformed),
        (r#"{"type":"object","required":["a"]}"#, SchemaError::Unsupported),
        (r##"{"$ref":"#/$defs/none"}"##, SchemaError::Reference),
        (r##"{"$ref":"https://example.com/x"}"##, SchemaError::Reference),
        (r##"{"$ref":"#"}"##, SchemaError::Reference),
        (r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##, SchemaError::Reference),
        (&deep, SchemaError::Large),
        (&wide, SchemaError::Large),
    ];
    for (schema, expected) in table {
        assert_eq!(grammar(schema).map(drop), Err(*expected), "{}", schema.chars().take(80).collect::<String>());
    }
}

/// With the first, thirty characters of a reply kept the smallest model busy for as long as anybody waited.
#[test]
fn what_can_be_read_in_too_many_ways_is_refused() {
    let of = |x: &str| format!(r##"{{"$defs":{{"x":{x}}},"$ref":"#/$defs/x"}}"##);
    let x = r##"{"$ref":"#/$defs/x"}"##;
    let object = |first: &str, required: &str| {
        format!(r#"{{"type":"object","properties":{{{first}"next":{x}}},"required":[{required}],"additionalProperties":false}}"#)
    };
    let list = |more: &str| format!(r#"{{"type":"array","items":{x}{more}}}"#);
    let either = |a: &str, b: &str| format!(r#"{{"anyOf":[{a},{b}]}}"#);
    let inner = |levels: usize| {
        (0..levels).fold(r#"{"type":"null"}"#.to_owned(), |inside, _| {
            let list = |more: &str| format!(r#"{{"type":"array","items":{inside}{more}}}"#);
            either(&list(""), &list(r#","maxItems":3"#))
        })
    };
    let names = |count: usize| (0..count).map(|n| format!("\"n{n}\"")).collect::<Vec<_>>().join(",");
    let texts = |count: usize| {
        let texts = (0..count).map(|n| format!(r#""n{n}":{{"type":"string","maxLength":512}}"#)).collect::<Vec<_>>().join(",");
        format!(r#"{{"type":"object","properties":{{{texts}}},"required":[{}]}}"#, names(count))
    };
    let (kind_a, kind_b) = (r#""kind":{"const":"a"},"#, r#""kind":{"enum":["b","c"]},"#);
    let refused = [
        of(&either(&list(""), &list(r#","maxItems":3"#))),
        of(&either(&list(""), &format!(r#"{{"type":"array","items":{x},"minItems":1}}"#))),
        of(&format!(r#"{{"anyOf":[{x},{}]}}"#, list(""))),
        of(&either(&object("", r#""next""#), &object("", ""))),
        of(&either(&object(kind_a, r#""next""#), &object(kind_b, r#""next""#))),
        of(&either(&object(kind_a, r#""kind""#), &object(r#""kind":{"type":"string"},"#, r#""kind""#))),
        of(&format!(r#"{{"type":"object","properties":{{"next":{x}}},"additionalProperties":{x}}}"#)),
        inner(11),
        format!(r#"{{"enum":[{}]}}"#, names(2000)),
        texts(200),
    ];
    for schema in &refused {
        assert_eq!(grammar(schema).map(drop), Err(SchemaError::Large), "{schema}");
    }
    let fine = [
        of(&either(&list(""), r#"{"type":["null","string"]}"#)),
        of(&either(&list(""), &object("", ""))),
        of(&either(&object(kind_a, r#""kind","next""#), &object(kind_b, r#""kind""#))),
        of(&either(&object("", r#""next""#), r#"{"type":"object","properties":{"value":{}},"required":["value"]}"#)),
        of(&format!(r#"{{"type":"object","properties":{{"children":{}}}}}"#, list(""))),
        of(&format!(r#"{{"type":"object","additionalProperties":{x}}}"#)),
        inner(8),
        format!(r#"{{"enum":[{}]}}"#, names(1000)),
        texts(100),
    ];
    for schema in &fine {
        assert!(grammar(schema).is_ok(), "{schema}");
    }
}

/// The counting itself ends soon, whatever it is given.
#[test]
fn counting_ways_takes_no_time() {
    let tangled = |kinds: usize, each: usize| {
        let each = |n: usize| {
            (1..=each).map(|step| format!(r##"{{"$ref":"#/$defs/k{}"}}"##, (n * 7 + step) % kinds)).collect::<Vec<_>>()
        };
        let kind = |n: usize| {
            format!(
                r#""k{n}":{{"type":"object","properties":{{"p{n}":{{"anyOf":[{}]}}}},"required":["p{n}"]}}"#,
                each(n).join(",")
            )
        };
        format!(r##"{{"$defs":{{{}}},"$ref":"#/$defs/k0"}}"##, (0..kinds).map(kind).collect::<Vec<_>>().join(","))
    };
    let begun = std::time::Instant::now();
    for (kinds, each) in [(2, 2), (30, 20), (40, 30), (20, 100), (200, 8)] {
        let schema = tangled(kinds, each);
        assert!(schema.len() < 64 * 1024);
        let _ = grammar(&schema);
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn damaged_schemas_do_no_harm() {
    let schema = r##"{"$defs":{"a":{"type":["string","null"],"minLength":2}},"type":"object","properties":{"x":{"$ref":"#/$defs/a"},
        "y":{"type":"array","items":{"enum":[1,"b",{"c":[]}]},"minItems":1,"maxItems":9}},"required":["x"],"additionalProperties":false}"##;
    assert!(grammar(schema).is_ok());
    let mut usable = 0;
    for at in 0..schema.len() {
        for with in [&b""[..], b"0", b"9", b"\"", b"}", b"{", b"[", b"\\u0000", b"-", b"#"] {
            let damaged = [&schema.as_bytes()[..at], with, &schema.as_bytes()[at + 1..]].concat();
            let Ok(damaged) = std::str::from_utf8(&damaged) else { continue };
            if let Ok(grammar) = grammar(damaged) {
                assert!(grammar.len() < 200 * 1024);
                // Every rule that is named is there, or the matcher's reading or matching panics.
                matches(&grammar, r#"{"x":"abc","y":[1]}"#);
                usable += 1;
            }
        }
    }
    assert!(usable > 100, "{usable}");
}

mod matcher {
    //! The notation, as far as the grammars here use it.

    use std::collections::{BTreeMap, BTreeSet};

    pub(super) enum Part {
        Text(Vec<char>),
        /// Characters, and whether all others are meant.
        Class(Vec<(char, char)>, bool),
        Rule(String),
        Either(Vec<Vec<Part>>),
        Repeat(Box<Part>, usize, usize),
    }

    pub(super) struct Grammar(BTreeMap<String, Vec<Vec<Part>>>);

    impl Grammar {
        pub(super) fn parse(text: &str) -> Grammar {
            let rule = |line: &str| {
                let (name, body) = line.split_once(" ::= ").unwrap_or_else(|| panic!("no rule: {line}"));
                let mut parser = Parser { rest: body.chars().collect(), at: 0 };
                let alternatives = parser.alternatives();
                assert_eq!(parser.at, parser.rest.len(), "the end of {line}");
                (name.to_owned(), alternatives)
            };
            Grammar(text.lines().map(rule).collect())
        }

        pub(super) fn matches(&self, text: &str) -> bool {
            let text: Vec<char> = text.chars().collect();
            self.either(&self.0["root"], &text, &BTreeSet::from([0])).contains(&text.len())
        }

        /// Where a match may end that begins at one of `starts`.
        fn either(&self, alternatives: &[Vec<Part>], text: &[char], starts: &BTreeSet<usize>) -> BTreeSet<usize> {
            if starts.is_empty() {
                return BTreeSet::new();
            }
            let ends = |parts: &Vec<Part>| parts.iter().fold(starts.clone(), |at, part| self.part(part, text, &at));
            alternatives.iter().flat_map(ends).collect()
        }

        fn part(&self, part: &Part, text: &[char], starts: &BTreeSet<usize>) -> BTreeSet<usize> {
            match part {
                Part::Text(wanted) => {
                    starts.iter().filter(|at| text[**at..].starts_with(wanted)).map(|at| at + wanted.len()).collect()
                }
                Part::Class(ranges, others) => {
                    let fits = |c: &char| ranges.iter().any(|(low, high)| low <= c && c <= high) != *others;
                    starts.iter().filter(|at| text.get(**at).is_some_and(fits)).map(|at| at + 1).collect()
                }
                Part::Rule(name) => self.either(self.0.get(name).unwrap_or_else(|| panic!("no rule {name}")), text, starts),
                Part::Either(alternatives) => self.either(alternatives, text, starts),
                Part::Repeat(part, least, most) => {
                    let mut all = if *least == 0 { starts.clone() } else { BTreeSet::new() };
                    let mut at = starts.clone();
                    for count in 1..=*most {
                        let next: BTreeSet<usize> = self.part(part, text, &at);
                        at = if count > *least { next.difference(&all).copied().collect() } else { next };
                        if at.is_empty() {
                            break;
                        }
                        if count >= *least {
                            all.extend(&at);
                        }
                    }
                    all
                }
            }
        }
    }

    struct Parser {
        rest: Vec<char>,
        at: usize,
    }

    impl Parser {
        fn peek(&self) -> Option<char> {
            self.rest.get(self.at).copied()
        }

        fn next(&mut self) -> char {
            self.at += 1;
            self.rest[self.at - 1]
        }

        fn alternatives(&mut self) -> Vec<Vec<Part>> {
            let mut all = vec![Vec::new()];
            loop {
                match self.peek() {
                    None | Some(')') => return all,
                    Some(' ') => self.at += 1,
                    Some('|') => {
                        self.at += 1;
                        all.push(Vec::new());
                    }
                    Some(_) => {
                        let part = self.repeated();
                        all.last_mut().unwrap().push(part);
                    }
                }
            }
        }

        fn repeated(&mut self) -> Part {
            let part = self.single();
            let (least, most) = match self.peek() {
                Some('*') => (0, usize::MAX),
                Some('+') => (1, usize::MAX),
                Some('?') => (0, 1),
                Some('{') => {
                    let end = self.at + self.rest[self.at..].iter().position(|c| *c == '}').unwrap();
                    let text: String = self.rest[self.at + 1..end].iter().collect();
                    self.at = end;
                    let (least, most) = text.split_once(',').unwrap_or((&text, &text));
                    (least.parse().unwrap(), if most.is_empty() { usize::MAX } else { most.parse().unwrap() })
                }
                _ => return part,
            };
            self.at += 1;
            Part::Repeat(Box::new(part), least, most)
        }

        fn single(&mut self) -> Part {
            match self.next() {
                '"' => {
                    let mut text = Vec::new();
                    while self.peek() != Some('"') {
                        text.push(self.character());
                    }
                    self.at += 1;
                    Part::Text(text)
                }
                '[' => {
                    let others = self.peek() == Some('^');
                    self.at += usize::from(others);
                    let mut ranges = Vec::new();
                    while self.peek() != Some(']') {
                        let low = self.character();
                        let range = self.peek() == Some('-') && self.rest[self.at + 1] != ']';
                        self.at += usize::from(range);
                        ranges.push((low, if range { self.character() } else { low }));
                    }
                    self.at += 1;
                    Part::Class(ranges, others)
                }
                '(' => {
                    let alternatives = self.alternatives();
                    assert_eq!(self.next(), ')');
                    Part::Either(alternatives)
                }
                first => {
                    let mut name = String::from(first);
                    while let Some(c) = self.peek().filter(char::is_ascii_alphanumeric) {
                        name.push(c);
                        self.at += 1;
                    }
                    Part::Rule(name)
                }
            }
        }

        fn character(&mut self) -> char {
            match self.next() {
                '\\' => match self.next() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'x' => {
                        let digits: String = [self.next(), self.next()].iter().collect();
                        char::from(u8::from_str_radix(&digits, 16).unwrap())
                    }
                    other => other,
                },
                other => other,
            }
        }
    }
}
