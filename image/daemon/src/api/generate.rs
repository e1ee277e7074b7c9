//! The fields that chat and text completions share, and the order that they make.

use sealstone_protocol::{Constraint, Facts, Generate, LogitBias, Prompt, RequestId, Salt, Sampling, limits};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::fields::{self, Fields, wrong};
use super::ordered::Ordered;

/// What to generate, without what to continue.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) model: String,
    max_tokens: Option<u32>,
    sampling: Sampling,
    seed: Option<u32>,
    stop: Vec<String>,
    constraint: Constraint,
    ignore_end: bool,
    /// How the reply is to come.
    pub(super) delivery: Delivery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// In one piece.
    Whole,
    /// As events, the last of which says what it took if `usage`.
    Stream { usage: bool },
}

/// Fields that clients send, that ask for nothing of what a reply is.
const MEANINGLESS: &[&str] = &["user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"];

impl Asked {
    /// Takes the shared fields; `body` is what they were read from.
    pub(super) fn take(fields: &mut Fields, body: &[u8]) -> Result<Asked, ApiError> {
        let model = fields.text("model")?;
        let model = fields.required("model", model)?;
        let newer = fields.count("max_completion_tokens", 1..=limits::MAX_TOKENS)?;
        let older = fields.count("max_tokens", 1..=limits::MAX_TOKENS)?;
        fields.ignore(MEANINGLESS);
        fields.only("n", &[json!(1)])?;
        fields.only("service_tier", &[json!("auto"), json!("default")])?;
        let seed = fields.integer("seed", i64::MIN..=i64::MAX)?;
        Ok(Asked {
            model,
            max_tokens: newer.or(older),
            sampling: sampling(fields)?,
            seed: seed.map(fold),
            stop: stop(fields)?,
            constraint: constraint(fields, body)?,
            ignore_end: fields.flag("ignore_eos")?.unwrap_or(false),
            delivery: delivery(fields)?,
        })
    }

    /// The order to continue `prompt`; `random` is the seed of whoever gave none.
    pub(super) fn order(self, id: RequestId, prompt: Prompt, logprobs: Option<u32>, near: Near<'_>) -> Generate {
        let seed = self.seed.unwrap_or(near.random);
        Generate {
            id,
            salt: near.salt,
            prompt,
            max_tokens: self.max_tokens.unwrap_or(limits::MAX_TOKENS).min(near.facts.context),
            sampling: Sampling { seed, ..self.sampling },
            constraint: self.constraint,
            stop: self.stop,
            logprobs,
            ignore_end: self.ignore_end,
        }
    }
}

/// What an order takes from elsewhere than the request.
#[derive(Clone, Copy)]
pub(super) struct Near<'a> {
    pub(super) facts: &'a Facts,
    pub(super) salt: Salt,
    pub(super) random: u32,
}

/// Every seed of a client as one of the engine's; small ones as they are.
fn fold(seed: i64) -> u32 {
    let [a, b, c, d, e, f, g, h] = seed.unsigned_abs().to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}

fn sampling(fields: &mut Fields) -> Result<Sampling, ApiError> {
    let penalty = -limits::PENALTY..=limits::PENALTY;
    Ok(Sampling {
        biases: biases(fields)?,
        repetition: fields.number("repetition_penalty", 0.01..=limits::REPETITION)?.unwrap_or(1.0),
        frequency: fields.number("frequency_penalty", penalty.clone())?.unwrap_or(0.0),
        presence: fields.number("presence_penalty", penalty)?.unwrap_or(0.0),
        top_k: fields.count("top_k", 0..=i32::MAX.unsigned_abs())?.unwrap_or(0),
        // None at all would leave no token: the likeliest one always stays.
        top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0).max(f32::MIN_POSITIVE),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
        temperature: fields.number("temperature", 0.0..=limits::TEMPERATURE)?.unwrap_or(1.0),
        seed: 0,
    })
}

