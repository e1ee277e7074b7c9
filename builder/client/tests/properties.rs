//! The channel's formats, whatever goes in: what one end writes the other reads, and nothing makes a reader panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;
use sealstone_channel::evidence::{self, Assembly};
use sealstone_channel::limits::{BUCKETS, MAX_CONTENT, MAX_MESSAGE};
use sealstone_channel::noise::{Entropy, StaticKey};
use sealstone_channel::record::{self, Kind, Record};
use sealstone_channel::session::{Client, Duplex, Progress, Received, Server};
use sealstone_channel::websocket::{self, Decoder, Item, Mask, Role};

/// Sessions of any keys.
fn session(client: [u8; 32], server: [u8; 32], key: [u8; 32], document: &[u8]) -> (Duplex, Duplex, Vec<u8>) {
    let (client, hello) = Client::start(Entropy::new(client)).unwrap();
    let (server, reply) = Server::respond(&StaticKey::new(key), Entropy::new(server), &hello).unwrap();
    let (messages, server) = server.evidence(document).unwrap();
    let mut waiting = client.reply(&reply).unwrap();
    for message in &messages {
        match waiting.message(message).unwrap() {
            Progress::More(more) => waiting = more,
            Progress::Complete(judgement) => {
                let document = judgement.document().to_vec();
                return (judgement.accept(), server, document);
            }
        }
    }
    panic!("the evidence isn't complete")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_back_however_they_are_cut(
        messages in vec(vec(any::<u8>(), 0..2000), 0..5),
        key in any::<[u8; 4]>(),
        cuts in vec(1_usize..300, 1..50),
        is_client in any::<bool>(),
    ) {
        let (role, mask) = if is_client { (Role::Client, None) } else { (Role::Server, Some(Mask(key))) };
        let bytes: Vec<u8> = messages.iter().flat_map(|message| websocket::binary(message, mask)).collect();
        let (mut decoder, mut found, mut rest) = (Decoder::new(role), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (part, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            decoder.put(part);
            while let Some(item) = decoder.take().unwrap() {
                found.push(item);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, messages.into_iter().map(Item::Message).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_frames_or_an_error_and_never_more_than_a_message(bytes in vec(any::<u8>(), 0..4000), is_client in any::<bool>()) {
        let mut decoder = Decoder::new(if is_client { Role::Client } else { Role::Server });
        decoder.put(&bytes);
        while let Ok(Some(item)) = decoder.take() {
            if let Item::Message(message) = item {
                prop_assert!(message.len() <= MAX_MESSAGE);
            }
        }
    }

    #[test]
    fn records_come_back_padded(content in vec(any::<u8>(), 1..20_000)) {
        let record = record::write(Kind::Data, &content).unwrap();
        prop_assert!(BUCKETS.contains(&record.len()));
        let parsed = Record::parse(record).unwrap();
        prop_assert_eq!(parsed.content(), &content[..]);
    }

    #[test]
    fn a_record_with_any_bit_changed_is_refused_or_another(content in vec(any::<u8>(), 1..1000), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let record = record::write(Kind::Data, &content).unwrap();
        let mut changed = record.clone();
        let at = at.index(changed.len());
        changed[at] ^= 1u8 << bit;
        if let Ok(parsed) = Record::parse(changed) {
            prop_assert!(parsed.kind != Kind::Data || parsed.content() != &content[..]);
        }
    }

    #[test]
    fn evidence_in_any_pieces_is_the_document_or_refused(pieces in vec(vec(any::<u8>(), 0..3000), 0..6)) {
        let mut assembly = Assembly::default();
        for piece in &pieces {
            match assembly.add(piece) {
                Ok(Some(document)) => { prop_assert!(document.len() + 4 <= pieces.iter().map(Vec::len).sum()); break }
                Ok(None) => prop_assert!(piece.len() == MAX_CONTENT),
                Err(_) => break,
            }
        }
    }

    #[test]
    fn evidence_round_trip(length in 1_usize..300_000, seed in any::<u8>()) {
        let document: Vec<u8> = (0..length).map(|n| (n % 251) as u8 ^ seed).collect();
        let mut assembly = Assembly::default();
        let mut found = None;
        for record in evidence::records(&document).unwrap() {
            prop_assert!(found.is_none());
            found = assembly.add(Record::parse(record).unwrap().content()).unwrap();
        }
        prop_assert_eq!(found, Some(document));
    }

    #[test]
    fn whole_sessions(
        keys in any::<[[u8; 32]; 3]>(),
        document in vec(any::<u8>(), 1..2000),
        said in vec((any::<bool>(), vec(any::<u8>(), 1..5000)), 0..20),
    ) {
        let (mut client, mut server, found) = session(keys[0], keys[1], keys[2], &document);
        prop_assert_eq!(found, document);
        for (by_client, bytes) in said {
            let (from, to) = if by_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
            match to.receive(&from.send(&bytes).unwrap()) {
                Ok(Received::Data(data)) => prop_assert_eq!(data.bytes(), &bytes[..]),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
