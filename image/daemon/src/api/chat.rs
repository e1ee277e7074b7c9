//! `/v1/chat/completions`: its request.

use sealstone_protocol::{Role, Turn, limits};
use serde_json::{Value, json};

use super::error::ApiError;
use super::fields::{Fields, wrong};
use super::generate::Asked;

/// A request.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) asked: Asked,
    pub(super) turns: Vec<Turn>,
    pub(super) logprobs: Option<u32>,
}

impl Chat {
    pub(super) fn parse(body: &[u8]) -> Result<Chat, ApiError> {
        let mut fields = Fields::parse(body)?;
        let asked = Asked::take(&mut fields, body)?;
        let items = fields.list("messages")?;
        let turns = turns(fields.required("messages", items)?)?;
        let logprobs = logprobs(&mut fields)?;
        // What these would ask for isn't here; clients send them empty.
        fields.only("tools", &[json!([])])?;
        fields.only("functions", &[json!([])])?;
        fields.only("tool_choice", &[json!("none"), json!("auto")])?;
        fields.only("function_call", &[json!("none"), json!("auto")])?;
        fields.only("modalities", &[json!(["text"])])?;
        fields.ignore(&["parallel_tool_calls"]);
        fields.end()?;
        Ok(Chat { asked, turns, logprobs })
    }
}

fn logprobs(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.count("top_logprobs", 0..=limits::ALTERNATIVES)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(ApiError::field("top_logprobs", "invalid_value", "top_logprobs is only for logprobs")),
    }
}

fn turns(items: Vec<Value>) -> Result<Vec<Turn>, ApiError> {
    if items.is_empty() || items.len() > limits::TURNS {
        return Err(wrong("messages", &format!("a list of 1 to {} messages", limits::TURNS)));
    }
    items.into_iter().enumerate().map(|(index, item)| turn(item, &format!("messages[{index}]"))).collect()
}

fn turn(item: Value, place: &str) -> Result<Turn, ApiError> {
    let mut fields = Fields::nested(item, place)?;
    let role = fields.text("role")?;
    let role = match fields.required("role", role)?.as_str() {
        // What OpenAI calls the system's messages since its models reason; templates only know the older name.
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(wrong(&fields.name("role"), "system, developer, user or assistant")),
    };
    let name = fields.text("name")?;
    if name.as_ref().is_some_and(|name| name.len() > limits::NAME_BYTES) {
        return Err(wrong(&fields.name("name"), &format!("a string of at most {} bytes", limits::NAME_BYTES)));
    }
    let place = fields.name("content");
    let content = fields.any("content");
    let content = content_text(fields.required("content", content)?, &place)?;
    // An answer that is sent back holds these, empty.
    for empty in ["refusal", "annotations", "tool_calls", "audio", "function_call"] {
        fields.only(empty, &[json!([]), json!("")])?;
    }
    // What OpenAI's clients themselves made of the content.
    fields.ignore(&["parsed"]);
    fields.end()?;
    Ok(Turn { role, name, content })
}

/// Text, or a list of parts that are text.
fn content_text(content: Value, place: &str) -> Result<String, ApiError> {
    match content {
        Value::String(text) => Ok(text),
        Value::Array(parts) => parts.into_iter().enumerate().map(|(n, part)| part_text(part, &format!("{place}[{n}]"))).collect(),
        _ => Err(wrong(place, "a string or a list of text parts")),
    }
}

fn part_text(part: Value, place: &str) -> Result<String, ApiError> {
    let mut fields = Fields::nested(part, place)?;
    let kind = fields.text("type")?;
    if fields.required("type", kind)? != "text" {
        return Err(ApiError::field(fields.name("type"), "unsupported_content", "only text can be read"));
    }
    let text = fields.text("text")?;
    let text = fields.required("text", text)?;
    fields.end()?;
    Ok(text)
}
