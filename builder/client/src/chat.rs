//! A conversation with the model in an image, by `/v1/models` and `/v1/chat/completions` (OpenAI's API), streamed.

mod events;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::{ClientError, Sessions};
use events::Events;

/// Bytes of an answer that isn't a stream.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why a question has no answer, or half of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// There is no session, or it ended.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The image is up, and its engine still reads the model. The same question may be asked again in a moment.
    #[error("the image is still loading the model")]
    Loading,
    /// The image refuses the request.
    #[error("the image answers {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// The image answers something that isn't of this API.
    #[error("the image's answer can't be read: {0}")]
    Answer(&'static str),
    /// The token has bytes that no header can carry.
    #[error("the token isn't one: it holds more than visible characters")]
    Token,
    /// The image offers no model.
    #[error("the image has no model")]
    NoModel,
}

/// How a conversation is to be held. What isn't given is the image's own choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manner {
    /// The first model that the image names, otherwise.
    pub model: Option<String>,
    /// What an image with `auth` asks for: a token, without the word `Bearer`.
    pub token: Option<String>,
    /// 0 takes the likeliest token each time; the image refuses what is above 2.
    pub temperature: Option<f32>,
    /// The same question with the same seed gets the same answer, as long as the image's arithmetic is the same.
    pub seed: Option<u32>,
}

/// A conversation, which the image is told anew with each question: it keeps nothing.
#[derive(Debug)]
pub struct Conversation<'a> {
    image: Image<'a>,
    model: String,
    manner: Manner,
    messages: Vec<Value>,
}

/// Who is asked, and how he knows that he may answer.
#[derive(Debug)]
struct Image<'a> {
    sessions: &'a Sessions,
    authorization: Option<HeaderValue>,
}

impl<'a> Conversation<'a> {
    /// Begins one; an image that nobody named a model of is asked which it has.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn open(sessions: &'a Sessions, manner: Manner) -> Result<Self, ChatError> {
        let image = Image { sessions, authorization: manner.token.as_deref().map(authorization).transpose()? };
        let model = match &manner.model {
            Some(model) => model.clone(),
            None => first_model(&image).await?,
        };
        Ok(Self { image, model, manner, messages: Vec::new() })
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Asks, and hands every piece of the answer to `piece` as it comes. After an error the question counts as not asked.
    ///
    /// # Errors
    /// [`ChatError`]; what was handed over before stays incomplete.
    pub async fn ask(&mut self, question: &str, mut piece: impl FnMut(&str)) -> Result<(), ChatError> {
        self.messages.push(json!({"role": "user", "content": question}));
        let result = self.answer(&mut piece).await;
        match result {
            Ok(answer) => {
                self.messages.push(json!({"role": "assistant", "content": answer}));
                Ok(())
            }
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    fn request(&self) -> Value {
        let mut request = json!({"model": self.model, "messages": self.messages, "stream": true});
        if let Some(temperature) = self.manner.temperature {
            request["temperature"] = temperature.into();
        }
        if let Some(seed) = self.manner.seed {
            request["seed"] = seed.into();
        }
        request
    }

    async fn answer(&self, piece: &mut impl FnMut(&str)) -> Result<String, ChatError> {
        let response = self.image.send(Method::POST, "/v1/chat/completions", self.request().to_string()).await?;
        let mut body = response.into_body();
        let (mut events, mut answer) = (Events::default(), String::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ClientError::Http(error.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            events.put(data).map_err(ChatError::Answer)?;
            while let Some(event) = events.take() {
                if event == "[DONE]" {
                    return Ok(answer);
                }
                let text = content(&event)?;
                piece(&text);
                answer.push_str(&text);
            }
        }
        Err(ChatError::Answer("the stream ends without its end mark"))
    }
}

/// What an event adds to the answer; an error that the image reports in the middle of it.
fn content(event: &str) -> Result<String, ChatError> {
    let event: Value = serde_json::from_str(event).map_err(|_| ChatError::Answer("an event isn't JSON"))?;
    if let Some(error) = event.get("error") {
        let message = error["message"].as_str().unwrap_or_default().to_owned();
        return Err(ChatError::Status { status: 200, message });
    }
    Ok(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned())
}

async fn first_model(image: &Image<'_>) -> Result<String, ChatError> {
    let response = image.send(Method::GET, "/v1/models", String::new()).await?;
    let models: Value = serde_json::from_slice(&whole(response).await?).map_err(|_| ChatError::Answer("not JSON"))?;
    models["data"][0]["id"].as_str().map(str::to_owned).ok_or(ChatError::NoModel)
}

/// The header's value, which nothing prints.
fn authorization(token: &str) -> Result<HeaderValue, ChatError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ChatError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Image<'_> {
    /// Sends a request; the answer's head says that it was taken.
    async fn send(&self, method: Method, path: &str, body: String) -> Result<Response<Incoming>, ChatError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://sealstone{path}"))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync())
            .map_err(|_| ChatError::Answer("the request can't be written"))?;
        let response = self.sessions.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = whole(response).await.unwrap_or_default();
        let error: Value = serde_json::from_slice(&body).unwrap_or_default();
        if error["error"]["code"] == "model_loading" {
            return Err(ChatError::Loading);
        }
        let message = error["error"]["message"].as_str().unwrap_or_default().to_owned();
        Err(ChatError::Status { status: status.as_u16(), message })
    }
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, ChatError> {
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    body.collect().await.map(|body| body.to_bytes()).map_err(|_| ChatError::Answer("it is cut or too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_becomes_a_header_that_is_not_shown() {
        let value = authorization("ey.J-_").unwrap();
        assert_eq!((value.to_str().unwrap(), format!("{value:?}")), ("Bearer ey.J-_", "Sensitive".to_owned()));
        for text in ["two\nlines", "nul\0"] {
            assert!(matches!(authorization(text), Err(ChatError::Token)), "{text:?}");
        }
    }
}
