//! The client against a front, and against everything that isn't the front it wants.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(unreachable_pub, dead_code)]
mod support;
#[path = "../../../image/daemon/tests/support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sealstone_channel::noise::{Entropy, StaticKey};
use sealstone_channel::session::{self, Progress, Server};
use sealstone_channel::stream::{Masks, Wire};
use sealstone_channel::websocket::{self, Mask};
use sealstone_client::{Body, ClientError, Session, Sessions};
use sealstone_release::verdict::{Check, Outcome};
use support::{ANY_TPM, LIMITS, client, eventually, other_pin, pin, start};
use tokio::net::{TcpListener, TcpStream};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    sealstone_client::run(future).unwrap()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://x{path}")).body(empty()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn refusals(error: &ClientError) -> Vec<&'static str> {
    let is_refused = |check: &&Check| matches!(check.outcome, Outcome::Refused(_));
    error.verdict().unwrap_or_else(|| panic!("{error}")).checks().iter().filter(is_refused).map(|check| check.id).collect()
}

#[test]
fn the_pinned_machine_is_accepted_and_answers() {
    block_on(async {
        let front = start(LIMITS);
        let attested = client(front.address, pin(), ANY_TPM).connect().await.unwrap();
        assert!(attested.verdict.is_accepted(), "{}", attested.verdict.to_text());
        let binding = attested.verdict.checks().iter().find(|check| check.id == "binding").unwrap();
        assert_eq!(binding.outcome, Outcome::Passed);
        // HTTP/1.1 inside.
        let (mut sender, connection) = http1::handshake(TokioIo::new(attested.stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/v1/models").header("host", "x").body(Empty::<Bytes>::new()).unwrap();
        assert!(text(sender.send_request(request).await.unwrap()).await.contains("\"tiny\""));
        // HTTP/2 inside, many requests at a time, with bodies that fill many records.
        let sessions = Arc::new(Sessions::new(client(front.address, pin(), ANY_TPM)));
        let asking: Vec<_> = (0..30_usize)
            .map(|n| {
                let sessions = Arc::clone(&sessions);
                tokio::spawn(async move {
                    let body = Full::new(Bytes::from(vec![b'x'; n * 10_000])).map_err(|never| match never {}).boxed_unsync();
                    let request = Request::post("http://x/echo").body(body).unwrap();
                    let reply = text(sessions.send(request).await.unwrap()).await;
                    assert!(reply.contains(&format!("\"length\":{}", n * 10_000)), "{reply}");
                })
            })
            .collect();
        for asked in asking {
            asked.await.unwrap();
        }
    });
}

#[test]
fn another_image_or_an_unknown_tpm_is_refused_and_told_nothing() {
    let table = [(other_pin(), ANY_TPM, 11, "pin.pcr4"), (pin(), "schema: sealstone/policy/v1\n", 12, "tpm.endorsement")];
    for (pin, policy, code, check) in table {
        block_on(async {
            let front = start(LIMITS);
            let (address, sent) = wiretap(front.address).await;
            let error = client(address, pin, policy).connect().await.unwrap_err();
            assert!(refusals(&error).contains(&check), "{error}");
            assert_eq!(error.verdict().unwrap().exit_code(), code);
            assert!(error.to_string().contains(check));
            assert_eq!(front.requests.load(Ordering::SeqCst), 0);
            // The upgrade, the hello (6 bytes of head, 32), and a close frame (6, 2): nothing else left this client.
            let after_upgrade = || {
                let sent = sent.lock().unwrap();
                let end = sent.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                sent.len() - end
            };
            eventually(|| after_upgrade() >= 38 + 8).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(after_upgrade(), 38 + 8, "bytes after the upgrade");
        });
    }
}

/// Hands everything on in both directions, and keeps what the client sent.
async fn wiretap(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&sent);
    tokio::spawn(async move {
        let (from, _) = listener.accept().await.unwrap();
        let to = TcpStream::connect(to).await.unwrap();
        loop {
            let (mut up, mut down) = ([0; 4096], [0; 4096]);
            if let Ok(length) = from.try_read(&mut up) {
                if length == 0 {
                    return;
                }
                kept.lock().unwrap().extend_from_slice(&up[..length]);
                assert_eq!(to.try_write(&up[..length]).unwrap(), length);
            }
            if let Ok(length) = to.try_read(&mut down) {
                assert_eq!(from.try_write(&down[..length]).unwrap(), length);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    (address, sent)
}

/// What a false front does with a client whose hello it got.
type Reply = Arc<dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync>;

/// A false front: WebSocket as it should be, and then the messages that `reply` makes of the client's hello.
async fn false_front(reply: Reply) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let reply = Arc::clone(&reply);
            let service = service_fn(move |request| switch(request, Arc::clone(&reply)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

async fn switch(mut request: Request<Incoming>, reply: Reply) -> Result<Response<Empty<Bytes>>, std::convert::Infallible> {
    let accept = websocket::accept(request.headers()[SEC_WEBSOCKET_KEY].to_str().unwrap());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut wire = Wire::new(TokioIo::new(upgrade.await.unwrap()), Masks::Server);
        let hello = wire.receive().await.unwrap();
        for message in reply(&hello) {
            wire.send(&message).await.unwrap();
        }
        let _ = wire.receive().await;
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header(CONNECTION, "upgrade");
    let response = response.header(UPGRADE, "websocket").header(SEC_WEBSOCKET_PROTOCOL, "sealstone.v1");
    Ok(response.header(SEC_WEBSOCKET_ACCEPT, accept).body(Empty::new()).unwrap())
}

/// The handshake with a key of the false front's, and `document` as evidence.
fn with_evidence(hello: &[u8], document: &[u8]) -> Vec<Vec<u8>> {
    let (server, reply) = Server::respond(&StaticKey::new([1; 32]), Entropy::new([2; 32]), hello).unwrap();
    let (evidence, _) = server.evidence(document).unwrap();
    [vec![reply.to_vec()], evidence].concat()
}

/// The true front's evidence for a session that the man in the middle opens.
fn relayed(front: SocketAddr) -> Vec<u8> {
    std::thread::spawn(move || {
        block_on(async {
            let stream = TcpStream::connect(front).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            let request =
                Request::get("/v1/channel").header("host", "x").header(CONNECTION, "upgrade").header(UPGRADE, "websocket");
            let request = request.header("sec-websocket-version", "13").header(SEC_WEBSOCKET_PROTOCOL, "sealstone.v1");
            let request = request.header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==").body(Empty::<Bytes>::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let upgraded = hyper::upgrade::on(response).await.unwrap();
            let mut wire = Wire::new(TokioIo::new(upgraded), Masks::Client(|| Mask([1, 2, 3, 4])));
            let (session, hello) = session::Client::start(Entropy::new([3; 32])).unwrap();
            wire.send(&hello).await.unwrap();
            let mut waiting = session.reply(&wire.receive().await.unwrap()).unwrap();
            loop {
                match waiting.message(&wire.receive().await.unwrap()).unwrap() {
                    Progress::More(more) => waiting = more,
                    Progress::Complete(judgement) => return judgement.document().to_vec(),
                }
            }
        })
    })
    .join()
    .unwrap()
}

#[test]
fn a_man_in_the_middle_is_refused_by_the_binding() {
    block_on(async {
        let front = start(LIMITS);
        // He ends Noise on both sides and relays genuine, fresh evidence: everything about it is right but whose session it is.
        let relay: Reply = Arc::new(move |hello| with_evidence(hello, &relayed(front.address)));
        let error = client(false_front(relay).await, pin(), ANY_TPM).connect().await.unwrap_err();
        assert_eq!(refusals(&error), ["binding"]);
        assert_eq!(error.code(), "binding");
        // He replays evidence that a client was given before.
        let kept = relayed(front.address);
        let replay: Reply = Arc::new(move |hello| with_evidence(hello, &kept));
        let error = client(false_front(replay).await, pin(), ANY_TPM).connect().await.unwrap_err();
        assert_eq!(refusals(&error), ["binding"]);
        assert_eq!(front.requests.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn what_is_no_front_is_named() {
    let insecure = r#"{"config":"","schema":"sealstone/evidence/v1","tee":"insecure"}"#;
    let table: Vec<(&str, Reply, &str)> = vec![
        ("no handshake", Arc::new(|_| vec![vec![7; 96]]), "channel_failed"),
        ("a short reply", Arc::new(|_| vec![vec![7; 95]]), "channel_failed"),
        (
            "garbage for evidence",
            Arc::new(|hello| vec![with_evidence(hello, b"x").swap_remove(0), vec![7; 1040]]),
            "channel_failed",
        ),
        ("evidence that isn't", Arc::new(|hello| with_evidence(hello, b"{}")), "evidence_unreadable"),
        ("no evidence", Arc::new(move |hello| with_evidence(hello, insecure.as_bytes())), "evidence_unreadable"),
    ];
    for (what, reply, code) in table {
        block_on(async {
            let error = client(false_front(reply).await, pin(), ANY_TPM).connect().await.unwrap_err();
            assert_eq!(error.code(), code, "{what}: {error}");
        });
    }
    block_on(async {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(client(nobody, pin(), ANY_TPM).connect().await.unwrap_err().code(), "unreachable");
        let full = start(sealstone_daemon::channel::Limits { sessions: 0, ..LIMITS });
        assert_eq!(client(full.address, pin(), ANY_TPM).connect().await.unwrap_err().code(), "busy");
    });
}

#[test]
fn sessions_end_with_age_and_each_new_one_is_judged() {
    block_on(async {
        let front = start(sealstone_daemon::channel::Limits { age: Duration::from_millis(500), ..LIMITS });
        let sessions = Sessions::new(client(front.address, pin(), ANY_TPM));
        let first = sessions.session().await.unwrap();
        let mut verdicts = vec![Arc::clone(first.verdict())];
        for _ in 0..6 {
            assert!(text(sessions.send(get("/v1/models")).await.unwrap()).await.contains("tiny"));
            let session: Session = sessions.session().await.unwrap();
            if !verdicts.iter().any(|verdict| Arc::ptr_eq(verdict, session.verdict())) {
                verdicts.push(Arc::clone(session.verdict()));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(verdicts.len() >= 2, "no new session in two seconds");
        assert!(verdicts.iter().all(|verdict| verdict.is_accepted()));
    });
}
