//! A peer's bytes, cut anywhere: messages within the limits, or an error; the cuts make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_channel::limits::{MAX_CONTROL, MAX_MESSAGE};
use sealstone_channel::websocket::{Decoder, FrameError, Item, Role};

fn decode(role: Role, parts: &[&[u8]]) -> (Vec<Item>, Option<FrameError>) {
    let (mut decoder, mut items) = (Decoder::new(role), Vec::new());
    for part in parts {
        decoder.put(part);
        loop {
            match decoder.take() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (is_client, at, bytes) = input;
    let role = if is_client { Role::Client } else { Role::Server };
    let whole = decode(role, &[bytes]);
    let (before, after) = bytes.split_at(usize::from(at).min(bytes.len()));
    assert_eq!(whole, decode(role, &[before, after]));
    for item in &whole.0 {
        match item {
            Item::Message(message) => assert!(message.len() <= MAX_MESSAGE),
            Item::Ping(payload) => assert!(payload.len() <= MAX_CONTROL),
            Item::Close(code) => assert!(*code >= 1000),
        }
    }
});
