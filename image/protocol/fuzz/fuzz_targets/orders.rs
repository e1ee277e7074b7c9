//! Any bytes as a stream: what is read as messages encodes to the bytes that were read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_protocol::{Decoder, Order, encode};

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::<Order>::new();
    decoder.push(data);
    let mut again = Vec::new();
    while let Ok(Some(message)) = decoder.message() {
        again.extend(encode(&message).expect("what was read can be written"));
    }
    assert!(data.starts_with(&again), "a frame has two readings");
});