fn biases(fields: &mut Fields) -> Result<Vec<LogitBias>, ApiError> {
    let Some(object) = fields.object("logit_bias")? else { return Ok(Vec::new()) };
    let map = object.into_map();
    let range = -limits::BIAS..=limits::BIAS;
    let bias = |(token, bias): (&String, &Value)| {
        let bias = fields::number(bias).filter(|bias| range.contains(bias))?;
        Some(LogitBias { token: token.parse().ok()?, bias })
    };
    let biases: Option<Vec<_>> = map.iter().map(bias).collect();
    biases
        .filter(|biases| biases.len() <= limits::BIASES)
        .ok_or_else(|| wrong("logit_bias", &format!("at most {} tokens, each with a number from -100 to 100", limits::BIASES)))
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let items = match fields.any("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(one)) => vec![Value::String(one)],
        Some(Value::Array(items)) => items,
        Some(_) => return Err(wrong("stop", "a string or a list of strings")),
    };
    let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    let fits = |stop: &String| (1..=limits::STOP_BYTES).contains(&stop.len());
    texts
        .filter(|texts| texts.len() <= limits::STOPS && texts.iter().all(fits))
        .ok_or_else(|| wrong("stop", &format!("at most {} strings of 1 to {} bytes", limits::STOPS, limits::STOP_BYTES)))
}

fn constraint(fields: &mut Fields, body: &[u8]) -> Result<Constraint, ApiError> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(Constraint::Free) };
    let kind = format.text("type")?;
    let kind = format.required("type", kind)?;
    let constraint = match kind.as_str() {
        "text" => Constraint::Free,
        "json_object" => Constraint::JsonObject,
        "json_schema" => {
            let schema = format.object("json_schema")?;
            json_schema(format.required("json_schema", schema)?, body)?
        }
        _ => return Err(wrong("response_format.type", "text, json_object or json_schema")),
    };
    format.end()?;
    Ok(constraint)
}

fn json_schema(mut wrapper: Fields, body: &[u8]) -> Result<Constraint, ApiError> {
    // `strict` false would be a wish that the model may ignore: the grammar leaves it no choice, which is no harm.
    wrapper.text("name")?;
    wrapper.text("description")?;
    wrapper.flag("strict")?;
    let name = wrapper.name("schema");
    let schema = wrapper.any("schema");
    let schema = wrapper.required("schema", schema)?;
    wrapper.end()?;
    let text = as_written(body)?;
    if !schema.is_object() || text.len() > limits::SCHEMA_BYTES {
        return Err(wrong(&name, &format!("an object of at most {} bytes", limits::SCHEMA_BYTES)));
    }
    Ok(Constraint::JsonSchema(text))
}

/// The schema without white space. Replies keep the order of its properties, which the body's parsed form doesn't have.
fn as_written(body: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        response_format: Format,
    }
    #[derive(Deserialize)]
    struct Format {
        json_schema: Wrapper,
    }
    #[derive(Deserialize)]
    struct Wrapper {
        schema: Ordered,
    }
    // These are there, so it fails only if one of them is there twice: then it isn't clear which one is meant.
    let body: Body = serde_json::from_slice(body)
        .map_err(|_| ApiError::field("response_format", "invalid_value", "response_format names a member twice"))?;
    serde_json::to_string(&body.response_format.json_schema.schema).map_err(|_| ApiError::internal())
}

fn delivery(fields: &mut Fields) -> Result<Delivery, ApiError> {
    let stream = fields.flag("stream")?.unwrap_or(false);
    let options = fields.object("stream_options")?;
    if !stream {
        return match options {
            Some(_) => Err(ApiError::field("stream_options", "invalid_value", "stream_options is only for stream")),
            None => Ok(Delivery::Whole),
        };
    }
    let Some(mut options) = options else { return Ok(Delivery::Stream { usage: false }) };
    let usage = options.flag("include_usage")?.unwrap_or(false);
    // Padding against onlookers: the channel's records have it already.
    options.ignore(&["include_obfuscation"]);
    options.end()?;
    Ok(Delivery::Stream { usage })
}
