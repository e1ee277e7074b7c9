//! The channel over real sockets: sessions, and everything that peers do instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/peer.rs"]
#[allow(unreachable_pub)]
mod peer;
#[path = "support/tpm.rs"]
#[allow(unreachable_pub)]
mod tpm;

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::http::request::Parts;
use peer::{Heard, Peer, UPGRADE};
use sealstone_channel::limits::BUCKETS;
use sealstone_config::{Digest, MeasuredConfig};
use sealstone_daemon::channel::{Channel, Inside, Limits, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::evidence::quotes::Quoter;
use sealstone_daemon::front::{Answer, Body, Front};
use sealstone_daemon::life::Life;
use sealstone_daemon::server;
use tokio::time::Sleep;
use tpm::{Endorsement, FakeTpm};

const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

/// Short enough for a test, long enough for a busy machine.
const LIMITS: Limits = Limits {
    hello: Duration::from_secs(2),
    handshake: Duration::from_secs(10),
    idle: Duration::from_secs(20),
    pace: Duration::ZERO,
    ..Limits::DEFAULT
};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// The front, and besides it, inside the channel only, `/count`: a line every 20 ms, a hundred of them; and `/think`, which is
/// answered as what isn't there, but after [`THOUGHT`].
struct Counting {
    front: Front,
    open_bodies: Arc<AtomicUsize>,
}

impl Answer for Counting {
    async fn answer<B>(&self, head: Parts, body: B, inside: &Inside) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
    {
        match (head.uri.path(), inside) {
            ("/count", Inside::Channel(_)) => Response::new(Count::new(&self.open_bodies).boxed_unsync()),
            ("/think", Inside::Channel(_)) => {
                tokio::time::sleep(THOUGHT).await;
                self.front.answer(head, body, inside).await
            }
            _ => self.front.answer(head, body, inside).await,
        }
    }

    fn channel(&self) -> Option<&Arc<Channel>> {
        self.front.channel()
    }

    fn life(&self) -> &Life {
        self.front.life()
    }
}

/// The body of `/count`, which says when it is dropped.
struct Count {
    next: usize,
    pause: Pin<Box<Sleep>>,
    open_bodies: Arc<AtomicUsize>,
}

const PAUSE: Duration = Duration::from_millis(20);

const THOUGHT: Duration = Duration::from_secs(5);

impl Count {
    fn new(open_bodies: &Arc<AtomicUsize>) -> Count {
        open_bodies.fetch_add(1, Ordering::SeqCst);
        Count { next: 0, pause: Box::pin(tokio::time::sleep(PAUSE)), open_bodies: Arc::clone(open_bodies) }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.open_bodies.fetch_sub(1, Ordering::SeqCst);
    }
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

/// A started front.
struct Started {
    address: SocketAddr,
    open_bodies: Arc<AtomicUsize>,
}

/// Serves on a free port of the loopback interface until the test process ends.
fn start(limits: Limits, tpm: FakeTpm) -> Started {
    let (send, receive) = mpsc::channel();
    let open_bodies = Arc::new(AtomicUsize::new(0));
    let bodies = Arc::clone(&open_bodies);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
            let quotes = Quoter::new(tpm, &measured, b"log").await.unwrap().start();
            let channel = Channel::new(Source::Tpm(quotes.clone()), limits).unwrap();
            let front = Front::new(&measured, Kind::Tpm2, Path::new("/nonexistent")).with_quotes(quotes).with_channel(channel);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let answer = Arc::new(Counting { front, open_bodies: bodies });
            let _ = server::serve(listener, answer, server::Limits::DEFAULT).await;
        });
    });
    Started { address: receive.recv().unwrap(), open_bodies }
}

fn quick() -> FakeTpm {
    FakeTpm::unchecked(Duration::ZERO)
}

