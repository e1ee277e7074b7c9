//! JSON with the order of its properties, which replies are to keep.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value. Numbers stand as they are written again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    Null,
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Document>),
    /// In order; a name that comes twice is refused.
    Object(Vec<(String, Document)>),
}

impl Document {
    pub(crate) fn property(&self, name: &str) -> Option<&Document> {
        match self {
            Document::Object(properties) => properties.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Document::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn list(&self) -> Option<&[Document]> {
        if let Document::List(items) = self { Some(items) } else { None }
    }

    /// Whether a value is of a schema's type.
    pub(crate) fn is(&self, kind: &str) -> bool {
        match self {
            Document::Null => kind == "null",
            Document::Flag(_) => kind == "boolean",
            Document::Number(number) => {
                kind == "number" || (kind == "integer" && number.as_f64().is_some_and(|number| number.fract() == 0.0))
            }
            Document::Text(_) => kind == "string",
            Document::List(_) => kind == "array",
            Document::Object(_) => kind == "object",
        }
    }

    /// Written without white space.
    pub(crate) fn json(&self) -> String {
        match self {
            Document::Null => "null".into(),
            Document::Flag(flag) => flag.to_string(),
            Document::Number(number) => number.to_string(),
            Document::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Document::List(items) => format!("[{}]", items.iter().map(Document::json).collect::<Vec<_>>().join(",")),
            Document::Object(properties) => {
                let pair =
                    |(name, value): &(String, Document)| format!("{}:{}", serde_json::Value::from(name.as_str()), value.json());
                format!("{{{}}}", properties.iter().map(pair).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Document;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Document, E> {
        Ok(Document::Flag(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Document, E> {
        Ok(Document::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Document, E> {
        Ok(Document::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Document, E> {
        serde_json::Number::from_f64(number).map(Document::Number).ok_or_else(|| E::custom("a number"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Document, E> {
        Ok(Document::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Document::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let mut properties = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some((name, value)) = entries.next_entry::<String, Document>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name comes twice"));
            }
            properties.push((name, value));
        }
        Ok(Document::Object(properties))
    }
}
