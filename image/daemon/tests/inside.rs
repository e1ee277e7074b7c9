//! Who may use what in a session: tokens and counters, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/peer.rs"]
#[allow(unreachable_pub, dead_code)]
mod peer;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use peer::{Peer, Session};
use sealstone_config::{Digest, MeasuredConfig};
use sealstone_daemon::api::Api;
use sealstone_daemon::auth::Auth;
use sealstone_daemon::channel::{Channel, Limits, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::front::Front;
use sealstone_daemon::server;

const AUDIENCE: &str = "inference";
const SECRET: &str = "zwieselstein";

/// A front whose configuration asks for tokens of key 1, or for none.
fn start(asks: bool) -> SocketAddr {
    let key = Digest::from_bytes(key().verifying_key().to_bytes());
    let auth = if asks { format!(r#""auth":{{"audience":"{AUDIENCE}","keys":["{key}"]}},"#) } else { String::new() };
    let config = format!(
        r#"{{"attestation":"insecure",{auth}"image":{{"name":"t","version":"1"}},"models":[],"network":{{"address":"dhcp","port":8080}},"schema":"sealstone/config/v1"}}"#
    );
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let measured = MeasuredConfig::parse(config.into()).unwrap();
            let limits = Limits { pace: Duration::ZERO, ..Limits::DEFAULT };
            let channel = Channel::new(Source::Insecure(Bytes::from_static(b"{}")), limits).unwrap();
            let api = Api::new(&measured, Vec::new(), sealstone_daemon::api::Limits::DEFAULT);
            let mut front =
                Front::new(&measured, Kind::Insecure, Path::new("/nonexistent")).with_channel(channel).with_api(Arc::new(api));
            if let Some(auth) = &measured.config().auth {
                front = front.with_auth(Auth::new(auth).unwrap());
            }
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let _ = server::serve(listener, Arc::new(front), server::Limits::DEFAULT).await;
        });
    });
    receive.recv().unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digit = |six: &[u8]| DIGITS[usize::from_str_radix(&format!("{:0<6}", std::str::from_utf8(six).unwrap()), 2).unwrap()];
    bits.as_bytes().chunks(6).map(|six| char::from(digit(six))).collect()
}

