//! `/v1/completions`: its request. And the forms that a model's input can have, which `/v1/embeddings` shares.

use sealstone_protocol::{Prompt, Segment, limits};
use serde_json::{Value, json};

use super::error::ApiError;
use super::fields::{self, Fields, wrong};
use super::generate::Asked;

/// The most alternatives a token, as OpenAI has it here.
const ALTERNATIVES: u32 = 5;

/// A request.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) asked: Asked,
    pub(super) prompt: Prompt,
    pub(super) logprobs: Option<u32>,
}

impl Completion {
    pub(super) fn parse(body: &[u8]) -> Result<Completion, ApiError> {
        let mut fields = Fields::parse(body)?;
        let asked = Asked::take(&mut fields, body)?;
        let prompt = fields.any("prompt");
        let mut prompts = inputs(fields.required("prompt", prompt)?, "prompt", 1)?;
        let prompt = prompts.pop().ok_or_else(ApiError::internal)?;
        let logprobs = fields.count("logprobs", 0..=ALTERNATIVES)?;
        fields.only("best_of", &[json!(1)])?;
        fields.only("echo", &[json!(false)])?;
        fields.only("suffix", &[json!("")])?;
        fields.end()?;
        Ok(Completion { asked, prompt, logprobs })
    }
}

/// A text, a list of tokens, or a list of either: at most `most` of them, and at least one.
pub(super) fn inputs(value: Value, name: &str, most: usize) -> Result<Vec<Prompt>, ApiError> {
    let prompts = match value {
        Value::String(text) => Some(vec![plain(text)]),
        Value::Array(items) if items.first().is_some_and(Value::is_number) => {
            fields::tokens(&items).map(|t| vec![Prompt::Tokens(t)])
        }
        Value::Array(items) => items.into_iter().map(one).collect(),
        _ => None,
    };
    let prompts = prompts.ok_or_else(|| wrong(name, "a string, a list of tokens, or a list of either"))?;
    if prompts.is_empty() || prompts.len() > most {
        return Err(ApiError::field(name, "invalid_value", format!("{name} must have from 1 to {most} inputs")));
    }
    if prompts.iter().all(fits) {
        Ok(prompts)
    } else {
        Err(ApiError::field(name, "context_length_exceeded", "the input is too long"))
    }
}

fn one(value: Value) -> Option<Prompt> {
    match value {
        Value::String(text) => Some(plain(text)),
        Value::Array(items) => fields::tokens(&items).map(Prompt::Tokens),
        _ => None,
    }
}

/// Whoever writes a prompt by himself may use special tokens: there is no template, and no turn but his own.
fn plain(text: String) -> Prompt {
    Prompt::Text { segments: vec![Segment { text, special: true }], begin: true }
}

fn fits(prompt: &Prompt) -> bool {
    match prompt {
        Prompt::Text { segments, .. } => segments.iter().all(|segment| segment.text.len() <= limits::PROMPT_BYTES),
        Prompt::Tokens(tokens) => tokens.len() <= limits::PROMPT_TOKENS,
        // Not made here.
        Prompt::Chat(_) => false,
    }
}
