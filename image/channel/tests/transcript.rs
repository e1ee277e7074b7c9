//! A session with fixed keys against the transcript that `transcript.py` computed with none of this code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use sealstone_channel::limits::REKEY_EVERY;
use sealstone_channel::noise::{Entropy, StaticKey};
use sealstone_channel::session::{Client, Duplex, Progress, Received, Server};
use sealstone_channel::websocket::{self, Mask};
use sha2::{Digest, Sha256};

/// Line by line `name: value`.
const EXPECTED: &str = include_str!("transcript.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// 32 bytes that count up.
fn counting(first: u8) -> [u8; 32] {
    std::array::from_fn(|index| first + u8::try_from(index).unwrap())
}

/// What a transcript's line says, each to be asked for once and in order.
struct Transcript(std::str::Lines<'static>);

impl Transcript {
    #[track_caller]
    fn expect(&mut self, name: &str, value: String) {
        assert_eq!(format!("{name}: {value}"), self.0.next().unwrap_or_default());
    }
}

#[test]
fn a_session_is_the_documented_bytes() {
    let mut expected = Transcript(EXPECTED.lines());
    let (client, hello) = Client::start(Entropy::new(counting(0x20))).unwrap();
    expected.expect("client hello", hex(&hello));
    let frame = websocket::binary(&hello, Some(Mask([1, 2, 3, 4])));
    expected.expect("client hello as a frame with mask 01020304", hex(&frame));

    let key = StaticKey::new(counting(0x60));
    let (server, reply) = Server::respond(&key, Entropy::new(counting(0x40)), &hello).unwrap();
    expected.expect("server reply", hex(&reply));
    expected.expect("handshake hash", hex(&server.hash().0));
    let config = Sha256::digest(b"config").into();
    expected.expect("report data, configuration 'config', no devices", hex(&server.hash().report_data(&config, &[0; 32])));
    expected.expect("qualifying data", hex(&server.hash().qualifying_data(&config, &[0; 32])));

    let document: Vec<u8> = (0..100_000).map(|n| (n % 251) as u8).collect();
    let hash = server.hash();
    let (messages, mut server) = server.evidence(&document).unwrap();
    expected.expect("evidence messages, lengths", messages.iter().map(|m| m.len().to_string()).collect::<Vec<_>>().join(" "));
    expected.expect("evidence message 1, sha256", digest(&messages[0]));
    expected.expect("evidence message 2, sha256", digest(&messages[1]));

    let waiting = client.reply(&reply).unwrap();
    let Progress::More(waiting) = waiting.message(&messages[0]).unwrap() else { panic!("complete after one piece") };
    let Progress::Complete(judgement) = waiting.message(&messages[1]).unwrap() else { panic!("not complete") };
    assert_eq!((judgement.document(), judgement.hash()), (&document[..], hash));
    let mut client = judgement.accept();

    let request = client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    expected.expect("request, length", request.len().to_string());
    expected.expect("request, first 64 bytes", hex(&request[..64]));
    expected.expect("request, sha256", digest(&request));
    assert_eq!(received(&mut server, &request), b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");

    let mut sent = Vec::new();
    for _ in 1..=REKEY_EVERY {
        sent.push(client.send(b"x").unwrap());
        assert_eq!(received(&mut server, sent.last().unwrap()), b"x");
    }
    expected.expect("client message 4095, sha256", digest(&sent[4094]));
    expected.expect("client message 4096, under the second key, sha256", digest(&sent[4095]));

    let end = server.end().unwrap();
    expected.expect("server end, sha256", digest(&end));
    assert!(matches!(client.receive(&end), Ok(Received::End)));
    assert_eq!(expected.0.next(), None, "the transcript has more lines");
}

fn received(duplex: &mut Duplex, message: &[u8]) -> Vec<u8> {
    match duplex.receive(message) {
        Ok(Received::Data(data)) => data.bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}
