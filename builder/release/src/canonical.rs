//! The canonical form of JSON documents: RFC 8785 (JCS), for documents whose numbers are integers.
//!
//! Two documents are the same if and only if their canonical forms are, so that is what is hashed and signed. Reading is
//! strict where JSON itself is lax: a key that stands twice means different things to different parsers, and a fraction
//! has more than one spelling; both are refused.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The largest integer that every JSON parser keeps exact (RFC 8785, section 3.2.2.3; RFC 7493, section 2.2).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Reads one JSON document.
///
/// # Errors
/// What `serde_json` refuses, and keys that stand twice, fractions, and integers beyond [`MAX_INTEGER`].
pub fn read(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Strict>(text).map(|strict| strict.0)
}

/// The canonical form: keys sorted, no white space between tokens, the shortest escapes.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    put(&mut out, value);
    out
}

fn put(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                put(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            // UTF-16 code units, RFC 8785, section 3.2.3.
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                put(out, &Value::String(key.clone()));
                out.push(':');
                put(out, member);
            }
            out.push('}');
        }
        // `serde_json` writes strings and integers the way RFC 8785 asks for.
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// A value that was read strictly.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without fractions")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        match value {
            0..=MAX_INTEGER => Ok(Value::Number(Number::from(value))),
            _ => Err(E::custom(format!("integer {value} is beyond {MAX_INTEGER}, which not every JSON parser keeps exact"))),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        match value.unsigned_abs() {
            0..=MAX_INTEGER => Ok(Value::Number(Number::from(value))),
            _ => Err(E::custom(format!("integer {value} is below -{MAX_INTEGER}, which not every JSON parser keeps exact"))),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} stands twice in one object")));
            }
            let Strict(member) = members.next_value()?;
            map.insert(key, member);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers() {
        // Sorting and escapes of RFC 8785, section 3.2.3 (its example's members, without the number).
        let given =
            "{\"\\u20ac\": 1, \"\\r\": 2, \"\\ufb33\": 3, \"1\": 4, \"\\ud83d\\ude00\": 5, \"\\u0080\": 6, \"\\u00f6\": 7}";
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(write(&read(given).unwrap()), expected);
        // Section 3.2.2.2: the two-letter escapes, lower-case \u00xx, and everything else as it is.
        let given = r#"["\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"]"#;
        assert_eq!(write(&read(given).unwrap()), "[\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"]");
    }

    #[test]
    fn refused() {
        for (text, says) in [
            (r#"{"a": 1, "a": 1}"#, "stands twice"),
            (r#"{"o": [{"a": 1, "b": 2, "\u0061": 3}]}"#, "stands twice"),
            ("[1.5]", "without fractions"),
            ("[1e2]", "without fractions"),
            ("[9007199254740992]", "beyond"),
            ("[-9007199254740992]", "below"),
            ("{} {}", "trailing"),
            ("[1,]", "trailing comma"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (0..=MAX_INTEGER).prop_map(Value::from),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn reading_gives_the_value_back_whatever_the_spacing(value in json()) {
            let canonical = write(&value);
            prop_assert_eq!(&read(&canonical).unwrap(), &value);
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(write(&read(&pretty).unwrap()), canonical);
        }

        #[test]
        fn the_order_of_members_does_not_matter(members in prop::collection::btree_map("[ -~]{0,6}", 0u32.., 0..8)) {
            let text = |list: Vec<(&String, &u32)>| {
                let list: Vec<String> = list.into_iter().map(|(k, v)| format!("{}: {v}", Value::from(k.as_str()))).collect();
                format!("{{{}}}", list.join(" ,\n"))
            };
            let forward = read(&text(members.iter().collect())).unwrap();
            let backward = read(&text(members.iter().rev().collect())).unwrap();
            prop_assert_eq!(write(&forward), write(&backward));
        }
    }
}
