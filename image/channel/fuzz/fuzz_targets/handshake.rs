//! Both ends with messages that the peer didn't make: an error, unless a client's hello has the length of one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_channel::noise::{Entropy, HELLO, StaticKey};
use sealstone_channel::session::{Client, Progress, Server};

fuzz_target!(|messages: Vec<&[u8]>| {
    let first = messages.first().copied().unwrap_or_default();
    match Server::respond(&StaticKey::new([1; 32]), Entropy::new([2; 32]), first) {
        Ok((server, _)) => {
            assert_eq!(first.len(), HELLO);
            let (_, mut duplex) = server.evidence(b"x").expect("one byte is a document");
            for message in messages.iter().skip(1) {
                assert!(duplex.receive(message).is_err(), "forged");
            }
        }
        Err(_) => assert_ne!(first.len(), HELLO),
    }
    // A client whose server is honest up to the evidence, which the input replaces.
    let (client, hello) = Client::start(Entropy::new([3; 32])).expect("entropy is given");
    let (_, reply) = Server::respond(&StaticKey::new([1; 32]), Entropy::new([2; 32]), &hello).expect("a hello");
    let (forged, _) = Client::start(Entropy::new([3; 32])).expect("entropy is given");
    assert!(first == reply || forged.reply(first).is_err(), "forged");
    let waiting = client.reply(&reply).expect("an honest reply");
    match waiting.message(first) {
        Ok(Progress::More(_) | Progress::Complete(_)) => panic!("forged"),
        Err(_) => {}
    }
});