/// Whether `done` becomes true in reasonable time.
fn eventually(done: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn evidence_is_bound_to_the_handshake() {
    let front = start(LIMITS, quick());
    let mut qualifying = Vec::new();
    for _ in 0..2 {
        // The same entropy twice: the server's differs, and that is enough.
        let judgement = Peer::open(front.address).unwrap().evidence(7);
        let document: serde_json::Value = serde_json::from_slice(judgement.document()).unwrap();
        assert_eq!((document["schema"].as_str(), document["config"].as_str()), (Some("sealstone/evidence/v1"), Some(CONFIG)));
        let expected = judgement.hash().qualifying_data(Digest::of(CONFIG.as_bytes()).as_bytes(), &[0; 32]);
        // magic, type, empty signer, size of the extra data: 10 bytes; so the extra data are bytes 10 to 42 of what was signed.
        let attest = unbase64(document["quote"].as_str().unwrap());
        assert_eq!(attest[10..42], expected);
        qualifying.push(expected);
    }
    assert_ne!(qualifying[0], qualifying[1]);
}

fn unbase64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text.trim_end_matches('=').chars().map(|c| alphabet.find(c).unwrap() as u32).collect();
    let group = |g: &[u32]| {
        let bits = (0..4).fold(0, |bits, i| bits << 6 | g.get(i).copied().unwrap_or(0));
        bits.to_be_bytes()[1..g.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[test]
fn http_1_inside_with_requests_in_a_row() {
    let front = start(LIMITS, quick());
    let mut session = Peer::session(front.address, 1);
    for _ in 0..3 {
        session.say(HEALTH);
        let reply = session.until("\"stages\"");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
    // In pieces, and then the end.
    for byte in b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" {
        session.say(&[*byte]);
    }
    let reply = session.until("never");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("\"stages\""), "{reply}");
    assert!(session.duplex.peer_has_ended(), "the stream ends, it isn't cut");
    assert_eq!(session.peer.hear(), Heard::Close(1000));
}

#[test]
fn http_2_inside() {
    let front = start(LIMITS, quick());
    let mut session = Peer::session(front.address, 1);
    // RFC 9113: preface, empty SETTINGS; RFC 7541: GET, http, /healthz and the authority x, on streams 1 and 3.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in [1, 3] {
        let block = [&[0x82, 0x86, 0x04, 0x08][..], b"/healthz", &[0x41, 0x01, b'x']].concat();
        bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 0x05, 0, 0, 0, stream]);
        bytes.extend(block);
    }
    session.say(&bytes);
    let (mut received, mut ended) = (Vec::new(), 0);
    while ended < 2 {
        received.extend(session.record().unwrap().0);
        // Frames: length, type, flags, stream.
        let mut at = 0;
        ended = 0;
        while let Some(head) = received.get(at..at + 9) {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            ended += usize::from(head[3] == 0 && head[4] & 1 == 1);
            at += 9 + length;
        }
    }
    assert_eq!(String::from_utf8_lossy(&received).matches("\"stages\"").count(), 2);
}

