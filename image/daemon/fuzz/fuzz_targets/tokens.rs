//! Any bytes as a token, and as the parts of one that is signed by nobody: none is let in.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealstone_config::MeasuredConfig;
use sealstone_daemon::auth::Auth;

/// The key is of RFC 8032, section 7.1, test 1; its secret half is known, but not to whoever mutates bytes.
const CONFIG: &str = r#"{"attestation":"insecure","auth":{"audience":"a","keys":["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]},"image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

static AUTH: LazyLock<Auth> = LazyLock::new(|| {
    let measured = MeasuredConfig::parse(CONFIG.into()).expect("it is a configuration");
    Auth::new(measured.config().auth.as_ref().expect("it has auth")).expect("its key is good")
});

fuzz_target!(|data: &[u8]| {
    let token = [b"Bearer ", data].concat();
    let header = [b"Bearer eyJhbGciOiJFZERTQSJ9.", data].concat();
    assert!(!AUTH.lets_in(&[data], 0) && !AUTH.lets_in(&[&token], 0) && !AUTH.lets_in(&[&header], 0), "a forged token");
    assert!(!AUTH.lets_in(&[&token, data], 0), "two values");
});
