//! The API inside the channel, in the shapes of OpenAI's, so that its clients work as they are.
//!
//! - `engine`: an engine's socket, shared by requests
//! - `fields`, `generate`, `chat`, `completions`, `embeddings`: requests, parsed
//! - `text`, `reply`, `stream`: replies, in one piece or as events
//! - `error`: what is wrong, as clients read it
//!
//! Nothing of a request or a reply is logged; docs/formats/api.md says what is accepted and answered.

mod chat;
mod completions;
mod embeddings;
pub mod engine;
mod error;
mod fields;
mod generate;
mod ordered;
mod reply;
mod stream;
mod text;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use sealstone_config::MeasuredConfig;
use sealstone_protocol::{Order, Prompt, RequestId, Salt};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;

use self::chat::Chat;
use self::completions::Completion;
use self::embeddings::Embeddings;
use self::engine::{Client, State};
use self::error::{ApiError, json_body, json_response};
use self::generate::{Asked, Delivery, Near};
use self::reply::{Kind, Shape};
use crate::channel::Session;
use crate::front::Body;

/// Bounds on requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body. A prompt of the protocol's limit fits, unless most of it is escaped.
    pub body: usize,
    /// Bytes of all bodies together, from the receiving until the engine is done with the request: what orders that wait to
    /// be written may hold.
    pub bodies: usize,
    /// Bytes of all replies in one piece together that wait to be taken, but for those of at most [`SMALL`] bytes, of which a
    /// session's other bounds allow few enough. One request for embeddings can be answered with many megabytes.
    pub replies: usize,
    /// From the head of a request to the end of its body.
    pub body_time: Duration,
}

impl Limits {
    /// What the image uses.
    pub const DEFAULT: Limits =
        Limits { body: 2 << 20, bodies: 64 << 20, replies: 128 << 20, body_time: Duration::from_secs(30) };
}

/// Bytes of a reply that takes no room.
const SMALL: usize = 16 * 1024;

/// The models and what is answered about them.
#[derive(Debug)]
pub struct Api {
    models: Vec<Model>,
    fingerprint: String,
    limits: Limits,
    /// A permit a byte that may still be received.
    room: Arc<Semaphore>,
    /// A permit a byte of replies that may still be made.
    unread: Arc<Semaphore>,
}

/// A model of the configuration.
#[derive(Debug)]
struct Model {
    name: String,
    root: String,
    client: Client,
}

impl Api {
    /// The API of the configuration's models, of which `clients` are the engines, in the same order. A model without one is
    /// unavailable.
    pub fn new(measured: &MeasuredConfig, clients: Vec<Client>, limits: Limits) -> Api {
        let mut clients = clients.into_iter();
        let models = measured.config().models.iter().enumerate().map(|(index, model)| Model {
            name: model.name.as_str().to_owned(),
            root: model.root.to_string(),
            client: clients.next().unwrap_or_else(|| Client::absent(index)),
        });
        Api {
            models: models.collect(),
            fingerprint: measured.sha256().to_string(),
            limits,
            room: Arc::new(Semaphore::new(limits.bodies)),
            unread: Arc::new(Semaphore::new(limits.replies)),
        }
    }

