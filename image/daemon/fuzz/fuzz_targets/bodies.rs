//! Any bytes as the body of each request: read or refused. What is read is a JSON object of at least a model's name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_daemon::api::is_request;

fuzz_target!(|data: &[u8]| {
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        if is_request(path, data) {
            let value: serde_json::Value = serde_json::from_slice(data).expect("what was read is JSON");
            assert!(value["model"].is_string(), "a request without a model");
        }
    }
});
