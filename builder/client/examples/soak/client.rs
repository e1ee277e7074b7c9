//! One session: the channel as the client has it, HTTP of either version inside, and requests that each have one right ending.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sealstone_channel::noise::Entropy;
use sealstone_channel::session::{self, Progress};
use sealstone_channel::stream::{Masks, Options, Stream, Wire};
use sealstone_channel::websocket::Mask;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::engine::{ENDLESS, MODEL, reply, vector};

/// For any step. On a machine that is busy otherwise it takes long; what never comes is a reply that was lost.
const PATIENCE: Duration = Duration::from_secs(120);

type Problem = String;
type Body = Full<Bytes>;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ChatStream,
    Chat,
    Completion,
    Embedding,
    Models,
    Cancel,
    TooLarge,
    BadJson,
    UnknownModel,
    Burst,
}

/// How it ended, if as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With the answer that is its own, or the error that it asked for.
    Right,
    /// With 429 and Retry-After.
    Busy,
    /// With 503, `draining` and Retry-After.
    Draining,
}

pub(crate) struct Session {
    sender: Sender,
}

enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    bytes
}

fn text(error: impl std::fmt::Display) -> Problem {
    error.to_string()
}

impl Session {
    /// A session with HTTP/2 or HTTP/1.1 inside. `None` when the daemon has no room for a handshake now.
    pub(crate) async fn open(address: SocketAddr, config: &str, two: bool) -> Result<Option<Session>, Problem> {
        let opening = async {
            let Some(mut wire) = upgrade(address).await? else { return Ok(None) };
            let (client, hello) = session::Client::start(Entropy::new(random())).map_err(text)?;
            wire.send(&hello).await.map_err(text)?;
            let mut waiting = client.reply(&wire.receive().await.map_err(text)?).map_err(text)?;
            let judgement = loop {
                match waiting.message(&wire.receive().await.map_err(text)?).map_err(text)? {
                    Progress::More(more) => waiting = more,
                    Progress::Complete(judgement) => break judgement,
                }
            };
            let document: Value = serde_json::from_slice(judgement.document()).map_err(text)?;
            if document["tee"] != "insecure" || document["config"] != config {
                return Err(format!("another machine's evidence: {document}"));
            }
            let stream = Stream::new(wire, judgement.accept(), Options { pace: Duration::ZERO, idle: Duration::from_secs(600) });
            Session::http(stream, two).await.map(Some)
        };
        timeout(PATIENCE, opening).await.map_err(|_| "no session in time".to_owned())?
    }

    async fn http(stream: Stream<TokioIo<hyper::upgrade::Upgraded>>, two: bool) -> Result<Session, Problem> {
        let io = TokioIo::new(stream);
        let sender = if two {
            let (sender, connection) =
                http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(io).await.map_err(text)?;
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(text)?;
            tokio::spawn(connection);
            Sender::One(sender)
        };
        Ok(Session { sender })
    }

    /// Whether it still takes requests.
    pub(crate) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => !sender.is_closed(),
            Sender::Two(sender) => !sender.is_closed(),
        }
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Problem> {
        let request = Request::builder().method(method);
        match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await.map_err(text)?;
                let request = request.uri(path).header("host", "soak").body(Full::new(body)).unwrap();
                sender.send_request(request).await.map_err(text)
            }
            Sender::Two(sender) => {
                sender.ready().await.map_err(text)?;
                sender.send_request(request.uri(format!("http://soak{path}")).body(Full::new(body)).unwrap()).await.map_err(text)
            }
        }
    }

    /// Asks, and looks at the answer to its end.
    pub(crate) async fn ask(&mut self, kind: Kind, marker: &str, filler: &str) -> Result<Outcome, Problem> {
        timeout(PATIENCE, self.ask_patiently(kind, marker, filler)).await.map_err(|_| "no reply in time".to_owned())?
    }

    async fn ask_patiently(&mut self, kind: Kind, marker: &str, filler: &str) -> Result<Outcome, Problem> {
        let (method, path, body) = request(kind, marker, filler);
        let response = self.send(method, path, body).await?;
        let status = response.status();
        if let Some(outcome) = sent_away(&response) {
            let code = json_of(response).await?["error"]["code"].clone();
            return match outcome {
                Outcome::Busy if code == "queue_full" => Ok(Outcome::Busy),
                Outcome::Draining if code == "draining" => Ok(Outcome::Draining),
                _ => Err(format!("{status} with {code}")),
            };
        }
        match kind {
            Kind::Cancel => return cancelled(response, marker).await,
            Kind::ChatStream => {
                expect(status, StatusCode::OK)?;
                let streamed = collect(response).await?;
                same(&stream_text(&streamed)?, &reply(marker))?;
            }
            Kind::Chat | Kind::Burst => {
                expect(status, StatusCode::OK)?;
                same(json_of(response).await?["choices"][0]["message"]["content"].as_str().unwrap_or(""), &reply(marker))?;
            }
            Kind::Completion => {
                expect(status, StatusCode::OK)?;
                same(json_of(response).await?["choices"][0]["text"].as_str().unwrap_or(""), &reply(marker))?;
            }
            Kind::Embedding => {
                expect(status, StatusCode::OK)?;
                let found: Vec<f32> =
                    serde_json::from_value(json_of(response).await?["data"][0]["embedding"].take()).map_err(text)?;
                same(&format!("{found:?}"), &format!("{:?}", vector(marker)))?;
            }
            Kind::Models => {
                expect(status, StatusCode::OK)?;
                same(json_of(response).await?["data"][0]["id"].as_str().unwrap_or(""), MODEL)?;
            }
            Kind::TooLarge => error(response, StatusCode::PAYLOAD_TOO_LARGE, "request_too_large").await?,
            Kind::BadJson => error(response, StatusCode::BAD_REQUEST, "invalid_json").await?,
            Kind::UnknownModel => error(response, StatusCode::NOT_FOUND, "model_not_found").await?,
        }
        Ok(Outcome::Right)
    }
}