    /// What the engine of model `index` can do now, as `/healthz` says it.
    pub(crate) fn state(&self, index: usize) -> &'static str {
        match self.models.get(index).map(|model| model.client.state()) {
            Some(State::Loading) => "loading",
            Some(State::Ready(_)) => "ready",
            Some(State::Gone) | None => "unavailable",
        }
    }

    /// The answer to a request, if its path is one of the API's.
    pub(crate) async fn answer<B>(&self, head: &Parts, body: B, session: &Session) -> Option<Response<Body>>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
    {
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let (action, allowed) = Action::of(path)?;
        let right =
            if allowed == Method::GET { [Method::GET, Method::HEAD].contains(&head.method) } else { head.method == allowed };
        if !right {
            let mut response = ApiError::method().response();
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(if allowed == Method::GET { "GET, HEAD" } else { "POST" }));
            return Some(response);
        }
        let result = match action {
            Action::Models => Ok(json_response(StatusCode::OK, &self.list())),
            Action::Model(name) => self.model(name).map(|model| json_response(StatusCode::OK, &model.json())),
            Action::Chat => self.chat(head, body, session).await,
            Action::Completion => self.completion(head, body, session).await,
            Action::Embeddings => self.embeddings(head, body).await,
        };
        Some(result.unwrap_or_else(|error| error.response()))
    }

    fn model(&self, name: &str) -> Result<&Model, ApiError> {
        self.models.iter().find(|model| model.name == name).ok_or_else(ApiError::unknown_model)
    }

    fn list(&self) -> Value {
        json!({"object": "list", "data": self.models.iter().map(Model::json).collect::<Vec<_>>()})
    }

    async fn chat<B>(&self, head: &Parts, body: B, session: &Session) -> Result<Response<Body>, ApiError>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let (bytes, room) = self.receive(head, body).await?;
        let Chat { asked, turns, logprobs } = Chat::parse(&bytes)?;
        // The engine makes the text of it: the template is the model's.
        let work = Work { kind: Kind::Chat, input: "messages", asked, prompt: Prompt::Chat(turns), logprobs, room };
        self.generate(work, session).await
    }

    async fn completion<B>(&self, head: &Parts, body: B, session: &Session) -> Result<Response<Body>, ApiError>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let (bytes, room) = self.receive(head, body).await?;
        let Completion { asked, prompt, logprobs } = Completion::parse(&bytes)?;
        self.generate(Work { kind: Kind::Text, input: "prompt", asked, prompt, logprobs, room }, session).await
    }

    async fn embeddings<B>(&self, head: &Parts, body: B) -> Result<Response<Body>, ApiError>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let (bytes, _room) = self.receive(head, body).await?;
        let request = Embeddings::parse(&bytes)?;
        let client = &self.model(&request.model)?.client;
        self.whole(&request.answer(client).await?)
    }

    async fn generate(&self, work: Work, session: &Session) -> Result<Response<Body>, ApiError> {
        let Work { kind, input, asked, prompt, logprobs, room } = work;
        let client = &self.model(&asked.model)?.client;
        let facts = client.facts()?;
        let random = crate::channel::random().map_err(|_| ApiError::internal())?;
        let near = Near { facts: &facts, salt: salt(session), random: seed(random) };
        let (shape, delivery) = (self.shape(kind, asked.model.clone(), random), asked.delivery);
        let order = asked.order(RequestId(0), prompt, logprobs, near);
        if order.prompt.check().is_err() {
            return Err(ApiError::failure(sealstone_protocol::Failure::TooLong, input));
        }
        let replies = client.order(|id| Order::Generate(Box::new(sealstone_protocol::Generate { id, ..order })), room)?;
        match delivery {
            Delivery::Whole => self.whole(&stream::whole(replies, shape, input).await?),
            Delivery::Stream { usage } => stream::events(replies, shape, usage, input).await,
        }
    }

    /// A reply in one piece, which takes its room until the last of it is sent, or nobody wants it any more.
    fn whole(&self, reply: &Value) -> Result<Response<Body>, ApiError> {
        let text = reply.to_string();
        if text.len() <= SMALL {
            return Ok(json_body(StatusCode::OK, Bytes::from(text)));
        }
        let length = u32::try_from(text.len()).map_err(|_| ApiError::busy())?;
        let room = Arc::clone(&self.unread).try_acquire_many_owned(length).map_err(|_| ApiError::busy())?;
        Ok(json_body(StatusCode::OK, Bytes::from_owner(Unread { text, _room: room })))
    }

    fn shape(&self, kind: Kind, model: String, random: [u8; 32]) -> Shape {
        let prefix = match kind {
            Kind::Chat => "chatcmpl-",
            Kind::Text => "cmpl-",
        };
        let id: String = random.iter().rev().take(12).map(|byte| format!("{byte:02x}")).collect();
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Shape { kind, id: format!("{prefix}{id}"), created, model, fingerprint: self.fingerprint.clone() }
    }

    /// The whole body, within its bounds.
    async fn receive<B>(&self, head: &Parts, body: B) -> Result<(Vec<u8>, Room), ApiError>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.limits.body) {
            return Err(ApiError::too_large(self.limits.body));
        }
        time::timeout(self.limits.body_time, self.collect(body)).await.map_err(|_| ApiError::body_timeout())?
    }

    /// Each byte takes room when it has come, so that a client who announces much and sends little takes little.
    async fn collect<B>(&self, body: B) -> Result<(Vec<u8>, Room), ApiError>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let (mut body, mut bytes) = (pin!(body), Vec::new());
        let mut room: Room = None;
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|_| ApiError::request("incomplete_body", "the body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > self.limits.body {
                return Err(ApiError::too_large(self.limits.body));
            }
            let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let permit = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| ApiError::busy())?;
            match &mut room {
                Some(all) => all.merge(permit),
                None => room = Some(permit),
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, room))
    }
}

