//! A front with a software TPM on loopback, the pin that it satisfies, and pins that it doesn't.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin as Pinned;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use sealstone_client::{Client, Trust, now};
use sealstone_config::{Digest, MeasuredConfig};
use sealstone_daemon::channel::{Channel, Inside, Limits, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::evidence::quotes::Quoter;
use sealstone_daemon::front::{Answer, Body, Front};
use sealstone_daemon::life::Life;
use sealstone_daemon::server;
use sealstone_daemon::tpm::Transport;
use sealstone_release::pin::Pin;
use sealstone_release::policy::Policy;
use serde_json::{Value, json};
use tokio::time::Sleep;

use super::tpm::{FakeTpm, Sign};

pub const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

/// What was measured into PCR 4; all other registers are as they start.
pub const MEASURED: [u8; 32] = [0xab; 32];

/// The policy of the tests: their TPM is nobody's.
pub const ANY_TPM: &str = "schema: sealstone/policy/v1\ntpm: {allow_unendorsed_key: true}\n";

fn pcr4() -> Digest {
    Digest::of(&[[0; 32], MEASURED].concat())
}

/// A TPM in which PCR 4 is as [`pin`] says, with a real key.
pub fn tpm() -> FakeTpm {
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| -> [u8; 32] { (*bytes.unwrap()).into() };
    let sign: Sign = Box::new(move |attest| {
        let signature: Signature = key.sign(attest);
        (signature.r().to_bytes().into(), signature.s().to_bytes().into())
    });
    let mut registers = vec![0; 16 * 32];
    registers[4 * 32..5 * 32].copy_from_slice(pcr4().as_bytes());
    let pcr_digest = *Digest::of(&registers).as_bytes();
    let point = (coordinate(point.x()), coordinate(point.y()));
    FakeTpm { point, sign, pcr_digest, delay: Duration::ZERO, quotes: usize::MAX, endorsement: None }
}

/// The pin of a machine into whose PCR 4 `measured` was measured.
fn pin_of(measured: [u8; 32]) -> Pin {
    let hex = |bytes: &[u8]| Digest::from_bytes(bytes.try_into().unwrap()).to_string();
    let zeros = hex(&[0; 32]);
    let file = json!({"sha256": zeros, "size": 1});
    let source = json!({"input": "constant", "how": "a test"});
    let mut events = vec![json!({
        "register": "pcr4", "op": "extend", "kind": "EV_EFI_ACTION", "digest": hex(&measured), "size": 1,
        "controlled_by": "image", "source": source,
    })];
    let mut pcrs = serde_json::Map::new();
    for number in 0..16 {
        let value = if number == 4 { Digest::of(&[[0; 32], measured].concat()).to_string() } else { zeros.clone() };
        pcrs.insert(number.to_string(), json!([value]));
        if number != 4 {
            events.push(json!({
                "register": format!("pcr{number}"), "op": "set", "kind": "untouched", "digest": zeros,
                "controlled_by": "platform", "source": source,
            }));
        }
    }
    let pin = json!({
        "schema": "sealstone/pin/v1",
        "image": {"name": "t", "version": "1", "kernel": file, "initrd": file, "cmdline": "", "uki": file, "disk": file},
        "source": {"spec_sha256": zeros, "lock_sha256": zeros},
        "models": [],
        "profiles": [{
            "id": "tpm-test", "tee": "tpm2", "vmm": "qemu",
            "firmware": {"name": "OVMF.fd", "sha256": zeros, "size": 1},
            "params": {"boot": "direct", "behaviour": "test", "kernel_header": ["patched"], "memory_mib": [1024]},
            "launch": {"bank": "sha256", "pcrs": pcrs, "unpinned": []},
            "events": events,
        }],
        "validity": null, "supersedes": null,
    });
    Pin::parse(&pin.to_string()).unwrap()
}

/// The pin that [`start`]'s machine satisfies.
pub fn pin() -> Pin {
    pin_of(MEASURED)
}

/// The pin of another image.
pub fn other_pin() -> Pin {
    pin_of([0xac; 32])
}

/// A client of `address` that trusts `pin`.
pub fn client(address: SocketAddr, pin: Pin, policy: &str) -> Client {
    let policy = Policy::parse("policy", policy).unwrap();
    Client::new(format!("http://{address}").parse().unwrap(), Trust { pin, policy, clock: now })
}

/// The front, with a small model's API inside the channel.
pub struct Model {
    front: Front,
    /// Requests that came in the channel.
    pub requests: Arc<AtomicUsize>,
    /// Streams that are being made.
    pub streams: Arc<AtomicUsize>,
}

impl Answer for Model {
    async fn answer<B>(&self, head: Parts, body: B, inside: &Inside) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
    {
        if let Inside::Open = inside {
            return self.front.answer(head, body, inside).await;
        }
        if head.uri.path().starts_with("/v1/tpm/") {
            return self.front.answer(head, body, inside).await;
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        match head.uri.path() {
            "/v1/models" => json_answer(StatusCode::OK, &json!({"object": "list", "data": [{"id": "tiny"}, {"id": "other"}]})),
            "/v1/chat/completions" => {
                let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
                    return json_answer(StatusCode::BAD_REQUEST, &json!({}));
                };
                self.complete(&serde_json::from_slice(&body).unwrap_or_default())
            }
            "/echo" => {
                let host = head.uri.authority().map(|authority| authority.to_string());
                let names: Vec<_> = head.headers.keys().map(|name| name.as_str().to_owned()).collect();
                let length = body.collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
                json_answer(StatusCode::IM_A_TEAPOT, &json!({"host": host, "headers": names, "length": length}))
            }
            _ => self.front.answer(head, Full::new(Bytes::new()), inside).await,
        }
    }

    fn channel(&self) -> Option<&Arc<Channel>> {
        self.front.channel()
    }

    fn life(&self) -> &Life {
        self.front.life()
    }
}

impl Model {
    fn complete(&self, request: &Value) -> Response<Body> {
        if request["model"] != "tiny" {
            return json_answer(
                StatusCode::NOT_FOUND,
                &json!({"error": {"code": "model_not_found", "message": "no such model"}}),
            );
        }
        let question = request["messages"].as_array().and_then(|m| m.last()).map(|m| m["content"].clone()).unwrap_or_default();
        let words = format!(
            "You said {} in message {}",
            question.as_str().unwrap_or_default(),
            request["messages"].as_array().unwrap().len()
        );
        let words: Vec<_> = words.split(' ').map(|word| format!(" {word}")).collect();
        let mut response = Response::new(Stream::new(words, &self.streams).boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
        response
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    response
}

/// Between two events of a stream.
pub const PAUSE: Duration = Duration::from_millis(100);

/// A completion's events, one every [`PAUSE`].
struct Stream {
    events: std::vec::IntoIter<String>,
    pause: Pinned<Box<Sleep>>,
    streams: Arc<AtomicUsize>,
}

impl Stream {
    fn new(words: Vec<String>, streams: &Arc<AtomicUsize>) -> Stream {
        streams.fetch_add(1, Ordering::SeqCst);
        let event = |word: String| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": word}}]}));
        let mut events: Vec<_> = words.into_iter().map(event).collect();
        events.push("data: [DONE]\n\n".to_owned());
        Stream { events: events.into_iter(), pause: Box::pin(tokio::time::sleep(Duration::ZERO)), streams: Arc::clone(streams) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pinned<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(tokio::time::sleep(PAUSE));
        Poll::Ready(self.events.next().map(|event| Ok(Frame::data(event.into()))))
    }
}

/// A started front.
pub struct Started {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
    pub streams: Arc<AtomicUsize>,
}

pub const LIMITS: Limits = Limits { pace: Duration::ZERO, ..Limits::DEFAULT };

/// Serves on a free port of the loopback interface until the test process ends.
pub fn start(limits: Limits) -> Started {
    start_with(limits, tpm())
}

/// The same with a TPM of the test's own.
pub fn start_with(limits: Limits, tpm: impl Transport + 'static) -> Started {
    let (send, receive) = mpsc::channel();
    let (requests, streams) = (Arc::default(), Arc::default());
    let counts = (Arc::clone(&requests), Arc::clone(&streams));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        runtime.block_on(async move {
            let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
            let quotes = Quoter::new(tpm, &measured, b"").await.unwrap().start();
            let channel = Channel::new(Source::Tpm(quotes.clone()), limits).unwrap();
            let front = Front::new(&measured, Kind::Tpm2, Path::new("/nonexistent")).with_quotes(quotes).with_channel(channel);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let model = Arc::new(Model { front, requests: counts.0, streams: counts.1 });
            let _ = server::serve(listener, model, server::Limits::DEFAULT).await;
        });
    });
    Started { address: receive.recv().unwrap(), requests, streams }
}

/// Whether `done` becomes true in reasonable time.
pub async fn eventually(done: impl Fn() -> bool) -> bool {
    for _ in 0..1000 {
        if done() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
