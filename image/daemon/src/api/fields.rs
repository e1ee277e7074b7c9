//! A request's fields: each is taken out by name and type, and what is left over is unknown.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::ApiError;

/// The fields of a JSON object that haven't been taken. `null` is the same as absent, as clients send it.
pub(super) struct Fields {
    map: Map<String, Value>,
    /// What stands before a field's name in an error: empty, or an object's name with a dot.
    prefix: String,
}

type Taken<T> = Result<Option<T>, ApiError>;

impl Fields {
    /// A body.
    pub(super) fn parse(body: &[u8]) -> Result<Fields, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Fields { map, prefix: String::new() }),
            Ok(_) => Err(ApiError::request("invalid_json", "the body must be a JSON object")),
            Err(_) => Err(ApiError::request("invalid_json", "the body isn't JSON")),
        }
    }

    /// An object inside of one, which is called `name`.
    pub(super) fn nested(value: Value, name: &str) -> Result<Fields, ApiError> {
        match value {
            Value::Object(map) => Ok(Fields { map, prefix: format!("{name}.") }),
            _ => Err(wrong(name, "an object")),
        }
    }

    /// A field's name as an error says it.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn any(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn typed<T>(&mut self, name: &str, what: &str, read: impl FnOnce(Value) -> Option<T>) -> Taken<T> {
        let Some(value) = self.any(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(&self.name(name), what))
    }

    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, ApiError> {
        let name = self.name(name);
        value.ok_or_else(|| ApiError::field(name.clone(), "missing_parameter", format!("{name} is missing")))
    }

    pub(super) fn text(&mut self, name: &str) -> Taken<String> {
        self.typed(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(super) fn flag(&mut self, name: &str) -> Taken<bool> {
        self.typed(name, "true or false", |value| value.as_bool())
    }

    pub(super) fn list(&mut self, name: &str) -> Taken<Vec<Value>> {
        self.typed(name, "a list", |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        })
    }

    pub(super) fn object(&mut self, name: &str) -> Taken<Fields> {
        let full = self.name(name);
        self.any(name).map(|value| Fields::nested(value, &full)).transpose()
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    pub(super) fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Taken<i64> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(name, &what, |value| value.as_i64().filter(|number| range.contains(number)))
    }

    pub(super) fn count(&mut self, name: &str, range: RangeInclusive<u32>) -> Taken<u32> {
        let wide = i64::from(*range.start())..=i64::from(*range.end());
        Ok(self.integer(name, wide)?.and_then(|number| u32::try_from(number).ok()))
    }

    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<f32>) -> Taken<f32> {
        let what = format!("a number from {} to {}", range.start(), range.end());
        self.typed(name, &what, |value| number(&value).filter(|number| range.contains(number)))
    }

    /// A field that is accepted with values that ask for nothing, because clients send them; others are refused.
    pub(super) fn only(&mut self, name: &str, harmless: &[Value]) -> Result<(), ApiError> {
        match self.any(name) {
            Some(value) if !harmless.contains(&value) => {
                let name = self.name(name);
                Err(ApiError::field(name.clone(), "unsupported_parameter", format!("{name} isn't supported with this value")))
            }
            _ => Ok(()),
        }
    }

    /// Fields that clients send and that mean nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.map.remove(*name)));
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), ApiError> {
        match self.map.iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(ApiError::unknown_field(&self.name(name))),
            None => Ok(()),
        }
    }
}

/// A finite number, as the engine computes with it.
pub(super) fn number(value: &Value) -> Option<f32> {
    #[allow(clippy::cast_possible_truncation, reason = "the nearest one is meant")]
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

pub(super) fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::field(name, "invalid_type", format!("{name} must be {what}"))
}

/// A list of tokens, if it is one.
pub(super) fn tokens(items: &[Value]) -> Option<Vec<u32>> {
    items.iter().map(|item| item.as_u64().and_then(|token| u32::try_from(token).ok())).collect()
}
