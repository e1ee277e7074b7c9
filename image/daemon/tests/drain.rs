//! The end of serving, over real sockets: what runs is finished, what is new is sent away, and nothing waits for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/peer.rs"]
#[allow(unreachable_pub, dead_code)]
mod peer;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::http::request::Parts;
use peer::{Heard, Peer, Session};
use sealstone_config::MeasuredConfig;
use sealstone_daemon::api::Api;
use sealstone_daemon::channel::{self, Channel, Inside, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::front::{Answer, Body, Front};
use sealstone_daemon::life::{self, Ended, Life};
use sealstone_daemon::server;
use tokio::time::Sleep;

const CONFIG: &str = r#"{"attestation":"insecure","image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

const END: life::Limits = life::Limits { requests: Duration::from_secs(20), farewell: Duration::from_secs(10) };

const CHAT: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
const COUNT: &[u8] = b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n";
const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// The front, and `/count`, which takes two seconds: a line every 20 ms, a hundred of them.
struct Counting(Front);

impl Answer for Counting {
    async fn answer<B>(&self, head: Parts, body: B, inside: &Inside) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
    {
        match head.uri.path() {
            "/count" => Response::new(Count { next: 0, pause: Box::pin(tokio::time::sleep(PAUSE)) }.boxed_unsync()),
            _ => self.0.answer(head, body, inside).await,
        }
    }

    fn life(&self) -> &Life {
        self.0.life()
    }

    fn channel(&self) -> Option<&Arc<Channel>> {
        self.0.channel()
    }
}

const PAUSE: Duration = Duration::from_millis(20);

struct Count {
    next: usize,
    pause: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Count {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next == 100 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(tokio::time::sleep(PAUSE));
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(format!("line {}\n", self.next).into()))))
    }
}

struct Started {
    address: SocketAddr,
    life: Life,
    server: JoinHandle<Ended>,
}

impl Started {
    /// Waits for the server's end, and says how long that took.
    fn ended(self) -> (Ended, Duration) {
        let began = Instant::now();
        (self.server.join().unwrap(), began.elapsed())
    }
}

fn start(end: life::Limits) -> Started {
    let (send, receive) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
            let limits = channel::Limits { pace: Duration::ZERO, ..channel::Limits::DEFAULT };
            let channel = Channel::new(Source::Insecure(Bytes::from_static(b"{}")), limits).unwrap();
            let api = Api::new(&measured, Vec::new(), sealstone_daemon::api::Limits::DEFAULT);
            let front =
                Front::new(&measured, Kind::Insecure, Path::new("/nonexistent")).with_channel(channel).with_api(Arc::new(api));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send((listener.local_addr().unwrap(), front.life().clone())).unwrap();
            server::serve(listener, Arc::new(Counting(front)), server::Limits { end, ..server::Limits::DEFAULT }).await.unwrap()
        })
    });
    let (address, life) = receive.recv().unwrap();
    Started { address, life, server }
}

/// Asks `session` and reads until `end`.
fn ask(session: &mut Session, request: &[u8], end: &str) -> String {
    session.say(request);
    session.until(end)
}

/// Whether `done` becomes true in reasonable time.
fn eventually(done: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn running_streams_finish_and_new_requests_are_sent_away() {
    let front = start(END);
    let (mut streaming, mut asking) = (Peer::session(front.address, 1), Peer::session(front.address, 2));
    let mut open = TcpStream::connect(front.address).unwrap();
    open.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(ask(&mut asking, CHAT, "missing_parameter").contains("400 Bad Request"), "it serves");
    streaming.say(COUNT);
    streaming.until("line 3");
    front.life.end();
    assert!(eventually(|| TcpStream::connect(front.address).is_err()), "the listening socket is closed");
    // In a session that was there: requests are sent away, and the state says why.
    let refused = ask(&mut asking, CHAT, "\"draining\"");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 10\r\n"), "{refused}");
    assert!(ask(&mut asking, HEALTH, "\"stages\"").contains("\"status\":\"draining\""));
    // On a connection that was there: the same state, and no way into a new session.
    open.write_all(HEALTH).unwrap();
    let head = peer::head(&mut open);
    let length: usize = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    open.read_exact(&mut body).unwrap();
    assert!(String::from_utf8(body).unwrap().contains("\"status\":\"draining\""));
    open.write_all(peer::UPGRADE.as_bytes()).unwrap();
    let refused = peer::head(&mut open);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 10\r\n"), "{refused}");
    // The stream comes to its own end, and both sessions to theirs.
    let rest = streaming.until("line 100\n");
    assert!(rest.contains("line 100\n"), "the stream was cut: {rest}");
    for session in [&mut streaming, &mut asking] {
        session.until("never");
        assert!(session.duplex.peer_has_ended(), "the session was cut");
        assert_eq!(session.peer.hear(), Heard::Close(1000));
    }
    drop((streaming, asking, open));
    let (ended, took) = front.ended();
    assert_eq!(ended, Ended { requests: 0, sessions: 0 });
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn an_idle_front_ends_at_once() {
    let front = start(END);
    let mut idle = Peer::session(front.address, 1);
    ask(&mut idle, HEALTH, "\"stages\"");
    // Half a handshake has nothing that is worth waiting for.
    let mut half = Peer::open(front.address).unwrap();
    front.life.end();
    let (ended, took) = front.ended();
    assert_eq!((ended, took < Duration::from_secs(5)), (Ended { requests: 0, sessions: 0 }, true), "{took:?}");
    assert!(idle.record().is_none(), "an end, not a cut");
    assert_eq!(half.hear(), Heard::Close(1013));
}

#[test]
fn http_2_sessions_are_told_as_well() {
    let front = start(END);
    let mut session = Peer::session(front.address, 1);
    // Preface, SETTINGS, then GET /count on stream 1 (RFC 9113, RFC 7541).
    let get = |path: &[u8], stream: u8| {
        let block = [&[0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()][..], path, &[0x41, 0x01, b'x']].concat();
        [&[0, 0, u8::try_from(block.len()).unwrap(), 1, 0x05, 0, 0, 0, stream][..], &block].concat()
    };
    session.say(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], &get(b"/count", 1)].concat());
    session.until("line 3");
    front.life.end();
    assert!(eventually(|| front.life.is_draining()));
    // A second stream in the same session.
    session.say(&get(b"/v1/models", 3));
    let both = session.until("line 100\n");
    assert!(both.contains("\"draining\"") && both.contains("line 100\n"), "{both}");
    let (ended, _) = front.ended();
    assert_eq!(ended.requests, 0);
}

#[test]
fn nobody_can_put_the_end_off() {
    let limits = life::Limits { requests: Duration::from_millis(500), farewell: Duration::from_millis(500) };
    let front = start(limits);
    let mut streaming = Peer::session(front.address, 1);
    streaming.say(COUNT);
    streaming.until("line 3");
    // Another sends its body a byte at a time, for ever.
    let mut slow = Peer::session(front.address, 2);
    slow.say(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{");
    assert!(eventually(|| front.life.requests() == 2));
    front.life.end();
    let (ended, took) = front.ended();
    assert_eq!(ended.requests, 2, "both are cut off");
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(4), "{took:?}");
}
