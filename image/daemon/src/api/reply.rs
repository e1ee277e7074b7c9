//! What a reply looks like, in one piece and in many.

use sealstone_protocol::{Alternative, Finish, Logprobs, Usage};
use serde_json::{Map, Value, json};

/// The logarithm that stands for "never", which JSON can't say otherwise.
const NEVER: f32 = -9999.0;

/// Which API a reply is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Text,
}

/// What all pieces of a reply have in common.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) id: String,
    /// Seconds since 1970, by the host's clock.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) fingerprint: String,
}

/// Text with what is known of its tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) text: String,
    /// Characters before it, in the same reply.
    pub(super) offset: usize,
    pub(super) logprobs: Option<Vec<Logprobs>>,
}

impl Shape {
    /// A reply in one piece.
    pub(super) fn whole(&self, text: &Text, finish: &'static str, usage: Usage) -> Value {
        let content = match self.kind {
            Kind::Chat => json!({"message": {"role": "assistant", "content": text.text, "refusal": null}}),
            Kind::Text => json!({"text": text.text}),
        };
        let object = match self.kind {
            Kind::Chat => "chat.completion",
            Kind::Text => "text_completion",
        };
        let choice = self.choice(content, text, Some(finish));
        with(self.head(object, vec![choice]), "usage", usage_json(usage))
    }

    /// A piece of a stream. The first one of a chat says whose words they are.
    pub(super) fn piece(&self, text: &Text, is_first: bool, finish: Option<&'static str>, usage: bool) -> Value {
        let content = match self.kind {
            Kind::Chat if is_first => json!({"delta": {"role": "assistant", "content": text.text, "refusal": null}}),
            Kind::Chat if finish.is_some() && text.text.is_empty() => json!({"delta": {}}),
            Kind::Chat => json!({"delta": {"content": text.text}}),
            Kind::Text => json!({"text": text.text}),
        };
        let value = self.head(self.stream_object(), vec![self.choice(content, text, finish)]);
        // Clients that asked find the member everywhere, and a value at the end only.
        if usage { with(value, "usage", Value::Null) } else { value }
    }

    /// A stream's last piece, for clients that asked for it.
    pub(super) fn usage(&self, usage: Usage) -> Value {
        with(self.head(self.stream_object(), Vec::new()), "usage", usage_json(usage))
    }

    fn stream_object(&self) -> &'static str {
        match self.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Text => "text_completion",
        }
    }

    fn head(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        })
    }

    fn choice(&self, content: Value, text: &Text, finish: Option<&'static str>) -> Value {
        let logprobs = text.logprobs.as_deref().map_or(Value::Null, |tokens| match self.kind {
            Kind::Chat => json!({"content": tokens.iter().map(chat_token).collect::<Vec<_>>(), "refusal": null}),
            Kind::Text => text_tokens(tokens, text.offset),
        });
        let choice = with(content, "index", json!(0));
        with(with(choice, "logprobs", logprobs), "finish_reason", json!(finish))
    }
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
    object
}

/// As clients know it; `None` for a reply that was cancelled, which only this side does.
pub(super) fn finish_reason(finish: Finish) -> Option<&'static str> {
    match finish {
        Finish::End | Finish::Stop(_) => Some("stop"),
        Finish::Length => Some("length"),
        Finish::Cancelled => None,
    }
}

fn usage_json(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.reply,
        "total_tokens": usage.prompt.saturating_add(usage.reply),
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    })
}

/// With six decimals: more are noise of the arithmetic.
fn number(logprob: f32) -> Value {
    const DECIMALS: f64 = 1e6;
    json!((f64::from(logprob.max(NEVER)) * DECIMALS).round() / DECIMALS)
}

fn token_text(token: &Alternative) -> String {
    String::from_utf8_lossy(&token.text).into_owned()
}

fn chat_alternative(token: &Alternative) -> Value {
    json!({"token": token_text(token), "logprob": number(token.logprob), "bytes": token.text})
}

fn chat_token(logprobs: &Logprobs) -> Value {
    let top: Vec<_> = logprobs.top.iter().map(chat_alternative).collect();
    with(chat_alternative(&logprobs.chosen), "top_logprobs", json!(top))
}

/// The older shape: a list per property. Offsets are in characters, and exact where each token is whole characters.
fn text_tokens(tokens: &[Logprobs], offset: usize) -> Value {
    let texts: Vec<_> = tokens.iter().map(|token| token_text(&token.chosen)).collect();
    let offsets: Vec<_> = texts
        .iter()
        .scan(offset, |at, text| {
            let this = *at;
            *at = at.saturating_add(text.chars().count());
            Some(this)
        })
        .collect();
    let top = |token: &Logprobs| {
        token.top.iter().map(|other| (token_text(other), number(other.logprob))).collect::<Map<String, Value>>()
    };
    json!({
        "tokens": texts,
        "token_logprobs": tokens.iter().map(|token| number(token.chosen.logprob)).collect::<Vec<_>>(),
        "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}
