//! JSON with the order of its members. serde_json's own value sorts them, and its feature for a value's own text would change how
//! all other JSON of the program is read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A JSON value. A name that comes twice stays there twice.
pub(super) enum Ordered {
    /// Neither a list nor an object.
    Scalar(Value),
    List(Vec<Ordered>),
    Object(Vec<(String, Ordered)>),
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ordered::Scalar(value) => value.serialize(serializer),
            Ordered::List(items) => serializer.collect_seq(items),
            Ordered::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(Value::Null))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(flag.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Ordered::Object(members))
    }
}
