//! The API against an engine that each test plays, over a real socket with the real protocol.

mod mock;
mod refusals;
mod replies;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::CONTENT_LENGTH;
use hyper::{Method, Request, Response};
use sealstone_config::MeasuredConfig;
use sealstone_protocol::Facts;
use serde_json::{Value, json};

use self::mock::Mock;
use super::engine::{self, Client, State};
use super::{Api, Limits};
use crate::channel::Session;
use crate::front::Body;

const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[{"file":"a.gguf","name":"alpha","required":true,"root":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","salt":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":8192},{"file":"b.gguf","name":"beta","required":false,"root":"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100","salt":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":8192}],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

fn facts() -> Facts {
    Facts { name: "alpha".into(), context: 512, sequences: 4, width: 3, vocabulary: 300, parameters: 1000 }
}

/// Runs a test on a runtime as the front's.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(60), test).await.expect("the test hangs") });
}

/// An API whose first model has this engine, which has said hello; the second one's is gone.
async fn started(limits: engine::Limits) -> (Api, Mock) {
    let (client, mut mock) = silent(limits);
    mock.hello(facts()).await;
    until(|| matches!(client.state(), State::Ready(_))).await;
    (api(client), mock)
}

fn silent(limits: engine::Limits) -> (Client, Mock) {
    let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
    (Client::start(ours, 0, "alpha", limits), Mock::new(theirs))
}

fn api(client: Client) -> Api {
    let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
    Api::new(&measured, vec![client], Limits::DEFAULT)
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

fn session() -> Session {
    Session::salted(std::array::from_fn(|n| u8::try_from(n).unwrap()))
}

async fn send(api: &Api, method: Method, path: &str, body: &[u8]) -> Option<Response<Body>> {
    let request = Request::builder().method(method).uri(path).header(CONTENT_LENGTH, body.len());
    let (head, body) = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap().into_parts();
    api.answer(&head, body, &session()).await
}

async fn post(api: &Api, path: &str, body: &Value) -> Response<Body> {
    send(api, Method::POST, path, body.to_string().as_bytes()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn value(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// A reply without what differs from one to the next, which is looked at here.
fn scrubbed(mut reply: Value) -> Value {
    let object = reply.as_object_mut().unwrap();
    let (prefix, id) =
        object.remove("id").unwrap().as_str().unwrap().split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(id.len() == 24 && ["chatcmpl", "cmpl"].contains(&prefix.as_str()), "{prefix} {id}");
    assert!(object.remove("created").unwrap().as_u64().unwrap() > 1_700_000_000);
    assert_eq!(object.remove("system_fingerprint").unwrap().as_str().unwrap().len(), 64);
    reply
}

/// A stream's events, of which the last is `[DONE]` if it ended well.
fn events(stream: &str) -> Vec<Value> {
    let events = stream.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect(event));
    events.map(|event| if event == "[DONE]" { json!("[DONE]") } else { serde_json::from_str(event).unwrap() }).collect()
}

fn hello() -> Value {
    json!({"model": "alpha", "messages": [{"role": "user", "content": "hello"}]})
}

fn with(mut object: Value, members: Value) -> Value {
    object.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    object
}
