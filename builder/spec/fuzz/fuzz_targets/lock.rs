//! Any text as a lock. What is taken is written in one way only, and read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_spec::Lock;

fuzz_target!(|text: &str| {
    if let Ok(lock) = Lock::parse("fuzzed.lock", text) {
        let again = lock.to_text();
        assert_eq!(Lock::parse("again.lock", &again).expect("what was written").to_text(), again);
    }
});
