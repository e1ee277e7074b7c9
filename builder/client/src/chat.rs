//! A conversation with the model in an image, by `/v1/models` and `/v1/chat/completions` (OpenAI's API), streamed.

mod events;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE};
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
    /// The image offers no model.
    #[error("the image has no model")]
    NoModel,
}

/// How the image is to choose its words. What isn't given is the image's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Choosing {
    /// 0 takes the likeliest token each time; the image refuses what is above 2.
    pub temperature: Option<f32>,
    /// The same question with the same seed gets the same answer, as long as the image's arithmetic is the same.
    pub seed: Option<u32>,
}

/// A conversation, which the image is told anew with each question: it keeps nothing.
#[derive(Debug)]
pub struct Conversation<'a> {
    sessions: &'a Sessions,
    model: String,
    choosing: Choosing,
    messages: Vec<Value>,
}

impl<'a> Conversation<'a> {
    /// With `model`, or the first that the image names.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn open(sessions: &'a Sessions, model: Option<String>) -> Result<Self, ChatError> {
        let model = match model {
            Some(model) => model,
            None => first_model(sessions).await?,
        };
        Ok(Self { sessions, model, choosing: Choosing::default(), messages: Vec::new() })
    }

    /// With another way to choose, from the next question on.
    #[must_use]
    pub fn choosing(self, choosing: Choosing) -> Self {
        Self { choosing, ..self }
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
        if let Some(temperature) = self.choosing.temperature {
            request["temperature"] = temperature.into();
        }
        if let Some(seed) = self.choosing.seed {
            request["seed"] = seed.into();
        }
        request
    }

    async fn answer(&self, piece: &mut impl FnMut(&str)) -> Result<String, ChatError> {
        let response = send(self.sessions, Method::POST, "/v1/chat/completions", self.request().to_string()).await?;
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

async fn first_model(sessions: &Sessions) -> Result<String, ChatError> {
    let response = send(sessions, Method::GET, "/v1/models", String::new()).await?;
    let models: Value = serde_json::from_slice(&whole(response).await?).map_err(|_| ChatError::Answer("not JSON"))?;
    models["data"][0]["id"].as_str().map(str::to_owned).ok_or(ChatError::NoModel)
}

/// Sends a request; the answer's head says that it was taken.
async fn send(sessions: &Sessions, method: Method, path: &str, body: String) -> Result<Response<Incoming>, ChatError> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://sealstone{path}"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .body(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync())
        .map_err(|_| ChatError::Answer("the request can't be written"))?;
    let response = sessions.send(request).await?;
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

async fn whole(response: Response<Incoming>) -> Result<Bytes, ChatError> {
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    body.collect().await.map(|body| body.to_bytes()).map_err(|_| ChatError::Answer("it is cut or too long"))
}
