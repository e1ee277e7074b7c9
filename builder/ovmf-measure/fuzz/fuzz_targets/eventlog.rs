//! Event logs: parse, replay, compare with a prediction.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::{EventLog, first_divergence};
use ovmf_measure::transcript::Transcript;

fuzz_target!(|data: &[u8]| {
    let Ok(log) = EventLog::parse(data) else { return };
    for algorithm in log.algorithms() {
        let _ = log.replay(algorithm);
    }
    let event = r#"{"register":"pcr4","kind":"EV_SEPARATOR","op":"extend","digest":"DIGEST",
        "source":{"input":"constant","how":"fuzzing"},"controlled_by":"firmware"}"#;
    let event = event.replace("DIGEST", &Algorithm::Sha256.hash(&[0; 4]).to_string());
    let json = format!(r#"{{"algorithm":"sha256","events":[{event}]}}"#);
    let transcript: Transcript = serde_json::from_str(&json).expect("a fixed transcript");
    if let Some(divergence) = first_divergence(&transcript, &log) {
        assert!(!divergence.to_string().is_empty());
    }
});
