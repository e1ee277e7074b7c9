//! The proxy and the conversation, with a front and a small model behind them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(unreachable_pub, dead_code)]
mod support;
#[path = "../../../image/daemon/tests/support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sealstone_client::Sessions;
use sealstone_client::chat::{ChatError, Conversation, Manner};
use sealstone_client::proxy::Proxy;
use sealstone_release::pin::Pin;
use serde_json::{Value, json};
use support::{ANY_TPM, LIMITS, PAUSE, client, eventually, other_pin, pin, start};
use tokio::net::TcpStream;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    sealstone_client::run(future).unwrap()
}

/// A proxy to `front` for whoever trusts `pin`.
async fn proxy(front: SocketAddr, pin: Pin) -> SocketAddr {
    let sessions = Arc::new(Sessions::new(client(front, pin, ANY_TPM)));
    let proxy = Proxy::bind("127.0.0.1:0".parse().unwrap(), sessions).await.unwrap();
    let address = proxy.address().unwrap();
    tokio::spawn(proxy.serve());
    address
}

/// Sends a request over a connection of its own.
async fn send(address: SocketAddr, request: Request<String>) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request.map(|body| Full::new(Bytes::from(body)))).await.unwrap()
}

fn get(path: &str) -> Request<String> {
    Request::get(path).header("host", "127.0.0.1:8080").body(String::new()).unwrap()
}

fn question() -> Request<String> {
    let body = json!({"model": "tiny", "stream": true, "messages": [{"role": "user", "content": "hello there"}]});
    Request::post("/v1/chat/completions").header("host", "localhost").body(body.to_string()).unwrap()
}

async fn json_of(response: Response<Incoming>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[test]
fn requests_go_through_as_they_are() {
    block_on(async {
        let front = start(LIMITS);
        let address = proxy(front.address, pin()).await;
        let response = send(address, get("/v1/models")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(json_of(response).await["data"][0]["id"], "tiny");
        let request = Request::post("/echo").header("host", "localhost").header("authorization", "Bearer x");
        let request = request.header("connection", "close, x-hop").header("x-hop", "1").body("x".repeat(100_000)).unwrap();
        let response = send(address, request).await;
        assert_eq!(response.status(), 418, "the image's status");
        let echo = json_of(response).await;
        assert_eq!((echo["length"].as_u64(), echo["host"].as_str()), (Some(100_000), Some("sealstone")));
        let headers = echo["headers"].to_string();
        assert!(headers.contains("authorization") && !headers.contains("x-hop") && !headers.contains("\"host\""), "{headers}");
        assert_eq!(send(address, get("/healthz")).await.status(), 200);
        assert_eq!(send(address, get("/nothing")).await.status(), 404);
    });
}

#[test]
fn streams_come_as_they_are_made_and_end_when_nobody_listens() {
    block_on(async {
        let front = start(LIMITS);
        let address = proxy(front.address, pin()).await;
        let began = Instant::now();
        let response = send(address, question()).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let mut times = Vec::new();
        while let Some(frame) = body.frame().await {
            assert!(frame.unwrap().is_data());
            times.push(began.elapsed());
        }
        // Seven words and the end mark: buffered, they would come as one.
        assert!(times.len() >= 7, "{times:?}");
        assert!(times[0] + 4 * PAUSE < *times.last().unwrap(), "{times:?}");
        // A client that goes away in the middle.
        let response = send(address, question()).await;
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(front.streams.load(Ordering::SeqCst), 1);
        drop(body);
        assert!(eventually(|| front.streams.load(Ordering::SeqCst) == 0).await);
    });
}

#[test]
fn the_verdict_is_shown() {
    block_on(async {
        let front = start(LIMITS);
        let address = proxy(front.address, pin()).await;
        let response = send(address, get("/verdict")).await;
        assert_eq!(response.status(), 200);
        let verdict = json_of(response).await;
        assert_eq!((verdict["schema"].as_str(), verdict["accepted"].as_bool()), (Some("sealstone/verdict/v1"), Some(true)));
        assert_eq!(front.requests.load(Ordering::SeqCst), 0, "the proxy's own answer");
        let mut post = get("/verdict");
        *post.method_mut() = hyper::Method::POST;
        assert_eq!(send(address, post).await.status(), 405);
    });
}

#[test]
fn a_refusal_is_a_502_that_names_the_check() {
    block_on(async {
        let front = start(LIMITS);
        let address = proxy(front.address, other_pin()).await;
        for request in [get("/v1/models"), question()] {
            let response = send(address, request).await;
            assert_eq!(response.status(), 502);
            let error = json_of(response).await["error"].take();
            assert_eq!((error["type"].as_str(), error["exit_code"].as_u64()), (Some("attestation_refused"), Some(11)));
            let refused: Vec<_> =
                error["refused"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
            assert!(refused.contains(&"pin.pcr4"), "{error}");
            assert_eq!(error["code"], refused[0]);
        }
        let response = send(address, get("/verdict")).await;
        assert_eq!(response.status(), 502);
        assert_eq!(json_of(response).await["accepted"], false);
        assert_eq!(front.requests.load(Ordering::SeqCst), 0, "nothing went in");
        // Nobody there is another matter.
        let nobody = "127.0.0.1:1".parse().unwrap();
        let response = send(proxy(nobody, pin()).await, get("/v1/models")).await;
        assert_eq!(response.status(), 502);
        assert_eq!(json_of(response).await["error"]["code"], "unreachable");
    });
}

#[test]
fn pages_in_a_browser_are_kept_out() {
    block_on(async {
        let front = start(LIMITS);
        let address = proxy(front.address, pin()).await;
        let evil = Request::get("/v1/models").header("host", "evil.example").body(String::new()).unwrap();
        assert_eq!(send(address, evil).await.status(), 403);
        let mut evil = question();
        evil.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
        assert_eq!(send(address, evil).await.status(), 403);
        assert_eq!(front.requests.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_conversation() {
    block_on(async {
        let front = start(LIMITS);
        let sessions = Sessions::new(client(front.address, pin(), ANY_TPM));
        let mut conversation = Conversation::open(&sessions, Manner::default()).await.unwrap();
        assert_eq!(conversation.model(), "tiny");
        for (question, messages) in [("one", 1), ("two", 3)] {
            let (mut answer, mut pieces, began) = (String::new(), 0, Instant::now());
            let mut first = Duration::MAX;
            let ask = conversation.ask(question, |piece| {
                first = first.min(began.elapsed());
                answer.push_str(piece);
                pieces += 1;
            });
            ask.await.unwrap();
            assert_eq!(answer, format!(" You said {question} in message {messages}"));
            assert!(pieces >= 6 && first + 3 * PAUSE < began.elapsed(), "streamed: {pieces} {first:?}");
        }
        let mut unknown =
            Conversation::open(&sessions, Manner { model: Some("absent".to_owned()), ..Manner::default() }).await.unwrap();
        match unknown.ask("one", |_| ()).await.unwrap_err() {
            ChatError::Status { status: 404, message } => assert_eq!(message, "no such model"),
            error => panic!("{error}"),
        }
    });
}