/// A request to generate.
struct Work {
    kind: Kind,
    /// The field that holds the model's input.
    input: &'static str,
    asked: Asked,
    prompt: Prompt,
    logprobs: Option<u32>,
    room: Room,
}

/// What a body takes of [`Limits::bodies`]; `None` if it is empty.
type Room = Option<OwnedSemaphorePermit>;

/// A reply, with the room that it takes.
struct Unread {
    text: String,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// What a path is for.
enum Action<'a> {
    Models,
    Model(&'a str),
    Chat,
    Completion,
    Embeddings,
}

impl<'a> Action<'a> {
    fn of(path: &'a str) -> Option<(Action<'a>, Method)> {
        match path {
            "/v1/models" => Some((Action::Models, Method::GET)),
            "/v1/chat/completions" => Some((Action::Chat, Method::POST)),
            "/v1/completions" => Some((Action::Completion, Method::POST)),
            "/v1/embeddings" => Some((Action::Embeddings, Method::POST)),
            _ => path.strip_prefix("/v1/models/").map(|name| (Action::Model(name), Method::GET)),
        }
    }
}

impl Model {
    /// OpenAI's members, and under `sealstone` what it has none for. No time is known that the host didn't choose.
    fn json(&self) -> Value {
        let (state, facts) = match self.client.state() {
            State::Loading => ("loading", None),
            State::Ready(facts) => ("ready", Some(facts)),
            State::Gone => ("unavailable", None),
        };
        let known = facts.as_deref();
        json!({
            "id": self.name,
            "object": "model",
            "created": 0,
            "owned_by": "sealstone",
            "sealstone": {
                "state": state,
                "root": self.root,
                "context": known.map(|facts| facts.context),
                "embedding_width": known.map(|facts| facts.width),
                "parameters": known.map(|facts| facts.parameters),
            },
        })
    }
}

/// What the prompt cache keeps is found again by the same session only.
fn salt(session: &Session) -> Salt {
    let [first, _] = halves(*session.salt());
    Salt(first)
}

fn halves(bytes: [u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    halves.iter_mut().zip(bytes.chunks_exact(16)).for_each(|(half, bytes)| half.copy_from_slice(bytes));
    halves
}

fn seed(random: [u8; 32]) -> u32 {
    let [a, b, c, d, ..] = random;
    u32::from_le_bytes([a, b, c, d])
}

/// Whether a request for `path` with this body is one, as far as it tells by itself. What is read of it is thrown away: for fuzzing.
pub fn is_request(path: &str, body: &[u8]) -> bool {
    match Action::of(path) {
        Some((Action::Chat, _)) => Chat::parse(body).is_ok(),
        Some((Action::Completion, _)) => Completion::parse(body).is_ok(),
        Some((Action::Embeddings, _)) => Embeddings::parse(body).is_ok(),
        Some((Action::Models | Action::Model(_), _)) | None => false,
    }
}

/// Engines of the configuration's models by their inherited sockets, as tasks of the current runtime. `None` when none was
/// inherited although there are models: whoever started this has no engines.
pub fn attach(measured: &MeasuredConfig, sockets: Vec<Option<std::os::unix::net::UnixStream>>) -> Option<Arc<Api>> {
    let models = &measured.config().models;
    if !models.is_empty() && sockets.iter().all(Option::is_none) {
        return None;
    }
    let clients = models.iter().zip(sockets).enumerate().map(|(index, (model, socket))| {
        match socket.and_then(|socket| tokio::net::UnixStream::from_std(socket).ok()) {
            Some(socket) => Client::start(socket, index, model.name.as_str(), engine::Limits::DEFAULT),
            None => Client::absent(index),
        }
    });
    Some(Arc::new(Api::new(measured, clients.collect(), Limits::DEFAULT)))
}

#[cfg(test)]
mod tests;
