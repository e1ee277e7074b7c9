//! Any text as a spec: an error, or a value whose every list and name is valid; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_spec::Spec;

fuzz_target!(|text: &str| {
    let _ = Spec::parse("fuzzed.yaml", text);
});
