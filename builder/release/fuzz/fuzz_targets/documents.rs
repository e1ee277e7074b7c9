//! Any text as a pin, a policy and a measured configuration: what is read says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_release::evidence::Config;
use sealstone_release::pin::Pin;
use sealstone_release::policy::Policy;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(pin) = Pin::parse(text) {
        assert_eq!(Pin::parse(&pin.to_text()).expect("what was written can be read"), pin);
    }
    drop(Policy::parse("fuzz", text));
    drop(Policy::parse("fuzz", &format!("schema: sealstone/policy/v1\n{text}")));
    drop(Config::parse(text));
});
