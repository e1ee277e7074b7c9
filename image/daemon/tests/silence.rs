//! Nothing that leaves the daemon holds what people or models said: not its console, not its status pipe, not the bytes of sessions, not an answer in
//! the open.
//!
//! How it could fool itself: by secrets that never got there (so every reply is looked at where it is decrypted), by looking for them in one spelling
//! only (so also in hex and base64, and in upper case), by a console that says nothing (so the lines that have to be there are).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/peer.rs"]
#[allow(unreachable_pub, dead_code)]
mod peer;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use peer::Peer;
use sealstone_config::MeasuredConfig;
use sealstone_daemon::channel::{Channel, Limits, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::front::{Answer, Front};
use sealstone_daemon::{api, event, server, start};
use sealstone_protocol::{Decoder, Done, Embedding, Facts, Finish, Order, Report, Token, Usage, encode};

const CONFIG: &str = r#"{"attestation":"insecure","image":{"name":"t","version":"1"},"models":[{"file":"m.gguf","name":"m","required":true,"root":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","salt":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":8192}],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

/// What people say, in every place where they can say something; and what the model says.
const PROMPT: &str = "zwieselstein-quarry";
const REPLY: &str = "murmelbach-ravine";

/// Tells the child that it is one. Only this test program reads it; the daemon has no environment.
const CHILD: &str = "SEALSTONE_TEST_SILENCE";

type Bin = Arc<Mutex<Vec<u8>>>;

#[test]
fn nothing_that_leaves_holds_what_was_said() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let (front, engine) = UnixStream::pair().unwrap();
    let engine = std::thread::spawn(move || play_engine(engine));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["nothing_that_leaves_holds_what_was_said", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(OwnedFd::from(front))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut console = BufReader::new(child.stderr.take().unwrap());
    let (mut first, mut said) = (String::new(), Vec::new());
    console.read_line(&mut first).unwrap();
    let address: SocketAddr = first.trim().parse().expect(&first);
    let console = collect(console);
    let status = collect(child.stdout.take().unwrap());
    let (relay, wire) = relay(address);

    sessions(relay);
    said.extend(in_the_open(address));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (console, status) = (console.join().unwrap(), status.join().unwrap());
    let wire = wire.lock().unwrap().clone();
    engine.join().unwrap();

    for expected in ["model 0: ready", "model 0: its engine broke the protocol", "front: draining", "drained; cut off 0 requests"]
    {
        assert!(find(&console, expected), "the console lacks {expected:?}: {}", String::from_utf8_lossy(&console));
    }
    assert!(wire.len() > 20_000 && find(&said, "sealstone_channels_total") && find(&said, "\"stages\""));
    for secret in [PROMPT, REPLY] {
        for spelling in spellings(secret) {
            for (what, bytes) in [("console", &console), ("status", &status), ("wire", &wire), ("open answers", &said)] {
                assert!(!find(bytes, &spelling), "{what} holds {spelling:?}: {}", String::from_utf8_lossy(bytes));
            }
        }
    }
}

fn find(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// `secret` as it might be written. Of base64 the middle, which is the same wherever in a text it begins, for each of three beginnings.
fn spellings(secret: &str) -> Vec<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![secret.to_owned(), secret.to_uppercase(), hex.to_uppercase(), hex];
    for skip in 0..3 {
        let groups = secret.as_bytes()[skip..].chunks_exact(3);
        let digits = groups.flat_map(|g| {
            let bits = u32::from_be_bytes([0, g[0], g[1], g[2]]);
            [18, 12, 6, 0].map(|shift| char::from(DIGITS[usize::try_from(bits >> shift & 63).unwrap()]))
        });
        all.push(digits.collect());
    }
    all
}

#[test]
fn spellings_are_what_they_say() {
    // From coreutils: printf 'xxzwieselstein-quarry' | base64, and with one and no x.
    for text in ["eHh6d2llc2Vsc3RlaW4tcXVhcnJ5", "eHp3aWVzZWxzdGVpbi1xdWFycnk=", "endpZXNlbHN0ZWluLXF1YXJyeQ=="] {
        assert!(spellings(PROMPT).iter().any(|spelling| text.contains(spelling.as_str())), "{text}");
    }
}

/// Everything that a client can say to the API, and what it can do wrong, each with a secret in it.
fn sessions(address: SocketAddr) {
    let chat = |extra: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{PROMPT}"}}]{extra}}}"#);
    let text = |extra: &str| format!(r#"{{"model":"m","prompt":"{PROMPT}"{extra}}}"#);
    let mut session = Peer::session(address, 1);
    for (path, body, expected) in [
        ("/v1/chat/completions", chat(""), REPLY),
        ("/v1/chat/completions", chat(r#","stream":true"#), REPLY),
        ("/v1/completions", text(""), REPLY),
        ("/v1/completions", text(r#","stream":true"#), REPLY),
        ("/v1/embeddings", format!(r#"{{"model":"m","input":"{PROMPT}"}}"#), "\"embedding\":[1.0"),
        ("/v1/chat/completions", chat(&format!(r#","{PROMPT}":1"#)), "unknown parameter: zwieselstein-quarry"),
        ("/v1/chat/completions", chat(r#","temperature":"#), "invalid_json"),
        ("/v1/chat/completions", chat(&format!(r#","response_format":{{"type":"{PROMPT}"}}"#)), "invalid_type"),
        ("/v1/completions", text(&format!(r#","stop":"{PROMPT}","user":"{PROMPT}","max_tokens":"{PROMPT}""#)), "invalid_type"),
        ("/v1/completions", text("").replace("\"m\"", &format!("\"{PROMPT}\"")), "model_not_found"),
        (&format!("/v1/{PROMPT}"), String::new(), "not_found"),
        (&format!("/v1/evidence?nonce={PROMPT}"), String::new(), "method_not_allowed"),
    ] {
        session.say(post(path, &body).as_bytes());
        let reply = session.until(expected);
        assert!(reply.contains(expected), "{path} {body}: {reply}");
        // What is left of this answer isn't taken for the next one's.
        session = Peer::session(address, 1);
    }
    // Cut off in the middle of a body, and in the middle of a reply.
    let whole = post("/v1/completions", &text(""));
    session.say(&whole.as_bytes()[..whole.len() - 5]);
    drop(session);
    let mut session = Peer::session(address, 2);
    session.say(post("/v1/completions", &text(r#","max_tokens":77,"stream":true"#)).as_bytes());
    session.until("data: ");
    drop(session);
    // The engine's bytes are no reports, and the secret is in them.
    let mut session = Peer::session(address, 3);
    session.say(post("/v1/completions", &text(r#","max_tokens":99"#)).as_bytes());
    assert!(session.until("model_unavailable").contains("503 "), "the engine breaks the protocol");
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {PROMPT}\r\nx-{PROMPT}: {PROMPT}\r\nauthorization: Bearer {PROMPT}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What anybody gets without a session, also for asking with a secret of his own.
fn in_the_open(address: SocketAddr) -> Vec<u8> {
    let mut said = Vec::new();
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/v1/attested-config"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", &format!("/{PROMPT}")),
        ("GET", &format!("/v1/evidence?nonce={PROMPT}")),
        (PROMPT, "/healthz"),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: {PROMPT}\r\nx-a: {PROMPT}\r\nconnection: close\r\n\r\n").unwrap();
        stream.read_to_end(&mut said).unwrap();
    }
    // A garbled session, in clear.
    let mut peer = Peer::open(address).unwrap();
    peer.raw(PROMPT.as_bytes());
    peer.hear();
    said
}

/// Everything from `from`, until it ends.
fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A way to `address` on which every byte of both directions is kept.
fn relay(address: SocketAddr) -> (SocketAddr, Bin) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let bin = Bin::default();
    let kept = Arc::clone(&bin);
    std::thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let server = TcpStream::connect(address).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to, kept) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&kept));
                std::thread::spawn(move || {
                    let mut bytes = [0; 65536];
                    while let Ok(count @ 1..) = from.read(&mut bytes) {
                        kept.lock().unwrap().extend_from_slice(&bytes[..count]);
                        if to.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (here, bin)
}

/// The body of the child process: the front as the daemon has it.
fn child() {
    event::log_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = api::engine::inherited(0);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
        let channel = Channel::new(Source::Insecure(Bytes::from_static(b"{}")), Limits::DEFAULT).unwrap();
        let front = Front::new(&measured, Kind::Insecure, Path::new("/nonexistent")).with_channel(channel);
        let front = front.with_api(api::attach(&measured, vec![engine]).unwrap());
        start::end_at_sigterm(front.life().clone()).unwrap();
        eprintln!("{}", listener.local_addr().unwrap());
        let ended = server::serve(listener, Arc::new(front), server::Limits::DEFAULT).await.unwrap();
        event::log(&event::Event::Drained(ended));
    });
    std::process::exit(0);
}

/// Answers each request with the secret reply; begins one of 77 tokens and doesn't end it; at one of 99 it breaks the protocol, with a secret.
fn play_engine(mut socket: UnixStream) {
    let facts = Facts { name: "m".into(), context: 4096, sequences: 1, width: 3, vocabulary: 10, parameters: 1 };
    socket.write_all(&encode(&Report::Hello(Box::new(facts))).unwrap()).unwrap();
    let mut decoder = Decoder::new();
    let mut bytes = [0; 65536];
    loop {
        let count = socket.read(&mut bytes).unwrap_or(0);
        if count == 0 {
            return;
        }
        decoder.push(&bytes[..count]);
        while let Some(order) = decoder.message().unwrap() {
            for report in answer(order) {
                socket.write_all(&report).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn answer(order: Order) -> Vec<Vec<u8>> {
    match order {
        Order::Generate(request) => {
            let id = request.id;
            assert!(format!("{:?}", request.prompt).contains(PROMPT), "the prompt gets there");
            if request.max_tokens == 99 {
                return vec![REPLY.repeat(20).into_bytes()];
            }
            let token = encode(&Report::Token(Token { id, text: format!("{REPLY} ").into(), logprobs: None })).unwrap();
            let usage = Usage { prompt: 1, cached: 0, reply: 2 };
            let done = encode(&Report::Done(Done { id, text: REPLY.into(), finish: Finish::End, usage })).unwrap();
            if request.max_tokens == 77 { vec![token] } else { vec![token, done] }
        }
        Order::Embed(request) => {
            vec![encode(&Report::Embedding(Embedding { id: request.id, tokens: 1, vector: vec![1.0, 0.5, 0.25] })).unwrap()]
        }
        Order::Cancel(id) => {
            let usage = Usage { prompt: 1, cached: 0, reply: 1 };
            vec![encode(&Report::Done(Done { id, text: Vec::new(), finish: Finish::Cancelled, usage })).unwrap()]
        }
        other => panic!("{other:?}"),
    }
}