/// A WebSocket, unless the daemon has no room.
async fn upgrade(address: SocketAddr) -> Result<Option<Wire<TokioIo<hyper::upgrade::Upgraded>>>, Problem> {
    let stream = TcpStream::connect(address).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/v1/channel")
        .header("host", "soak")
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_PROTOCOL, "sealstone.v1")
        .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.map_err(text)?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::TOO_MANY_REQUESTS if response.headers().contains_key("retry-after") => return Ok(None),
        status => return Err(format!("{status} in place of a WebSocket")),
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(text)?;
    Ok(Some(Wire::new(TokioIo::new(upgraded), Masks::Client(|| Mask(random())))))
}

fn request(kind: Kind, marker: &str, filler: &str) -> (Method, &'static str, Bytes) {
    let prompt = format!("{marker} {filler}");
    let messages = json!([{"role": "system", "content": "you say what was said"}, {"role": "user", "content": prompt}]);
    let (path, body) = match kind {
        Kind::Models => return (Method::GET, "/v1/models", Bytes::new()),
        Kind::ChatStream => ("/v1/chat/completions", json!({"model": MODEL, "messages": messages, "stream": true}).to_string()),
        Kind::Chat | Kind::Burst => ("/v1/chat/completions", json!({"model": MODEL, "messages": messages}).to_string()),
        Kind::Completion => ("/v1/completions", json!({"model": MODEL, "prompt": prompt}).to_string()),
        Kind::Embedding => ("/v1/embeddings", json!({"model": MODEL, "input": prompt}).to_string()),
        Kind::Cancel => {
            ("/v1/completions", json!({"model": MODEL, "prompt": format!("{ENDLESS}-{prompt}"), "stream": true}).to_string())
        }
        Kind::TooLarge => ("/v1/completions", json!({"model": MODEL, "prompt": "x".repeat(2_200_000)}).to_string()),
        Kind::BadJson => ("/v1/chat/completions", format!("{{\"model\":\"{MODEL}\",\"messages\":[{{\"{prompt}")),
        Kind::UnknownModel => ("/v1/chat/completions", json!({"model": marker, "messages": messages}).to_string()),
    };
    (Method::POST, path, Bytes::from(body))
}

/// Whether there was no room, or not for long.
fn sent_away<B>(response: &Response<B>) -> Option<Outcome> {
    if !response.headers().contains_key("retry-after") {
        return None;
    }
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => Some(Outcome::Busy),
        StatusCode::SERVICE_UNAVAILABLE => Some(Outcome::Draining),
        _ => None,
    }
}

/// Takes the beginning of an endless reply, and goes.
async fn cancelled(mut response: Response<Incoming>, marker: &str) -> Result<Outcome, Problem> {
    expect(response.status(), StatusCode::OK)?;
    let first = response.body_mut().frame().await.ok_or("no first event")?.map_err(text)?;
    let first = String::from_utf8(first.into_data().map_err(|_| "no data")?.to_vec()).map_err(text)?;
    // An event holds at least the reply's first piece, which is the marker's beginning.
    let expected = &format!("{ENDLESS}-{marker}")[..8];
    if first.contains(expected) { Ok(Outcome::Right) } else { Err(format!("{first:?} doesn't begin with {expected:?}")) }
}

async fn collect(response: Response<Incoming>) -> Result<String, Problem> {
    let bytes = response.into_body().collect().await.map_err(text)?.to_bytes();
    String::from_utf8(bytes.to_vec()).map_err(text)
}

async fn json_of(response: Response<Incoming>) -> Result<Value, Problem> {
    serde_json::from_str(&collect(response).await?).map_err(text)
}

async fn error(response: Response<Incoming>, status: StatusCode, code: &str) -> Result<(), Problem> {
    expect(response.status(), status)?;
    same(json_of(response).await?["error"]["code"].as_str().unwrap_or(""), code)
}

fn expect(found: StatusCode, expected: StatusCode) -> Result<(), Problem> {
    if found == expected { Ok(()) } else { Err(format!("{found}, not {expected}")) }
}

fn same(found: &str, expected: &str) -> Result<(), Problem> {
    if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
}

/// The text of a stream that ended as it should.
fn stream_text(streamed: &str) -> Result<String, Problem> {
    let mut all = String::new();
    let mut is_finished = false;
    for event in streamed.split_terminator("\n\n") {
        let event = event.strip_prefix("data: ").ok_or("no event")?;
        if event == "[DONE]" {
            return if is_finished { Ok(all) } else { Err("no reason for the end".to_owned()) };
        }
        let event: Value = serde_json::from_str(event).map_err(text)?;
        all.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or(""));
        is_finished |= event["choices"][0]["finish_reason"] == "stop";
    }
    Err(format!("the stream was cut after {all:?}"))
}
