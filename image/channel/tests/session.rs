//! What a session refuses: everything that isn't the next message in its turn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use sealstone_channel::ChannelError;
use sealstone_channel::noise;
use sealstone_channel::noise::{Entropy, REPLY, StaticKey};
use sealstone_channel::record::{self, Kind};
use sealstone_channel::session::{Client, Duplex, Progress, Server, Unverified};

const DOCUMENT: &[u8] = b"evidence";

/// Both ends after the handshake; `client` and `server` make the sessions differ.
fn handshake(client: u8, server: u8) -> (Unverified, Server) {
    let (client, hello) = Client::start(Entropy::new([client; 32])).unwrap();
    let (server, reply) = Server::respond(&StaticKey::new([9; 32]), Entropy::new([server; 32]), &hello).unwrap();
    (client.reply(&reply).unwrap(), server)
}

fn session(client: u8, server: u8) -> (Duplex, Duplex) {
    let (client, server) = handshake(client, server);
    let (messages, server) = server.evidence(DOCUMENT).unwrap();
    match client.message(&messages[0]).unwrap() {
        Progress::Complete(judgement) => (judgement.accept(), server),
        Progress::More(_) => panic!("one message is enough for this evidence"),
    }
}

#[test]
fn every_bit_of_a_handshake_counts() {
    let (_, hello) = Client::start(Entropy::new([1; 32])).unwrap();
    let key = StaticKey::new([9; 32]);
    let respond = |hello: &[u8]| Server::respond(&key, Entropy::new([2; 32]), hello);
    let (_, reply) = respond(&hello).unwrap();
    for at in 0..REPLY {
        let mut changed = reply;
        changed[at] ^= 1;
        let (client, _) = Client::start(Entropy::new([1; 32])).unwrap();
        assert_eq!(client.reply(&changed).unwrap_err(), ChannelError::Handshake, "byte {at}");
    }
    for length in (0..=100).chain([65_535]).filter(|length| *length != REPLY) {
        let (client, _) = Client::start(Entropy::new([1; 32])).unwrap();
        let mut cut = reply.to_vec();
        cut.resize(length, 0);
        assert_eq!(client.reply(&cut).unwrap_err(), ChannelError::Handshake, "{length} bytes");
    }
    for length in [0, 1, 31, 33, 48, 65_535] {
        assert_eq!(respond(&vec![7; length]).unwrap_err(), ChannelError::Handshake, "a hello of {length} bytes");
    }
}

#[test]
fn a_changed_hello_gives_other_keys() {
    let (client, mut hello) = Client::start(Entropy::new([1; 32])).unwrap();
    hello[0] ^= 1;
    let (_, reply) = Server::respond(&StaticKey::new([9; 32]), Entropy::new([2; 32]), &hello).unwrap();
    assert_eq!(client.reply(&reply).unwrap_err(), ChannelError::Handshake);
}

#[test]
fn no_two_handshakes_have_a_hash_in_common() {
    let hashes: Vec<_> = [(1, 2), (3, 2), (1, 3)].map(|(c, s)| handshake(c, s).1.hash()).into();
    assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
    let (client, server) = handshake(1, 2);
    let (messages, _) = server.evidence(DOCUMENT).unwrap();
    let Progress::Complete(judgement) = client.message(&messages[0]).unwrap() else { panic!() };
    assert_eq!(judgement.hash(), hashes[0], "both ends have the same");
}

#[test]
fn messages_of_other_sessions_changed_repeated_or_swapped_do_not_open() {
    let refused = |change: &dyn Fn(Vec<u8>, Vec<u8>) -> Vec<u8>| {
        let (mut client, mut server) = session(1, 2);
        let (first, second) = (client.send(b"first").unwrap(), client.send(b"second").unwrap());
        server.receive(&change(first, second)).unwrap_err()
    };
    assert_eq!(refused(&|_, second| second), ChannelError::Foreign, "out of order");
    assert_eq!(refused(&|_, _| session(3, 2).0.send(b"first").unwrap()), ChannelError::Foreign, "of another session");
    assert_eq!(refused(&|_, _| session(1, 2).1.send(b"first").unwrap()), ChannelError::Foreign, "of the other direction");
    assert_eq!(refused(&|first, _| first[..first.len() - 1].to_vec()), ChannelError::Foreign, "cut");
    assert_eq!(refused(&|first, _| [first, vec![0]].concat()), ChannelError::Foreign, "longer");
    assert_eq!(refused(&|_, _| vec![]), ChannelError::Foreign, "nothing");
    assert_eq!(refused(&|_, _| vec![0; 15]), ChannelError::Foreign, "less than a tag");
    assert_eq!(refused(&|_, _| vec![0; 65_536]), ChannelError::Foreign, "more than a message");
    for at in [0, 1, 2, 3, 500, 1023, 1024, 1039] {
        let flip = |mut first: Vec<u8>, _| {
            first[at] ^= 0x10;
            first
        };
        assert_eq!(refused(&flip), ChannelError::Foreign, "byte {at}");
    }
    let (mut client, mut server) = session(1, 2);
    let first = client.send(b"first").unwrap();
    server.receive(&first).unwrap();
    assert_eq!(server.receive(&first).unwrap_err(), ChannelError::Foreign, "twice");
}

#[test]
fn records_have_their_turn() {
    // Before the evidence.
    let (client, _) = handshake(1, 2);
    let mut other = handshake_transport(1, 2);
    let data = other.seal(&record::write(Kind::Data, b"x").unwrap()).unwrap();
    assert_eq!(client.message(&data).unwrap_err(), ChannelError::Turn);
    // Evidence again, from either side.
    let (mut client, _) = session(1, 2);
    let mut other = handshake_transport(1, 2);
    let evidence = record::write(Kind::Evidence, b"\0\0\0\x01x").unwrap();
    other.seal(&evidence).unwrap();
    let again = other.seal(&evidence).unwrap();
    assert_eq!(client.receive(&again).unwrap_err(), ChannelError::Turn);
    // After the end.
    let (mut client, mut server) = session(1, 2);
    server.receive(&client.end().unwrap()).unwrap();
    assert!(server.peer_has_ended() && client.has_ended());
    assert_eq!(client.send(b"x").unwrap_err(), ChannelError::Turn);
    assert_eq!(client.end().unwrap_err(), ChannelError::Turn);
    assert_eq!(server.receive(&[0; 1040]).unwrap_err(), ChannelError::Turn);
    // The other direction goes on.
    assert!(client.receive(&server.send(b"still here").unwrap()).is_ok());
}

#[test]
fn what_is_sealed_but_no_record_is_refused() {
    let table: &[(&[u8], ChannelError)] = &[
        (&[2, 0, 1, 7], ChannelError::Unpadded),
        (&[0; 1024], ChannelError::Record),
        (&[9; 1024], ChannelError::Record),
        (&[2; 65_519], ChannelError::Record),
    ];
    for (plaintext, error) in table {
        let (mut client, _) = session(1, 2);
        let mut other = handshake_transport(1, 2);
        other.seal(&[]).unwrap();
        assert_eq!(client.receive(&other.seal(plaintext).unwrap()).unwrap_err(), *error);
    }
    assert_eq!(handshake_transport(1, 2).seal(&[0; 65_520]).unwrap_err(), ChannelError::TooMuch);
}

/// The server's keys of the same session as [`handshake`]'s, without the rules.
fn handshake_transport(client: u8, server: u8) -> noise::Transport {
    let (_, hello) = Client::start(Entropy::new([client; 32])).unwrap();
    noise::respond(&StaticKey::new([9; 32]), Entropy::new([server; 32]), &hello).unwrap().1
}
