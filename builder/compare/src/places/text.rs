//! Text and JSON.

use serde_json::Value as Json;

use super::{Leaf, Parts};

/// Longer texts are named by byte ranges.
const SHORT: usize = 200;

/// Both as text, if they are short and printable.
pub(super) fn short(a: &[u8], b: &[u8]) -> Option<(String, String)> {
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= SHORT)?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        line.chars().all(|c| !c.is_control()).then(|| line.to_owned())
    };
    Some((text(a)?, text(b)?)).filter(|(a, b)| a != b)
}

/// Lines of a text. Where they stand is not looked at; if nothing but the order differs, bytes are compared.
pub(super) fn lines(bytes: &[u8]) -> Option<Parts<'_>> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains('\n'))?;
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return None;
    }
    let leaves = text.lines().filter(|line| !line.is_empty()).map(|line| Leaf::text(format!("line `{line}`"), "there")).collect();
    Some(Parts { format: "text", leaves })
}

/// A JSON object's values by their JSON pointers (RFC 6901).
pub(super) fn json(bytes: &[u8]) -> Option<Parts<'_>> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let document: Json = serde_json::from_slice(bytes).ok()?;
    let mut leaves = Vec::new();
    collect(String::new(), &document, &mut leaves);
    Some(Parts { format: "json", leaves })
}

fn collect(at: String, value: &Json, leaves: &mut Vec<Leaf<'_>>) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                collect(format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), member, leaves);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(format!("{at}/{index}"), item, leaves);
            }
        }
        scalar => leaves.push(Leaf::text(format!("JSON {at}"), scalar)),
    }
}
