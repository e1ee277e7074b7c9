//! `/v1/embeddings`.

use sealstone_protocol::{Embed, Embedding, Order, Prompt, Report, limits};
use serde_json::{Value, json};

use super::completions::inputs;
use super::engine::Client;
use super::error::ApiError;
use super::fields::Fields;
use crate::evidence::document::base64;

/// Inputs of one request.
const INPUTS: usize = 256;

/// Inputs that are with the engine at a time, so that one client leaves places for others.
const AT_ONCE: usize = 8;

/// A request.
#[derive(Debug)]
pub(super) struct Embeddings {
    pub(super) model: String,
    inputs: Vec<Prompt>,
    dimensions: Option<u32>,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Numbers,
    /// Of single-precision numbers, little-endian.
    Base64,
}

impl Embeddings {
    pub(super) fn parse(body: &[u8]) -> Result<Embeddings, ApiError> {
        let mut fields = Fields::parse(body)?;
        let model = fields.text("model")?;
        let model = fields.required("model", model)?;
        let input = fields.any("input");
        let inputs = inputs(fields.required("input", input)?, "input", INPUTS)?;
        let width = u32::try_from(limits::WIDTH).unwrap_or(u32::MAX);
        let dimensions = fields.count("dimensions", 1..=width)?;
        let encoding = match fields.text("encoding_format")?.as_deref() {
            None | Some("float") => Encoding::Numbers,
            Some("base64") => Encoding::Base64,
            Some(_) => return Err(super::fields::wrong("encoding_format", "float or base64")),
        };
        fields.ignore(&["user"]);
        fields.end()?;
        Ok(Embeddings { model, inputs, dimensions, encoding })
    }

    /// The answer, once the engine has given every vector.
    pub(super) async fn answer(self, client: &Client) -> Result<Value, ApiError> {
        let width = client.facts()?.width;
        if self.dimensions.is_some_and(|dimensions| dimensions != width) {
            return Err(ApiError::field(
                "dimensions",
                "invalid_value",
                format!("the model's embeddings have {width} dimensions"),
            ));
        }
        let (mut data, mut tokens) = (Vec::new(), 0_u64);
        for inputs in self.inputs.chunks(AT_ONCE) {
            let order = |prompt: &Prompt| client.order(|id| Order::Embed(Embed { id, prompt: prompt.clone() }), None);
            let waiting: Result<Vec<_>, _> = inputs.iter().map(order).collect();
            for mut replies in waiting? {
                let embedding = match replies.next().await? {
                    Report::Embedding(embedding) => embedding,
                    Report::Failed { failure, .. } => return Err(ApiError::failure(failure, "input")),
                    _ => return Err(ApiError::internal()),
                };
                tokens = tokens.saturating_add(u64::from(embedding.tokens));
                data.push(json!({"object": "embedding", "index": data.len(), "embedding": self.encoding.of(&embedding)}));
            }
        }
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        Ok(json!({"object": "list", "data": data, "model": self.model, "usage": usage}))
    }
}

impl Encoding {
    fn of(self, embedding: &Embedding) -> Value {
        match self {
            Encoding::Numbers => json!(embedding.vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = embedding.vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(base64(&bytes))
            }
        }
    }
}