#[test]
fn what_is_for_inside_is_not_in_the_open() {
    let front = start(LIMITS, quick());
    let mut stream = std::net::TcpStream::connect(front.address).unwrap();
    stream.write_all(b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(peer::head(&mut stream).starts_with("HTTP/1.1 404 "));
    let mut session = Peer::session(front.address, 1);
    session.say(b"GET /v1/channel HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(session.until("\r\n\r\n").starts_with("HTTP/1.1 404 "), "no channel in the channel");
}

/// Asks in a session; status line and headers, and the body.
fn ask(session: &mut peer::Session, request: &[u8]) -> (String, Vec<u8>) {
    session.say(request);
    let mut reply = session.record().unwrap().0;
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(reply[..end].to_vec()).unwrap();
    let length: usize = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    while reply.len() < end + length {
        reply.extend(session.record().unwrap().0);
    }
    (head, reply.split_off(end))
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!("POST /v1/tpm/activate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

const GET_ENDORSEMENT: &[u8] = b"GET /v1/tpm/endorsement HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn the_endorsement_key_is_for_sessions() {
    let certificate = [vec![0x30, 0x82, 1, 0], vec![0x5a; 256]].concat();
    let good = [&[0, 2, 1, 1, 0, 3, 2, 2, 2][..]].concat();
    let (kept, expected) = (certificate.clone(), good.clone());
    let activate = Box::new(move |credential: &[u8]| (credential == expected).then(|| vec![0x5e; 32]));
    let tpm = FakeTpm { endorsement: Some(Endorsement { certificate, activate }), ..quick() };
    let front = start(LIMITS, tpm);
    let mut session = Peer::session(front.address, 1);
    let (head, body) = ask(&mut session, GET_ENDORSEMENT);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/pkix-cert") && head.contains("no-store"), "{head}");
    assert_eq!(body, kept);
    for _ in 0..3 {
        let (head, body) = ask(&mut session, &post(&good));
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/octet-stream"), "{head}");
        assert_eq!(body, [0x5e; 32]);
    }
    let long = [&[0, 132][..], &[1; 132], &[1, 0], &[2; 257]].concat();
    let table: &[(&[u8], &str, &str)] = &[
        (&post(&[0, 2, 1, 0, 0, 3, 2, 2, 2]), "400", "credential_refused"),
        (&post(b""), "400", "invalid_credential"),
        (&post(&good[..8]), "400", "invalid_credential"),
        (b"POST /v1/tpm/endorsement HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", "405", "method_not_allowed"),
        (b"GET /v1/tpm/activate HTTP/1.1\r\nhost: x\r\n\r\n", "405", "method_not_allowed"),
        (b"GET /v1/tpm/endorsement?a HTTP/1.1\r\nhost: x\r\n\r\n", "404", "not_found"),
        // A body that isn't read to its end closes the connection, so it comes last.
        (&post(&long), "400", "invalid_credential"),
    ];
    for (request, status, code) in table {
        let (head, body) = ask(&mut session, request);
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.contains(code), "{code}: {head} {body}");
    }
    // In the open there is no such path.
    for request in [GET_ENDORSEMENT, &post(&good)] {
        let mut stream = std::net::TcpStream::connect(front.address).unwrap();
        stream.write_all(request).unwrap();
        assert!(peer::head(&mut stream).starts_with("HTTP/1.1 404 "));
    }
}

#[test]
fn a_machine_without_an_endorsement_key_says_so() {
    let front = start(LIMITS, quick());
    let mut session = Peer::session(front.address, 1);
    for request in [GET_ENDORSEMENT, &post(&[0, 1, 1, 0, 1, 1])] {
        let (head, body) = ask(&mut session, request);
        assert!(head.starts_with("HTTP/1.1 404 ") && String::from_utf8(body).unwrap().contains("no_endorsement"), "{head}");
    }
}

#[test]
fn refusals_before_the_upgrade_are_http() {
    let front = start(LIMITS, quick());
    for (change, to, status) in [("GET", "POST", "405"), ("websocket", "h2c", "426"), ("sealstone.v1", "sealstone.v2", "400")] {
        let mut stream = std::net::TcpStream::connect(front.address).unwrap();
        stream.write_all(UPGRADE.replacen(change, to, 1).as_bytes()).unwrap();
        let head = peer::head(&mut stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {head}");
    }
}

#[test]
fn slow_peers_are_cut_off_at_every_step() {
    let front = start(LIMITS, quick());
    let hello = sealstone_channel::websocket::binary(&[7; 32], Some(sealstone_channel::websocket::Mask([0; 4])));
    // Nothing; a part of a frame's head; a part of the hello.
    for said in [0, 1, 3, 20] {
        let began = Instant::now();
        let mut peer = Peer::open(front.address).unwrap();
        assert!(peer.raw(&hello[..said]));
        assert_eq!(peer.hear(), Heard::Close(1002), "{said} bytes");
        assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
    // A byte from time to time: the bound is on the whole message, not on each pause. Pings don't help either.
    let began = Instant::now();
    let mut peer = Peer::open(front.address).unwrap();
    for byte in &hello[..20] {
        if !peer.raw(&[*byte]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(matches!(peer.hear(), Heard::Close(1002) | Heard::Gone));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let mut peer = Peer::open(front.address).unwrap();
    while peer.ping() && began.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
}

#[test]
fn half_handshakes_are_bounded_in_number_and_time() {
    let limits = Limits { handshakes: 3, ..LIMITS };
    let front = start(limits, quick());
    let pending: Vec<_> = (0..3).map(|_| Peer::open(front.address).unwrap()).collect();
    let refused = Peer::open(front.address).err().expect("a fourth handshake began");
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: 1"), "{refused}");
    // They end by themselves, and then there is room again.
    assert!(eventually(|| Peer::open(front.address).is_ok()));
    drop(pending);
    // Those that went further and stopped are sessions; they hold no handshake's place.
    assert!(eventually(|| Peer::open(front.address).is_ok()));
    let sessions: Vec<_> = (1..=5)
        .map(|n| {
            assert!(eventually(|| Peer::open(front.address).is_ok()));
            Peer::session(front.address, n)
        })
        .collect();
    assert_eq!(sessions.len(), 5);
}

#[test]
fn sessions_are_bounded_and_idle_ones_end() {
    let limits = Limits { sessions: 2, idle: Duration::from_secs(3), ..LIMITS };
    let front = start(limits, quick());
    let mut first = Peer::session(front.address, 1);
    let _second = Peer::session(front.address, 2);
    assert!(Peer::open(front.address).err().unwrap().starts_with("HTTP/1.1 429 "));
    let began = Instant::now();
    // Idle: the end comes without a farewell inside, so that nobody takes it for the stream's.
    assert!(matches!(first.peer.hear(), Heard::Gone | Heard::Close(_)));
    assert!(began.elapsed() >= Duration::from_secs(2) && began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(eventually(|| Peer::open(front.address).is_ok()));
}

/// A reply in one piece says nothing until it is there, and may take longer than an idle session lives.
#[test]
fn a_session_that_waits_for_an_answer_is_not_idle() {
    let front = start(Limits { idle: Duration::from_secs(2), ..LIMITS }, quick());
    let mut session = Peer::session(front.address, 1);
    session.say(b"GET /think HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(session.until("\"not_found\"").starts_with("HTTP/1.1 404 "));
    // It is again, once nothing is left to wait for.
    let began = Instant::now();
    assert!(matches!(session.peer.hear(), Heard::Gone | Heard::Close(_)));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn frames_that_are_too_long_are_refused_by_their_head() {
    let front = start(LIMITS, quick());
    for head in [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4][..], &[0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]] {
        let mut peer = Peer::open(front.address).unwrap();
        assert!(peer.raw(head));
        assert_eq!(peer.hear(), Heard::Close(1009));
        let mut session = Peer::session(front.address, 1);
        assert!(session.peer.raw(head));
        assert_eq!(session.peer.hear(), Heard::Close(1009), "in a session");
    }
}

#[test]
fn garbage_closes() {
    let front = start(LIMITS, quick());
    // In place of the hello.
    for garbage in [vec![], vec![7; 31], vec![7; 33], vec![7; 65_535]] {
        let mut peer = Peer::open(front.address).unwrap();
        assert!(peer.send(&garbage));
        assert_eq!(peer.hear(), Heard::Close(1002), "{} bytes", garbage.len());
    }
    // After the handshake: noise, another session's record, the same record twice, bytes that are no frame.
    let mut other = Peer::session(front.address, 1);
    let foreign = other.duplex.send(HEALTH).unwrap();
    for garbage in [vec![7; 1040], vec![7; 15], vec![], foreign] {
        let mut session = Peer::session(front.address, 2);
        assert!(session.peer.send(&garbage));
        assert_eq!(session.peer.hear(), Heard::Close(1002), "{} bytes", garbage.len());
        assert_eq!(session.peer.hear(), Heard::Gone);
    }
    let mut session = Peer::session(front.address, 3);
    let message = session.duplex.send(b"GET /healthz HT").unwrap();
    assert!(session.peer.send(&message) && session.peer.send(&message));
    assert_eq!(session.peer.hear(), Heard::Close(1002), "replayed");
    let mut session = Peer::session(front.address, 3);
    assert!(session.peer.raw(HEALTH));
    assert_eq!(session.peer.hear(), Heard::Close(1002), "HTTP outside the channel");
    // And the front is still there.
    let mut session = Peer::session(front.address, 4);
    session.say(HEALTH);
    assert!(session.until("\"stages\"").contains("200 OK"));
}

#[test]
fn nothing_may_be_sent_before_the_evidence() {
    let front = start(LIMITS, FakeTpm::unchecked(Duration::from_secs(3)));
    let mut peer = Peer::open(front.address).unwrap();
    let began = Instant::now();
    let _waiting = peer.shake(1);
    assert!(peer.send(&[7; 1040]));
    assert_eq!(peer.hear(), Heard::Close(1002));
    assert!(began.elapsed() < Duration::from_secs(3), "it didn't wait for the TPM: {:?}", began.elapsed());
}

#[test]
fn a_busy_or_broken_tpm_is_said_to_be_so() {
    let front = start(LIMITS, FakeTpm { quotes: 1, ..quick() });
    Peer::session(front.address, 1);
    let mut peer = Peer::open(front.address).unwrap();
    peer.shake(2);
    assert_eq!(peer.hear(), Heard::Close(1011));

    let front = start(LIMITS, FakeTpm::unchecked(Duration::from_secs(1)));
    let mut peers: Vec<_> = (0..25).map(|_| Peer::open(front.address).unwrap()).collect();
    for (peer, entropy) in peers.iter_mut().zip(1..) {
        peer.shake(entropy);
    }
    // One is served, sixteen wait, the others are sent away at once.
    let last = peers.iter_mut().rev().take(5);
    assert!(last.map(Peer::hear).all(|heard| heard == Heard::Close(1013)));
}

#[test]
fn strangers_at_the_tpm_do_not_keep_clients_out() {
    let front = start(LIMITS, FakeTpm::unchecked(Duration::from_millis(300)));
    let ask = |n: u32| {
        let mut stream = std::net::TcpStream::connect(front.address).unwrap();
        write!(stream, "GET /v1/evidence?nonce={n:064x} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream
    };
    let crowd: Vec<_> = (0..40).map(ask).collect();
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    Peer::session(front.address, 1);
    // The quote that is being made, and the session's own; a queue of sixteen would take five seconds.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(crowd);
}

#[test]
fn a_cancelled_stream_stops_what_makes_it() {
    let front = start(LIMITS, quick());
    let open = Arc::clone(&front.open_bodies);
    let mut session = Peer::session(front.address, 1);
    session.say(b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n");
    session.until("line 3");
    assert_eq!(open.load(Ordering::SeqCst), 1);
    drop(session);
    assert!(eventually(|| open.load(Ordering::SeqCst) == 0));
    // HTTP/2: one of two streams is cancelled (RST_STREAM), the other goes on.
    let mut session = Peer::session(front.address, 2);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in [1, 3] {
        let block = [&[0x82, 0x86, 0x04, 0x06][..], b"/count", &[0x41, 0x01, b'x']].concat();
        bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 0x05, 0, 0, 0, stream]);
        bytes.extend(block);
    }
    session.say(&bytes);
    session.until("line 3");
    assert_eq!(open.load(Ordering::SeqCst), 2);
    session.say(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
    assert!(eventually(|| open.load(Ordering::SeqCst) == 1));
    assert!(session.until("line 30").contains("line 30"));
}

#[test]
fn an_old_session_ends_after_its_last_answer() {
    let front = start(Limits { age: Duration::from_secs(1), ..LIMITS }, quick());
    let mut session = Peer::session(front.address, 1);
    session.say(b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n");
    let reply = session.until("never");
    assert!(reply.contains("line 100\n"), "the answer is whole: {reply}");
    assert!(session.duplex.peer_has_ended());
    // One that asks for nothing more ends at its age; one that never asked for anything is cut.
    let began = Instant::now();
    let mut session = Peer::session(front.address, 2);
    session.say(HEALTH);
    session.until("\"stages\"");
    assert!(session.record().is_none());
    assert_eq!(Peer::session(front.address, 3).peer.hear(), Heard::Gone);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn records_are_padded_and_paced() {
    let front = start(Limits { pace: Duration::from_millis(200), ..LIMITS }, quick());
    let mut session = Peer::session(front.address, 1);
    let began = Instant::now();
    session.say(b"GET /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let (mut records, mut text) = (Vec::new(), Vec::new());
    while let Some((content, length)) = session.record() {
        records.push((began.elapsed(), length));
        text.extend(content);
    }
    assert!(String::from_utf8_lossy(&text).contains("line 100\n"));
    assert!(records.iter().all(|(_, length)| BUCKETS.contains(&(length - 16))), "{records:?}");
    assert!(records[0].0 < Duration::from_millis(150), "the first waits for nothing: {:?}", records[0]);
    // A hundred lines in two seconds, and more: a record each 200 ms is ten to twenty, not a hundred.
    assert!((5..=30).contains(&records.len()), "{}", records.len());
    let gaps = records.windows(2).take(records.len() - 2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.clone().all(|gap| gap > Duration::from_millis(100)), "{:?}", gaps.collect::<Vec<_>>());
}

#[test]
fn a_flood_of_pings_is_no_session_and_no_memory() {
    let front = start(LIMITS, quick());
    let mut session = Peer::session(front.address, 1);
    for _ in 0..20_000 {
        assert!(session.peer.ping());
    }
    session.say(HEALTH);
    assert!(session.until("\"stages\"").contains("200 OK"));
}

/// Node's client shares nothing with the frames here.
#[test]
fn another_implementation_of_websocket_gets_a_reply_and_evidence() {
    const SCRIPT: &str = r#"
        const socket = new WebSocket(process.argv[1], "sealstone.v1");
        socket.binaryType = "arraybuffer";
        let messages = 0;
        socket.onopen = () => { console.log("protocol", socket.protocol); socket.send(new Uint8Array(32).fill(7)); };
        socket.onmessage = (event) => {
            console.log("message", event.data.byteLength);
            // After the evidence: 70,000 bytes, longer than a message may be.
            if (++messages == 2) socket.send(new Uint8Array(70000));
        };
        socket.onclose = (event) => console.log("close", event.code);
    "#;
    let front = start(LIMITS, quick());
    let url = format!("ws://{}/v1/channel", front.address);
    let output = std::process::Command::new("node").args(["--experimental-websocket", "-e", SCRIPT, &url]).output();
    let output = match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        Ok(output) => return println!("SKIPPED Node's WebSocket: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return println!("SKIPPED Node's WebSocket: {error}"),
    };
    assert_eq!(output, "protocol sealstone.v1\nmessage 96\nmessage 1040\nclose 1009\n");
}
