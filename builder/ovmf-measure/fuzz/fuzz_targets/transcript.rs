//! Transcripts out of a hostile pin: parse and fold within bounds, and round-trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovmf_measure::transcript::Transcript;

fuzz_target!(|data: &[u8]| {
    let Ok(transcript) = serde_json::from_slice::<Transcript>(data) else { return };
    // A range of a million pages is allowed and only costs time.
    if !data.windows(9).any(|window| window == b"snp_pages") {
        let _ = transcript.registers();
    }
    let text = serde_json::to_string(&transcript).expect("a transcript is JSON");
    assert_eq!(serde_json::from_str::<Transcript>(&text).expect("and back"), transcript);
});