/// A token of `key`'s, good for `seconds` from now.
fn token(key: &SigningKey, seconds: i64, scope: &str) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let claims = format!(r#"{{"aud":"{AUDIENCE}","exp":{},"scope":"{scope}","sub":"{SECRET}"}}"#, now + seconds);
    let input = format!("{}.{}", encode(br#"{"alg":"EdDSA"}"#), encode(claims.as_bytes()));
    format!("{input}.{}", encode(&key.sign(input.as_bytes()).to_bytes()))
}

/// Asks in a session, and reads the whole answer.
fn ask(session: &mut Session, method: &str, path: &str, token: Option<&str>) -> String {
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    session.say(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{authorization}content-length: 0\r\n\r\n").as_bytes());
    let mut reply = session.until("\r\n\r\n");
    let length: usize = reply.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    while reply.split_once("\r\n\r\n").unwrap().1.len() < length {
        reply.push_str(&String::from_utf8(session.record().unwrap().0).unwrap());
    }
    reply
}

fn ask_in_the_open(address: SocketAddr, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn the_api_is_for_tokens_and_the_machines_state_for_everybody() {
    let address = start(true);
    let mut session = Peer::session(address, 1);
    let good = token(&key(), 600, "");
    for (method, path) in [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/x"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/nothing"),
    ] {
        let reply = ask(&mut session, method, path, None);
        assert!(
            reply.starts_with("HTTP/1.1 401 ") && reply.contains("www-authenticate: Bearer realm=\"sealstone\"\r\n"),
            "{reply}"
        );
        assert!(reply.contains("\"missing_token\""), "{reply}");
        for wrong in [token(&SigningKey::from_bytes(&[2; 32]), 600, ""), "sk-1234".into(), good[..good.len() - 1].into()] {
            let reply = ask(&mut session, method, path, Some(&wrong));
            assert!(reply.starts_with("HTTP/1.1 401 ") && reply.contains("\"invalid_token\""), "{reply}");
            assert!(!reply.contains(&wrong) && !reply.contains(SECRET), "nothing of a token comes back: {reply}");
        }
        assert!(ask(&mut session, method, path, Some(&token(&key(), -1, ""))).contains("\"expired_token\""));
        // In the URL it is no token, whatever it is called.
        for name in ["access_token", "token", "authorization"] {
            let reply = ask(&mut session, method, &format!("{path}?{name}={good}"), None);
            assert!(reply.starts_with("HTTP/1.1 401 "), "{reply}");
        }
    }
    assert!(ask(&mut session, "GET", "/v1/models", Some(&good)).starts_with("HTTP/1.1 200 "));
    assert!(ask(&mut session, "POST", "/v1/completions", Some(&good)).contains("invalid_json"), "it is looked at");
    for path in ["/healthz", "/v1/attested-config", "/metrics"] {
        assert!(ask(&mut session, "GET", path, None).starts_with("HTTP/1.1 200 "), "{path}");
    }
    // A client judges the machine before it shows it a token.
    assert!(ask(&mut session, "GET", "/v1/tpm/endorsement", None).contains("no_endorsement"));
    // A token opens nothing outside of the channel.
    assert!(ask_in_the_open(address, "/v1/models", &good).starts_with("HTTP/1.1 404 "));
}

#[test]
fn without_auth_no_token_is_asked_for_or_looked_at() {
    let mut session = Peer::session(start(false), 1);
    for shown in [None, Some("sk-1234")] {
        assert!(ask(&mut session, "GET", "/v1/models", shown).starts_with("HTTP/1.1 200 "));
    }
}

/// The value of a counter.
fn value(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn what_goes_on_in_sessions_is_counted_for_a_token_that_says_so() {
    const MODELS: &str = "sealstone_requests_total{kind=\"models\",outcome=\"answered\"}";
    let address = start(true);
    let mut session = Peer::session(address, 1);
    let (plain, operator) = (token(&key(), 600, "chat"), token(&key(), 600, "chat metrics"));
    for _ in 0..3 {
        ask(&mut session, "GET", "/v1/models", Some(&plain));
    }
    ask(&mut session, "GET", "/v1/models", None);
    ask(&mut session, "POST", "/v1/chat/completions", Some(&plain));
    let all = ask(&mut session, "GET", "/metrics", Some(&operator));
    assert!(all.contains("content-type: text/plain; version=0.0.4\r\n"), "{all}");
    assert_eq!(value(&all, MODELS), Some(3), "{all}");
    assert_eq!(value(&all, "sealstone_requests_total{kind=\"models\",outcome=\"denied\"}"), Some(1));
    assert_eq!(value(&all, "sealstone_requests_total{kind=\"chat\",outcome=\"refused\"}"), Some(1));
    assert_eq!(value(&all, "sealstone_requests"), Some(1), "this one");
    assert_eq!(value(&all, "sealstone_handshakes_total{end=\"session\"}"), Some(1));
    assert!(ask(&mut session, "GET", "/metrics", Some("x")).starts_with("HTTP/1.1 401 "), "a bad token isn't passed over");
    assert!(ask(&mut session, "POST", "/metrics", Some(&operator)).starts_with("HTTP/1.1 405 "));
    for without in [
        ask(&mut session, "GET", "/metrics", Some(&plain)),
        ask(&mut session, "GET", "/metrics", None),
        ask_in_the_open(address, "/metrics", &operator),
        ask(&mut Peer::session(start(false), 1), "GET", "/metrics", Some(&operator)),
    ] {
        assert!(without.starts_with("HTTP/1.1 200 ") && !without.contains("requests"), "{without}");
        assert!(value(&without, "sealstone_connections_total").unwrap() > 0);
    }
}

#[test]
fn the_network_is_counted_for_everybody() {
    let address = start(false);
    drop(Peer::open(address).unwrap());
    let mut garbage = Peer::open(address).unwrap();
    garbage.send(b"garbage");
    garbage.hear();
    let _session = Peer::session(address, 1);
    let metrics = ask_in_the_open(address, "/metrics", "");
    for (name, expected) in [
        ("sealstone_connections_total", 4),
        ("sealstone_channels_total", 3),
        ("sealstone_handshakes_total{end=\"session\"}", 1),
        ("sealstone_handshakes_total{end=\"refused\"}", 1),
        ("sealstone_handshakes_total{end=\"gone\"}", 1),
        ("sealstone_draining", 0),
    ] {
        assert_eq!(value(&metrics, name), Some(expected), "{name}: {metrics}");
    }
}
