//! The front over real sockets, with hostile and clumsy peers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sealstone_config::{Digest, MeasuredConfig};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::front::Front;
use sealstone_daemon::server::{self, Limits};

const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

/// Short enough for a test, long enough for a busy machine to answer an honest request.
const LIMITS: Limits = Limits {
    connections: 4,
    head: Duration::from_millis(1500),
    life: Duration::from_secs(3),
    head_bytes: 8 * 1024,
    headers: 16,
    end: sealstone_daemon::life::Limits::DEFAULT,
};

/// Serves on a free port of the loopback interface until the test process ends.
fn start(limits: Limits) -> SocketAddr {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
            let front = Arc::new(Front::new(&measured, Kind::Tpm2, Path::new("/nonexistent")));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let _ = server::serve(listener, front, limits).await;
        });
    });
    receive.recv().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Everything until the server closes. A reset after it has answered (unread input) is an end, too.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server neither answered nor closed: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    // The server may answer and close before all is sent.
    let _ = stream.write_all(request);
    rest(&mut stream)
}

#[test]
fn the_configuration_comes_as_it_was_measured() {
    let reply = ask(start(LIMITS), b"GET /v1/attested-config HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, CONFIG);
    assert!(head.contains(&format!("sealstone-config-sha256: {}", Digest::of(CONFIG.as_bytes()))), "{head}");
    assert!(head.contains("sealstone-evidence: tpm2"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("\r\ndate:"), "the host's clock doesn't go out: {head}");
}

#[test]
fn requests_in_a_row_share_a_connection() {
    let one = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = ask(start(LIMITS), format!("{one}{one}{last}").as_bytes());
    assert_eq!(reply.matches("HTTP/1.1 200 OK").count(), 3, "{reply}");
    assert_eq!(reply.matches("\"stages\"").count(), 2, "HEAD has no body: {reply}");
}

#[test]
fn what_is_wrong_is_refused() {
    let address = start(LIMITS);
    let many: String = (0..20).map(|n| format!("x{n}: y\r\n")).collect();
    let table: &[(&str, String, &str)] = &[
        ("garbage", "\0\u{1}\u{2}garbage\r\n\r\n".into(), "HTTP/1.1 400 "),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".into(), "HTTP/1.1 400 "),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), ""),
        ("long path", format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)), "HTTP/1.1 4"),
        ("long head", format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000)), "HTTP/1.1 431 "),
        ("many headers", format!("GET / HTTP/1.1\r\n{many}\r\n"), "HTTP/1.1 431 "),
        ("two lengths", "POST /healthz HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".into(), "HTTP/1.1 400 "),
        (
            "length and chunks",
            "POST /healthz HTTP/1.1\r\nconnection: close\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
            "HTTP/1.1 4",
        ),
        ("no such path", "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(), "HTTP/1.1 404 "),
        ("method", "PUT /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(), "HTTP/1.1 405 "),
    ];
    for (what, request, expected) in table {
        let reply = ask(address, request.as_bytes());
        assert!(reply.starts_with(expected), "{what}: {reply:?}");
        // One answer, then the end; to another protocol no answer at all.
        assert_eq!(reply.matches("HTTP/1.1").count(), usize::from(!expected.is_empty()), "{what}: {reply:?}");
    }
}

#[test]
fn an_unread_body_is_not_taken_for_a_request() {
    let smuggled = "GET /v1/attested-config HTTP/1.1\r\nhost: x\r\n\r\n";
    let request = format!("POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{smuggled}", smuggled.len());
    let reply = ask(start(LIMITS), request.as_bytes());
    assert!(reply.starts_with("HTTP/1.1 405 ") && !reply.contains("attestation"), "{reply}");
}

#[test]
fn slow_peers_are_cut_off() {
    let address = start(LIMITS);
    let slack = Duration::from_secs(4);
    // Says nothing at all; stops in the middle of a head; is idle after an answer.
    for said in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let began = Instant::now();
        let mut stream = connect(address);
        stream.write_all(said.as_bytes()).unwrap();
        let reply = rest(&mut stream);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1000) && took < LIMITS.life + slack, "{said:?}: {took:?} {reply:?}");
    }
    // A byte from time to time: the bound is on the whole head, not on each pause.
    let began = Instant::now();
    let mut stream = connect(address);
    // Nor does it help to ask for a WebSocket.
    let mut upgrade = connect(address);
    let heads =
        ["GET /healthz HTTP/1.1\r\nhost: xxxxxxxxxxxxxxxxxxxx", "GET /v1/channel HTTP/1.1\r\nhost: x\r\nupgrade: websocket"];
    for (a, b) in heads[0].bytes().zip(heads[1].bytes()) {
        if stream.write_all(&[a]).is_err() && upgrade.write_all(&[b]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    for mut cut in [stream, upgrade] {
        let reply = rest(&mut cut);
        assert!(!reply.contains("200 OK") && !reply.contains("HTTP/1.1 1"), "{reply}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_later() {
    let address = start(LIMITS);
    let idle: Vec<_> = (0..LIMITS.connections).map(|_| connect(address)).collect();
    // The idle ones hold every slot until the head's time is over.
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let reply = ask(address, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply:?}");
    assert!(began.elapsed() >= Duration::from_millis(500), "it was not queued: {:?}", began.elapsed());
    drop(idle);
}
