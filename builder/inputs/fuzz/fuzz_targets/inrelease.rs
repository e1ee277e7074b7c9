//! Any bytes as a clear-signed message and as a key file. No message may pass: the fuzzer has nobody's private key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_inputs::debian::Keyring;
use sealstone_spec::UtcTime;

const KEYS: &[u8] = include_bytes!("../../../../image/keys/debian-trixie.asc");

fuzz_target!(|data: &[u8]| {
    let _ = Keyring::parse("fuzzed.asc", data);
    let now: UtcTime = "2026-09-13T00:00:00Z".parse().expect("a time");
    let keys = Keyring::parse("debian-trixie.asc", KEYS).expect("the repository's keys");
    assert!(keys.verify(data, now).is_err());
});
