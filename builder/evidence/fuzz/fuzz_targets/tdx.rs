//! Any bytes as a quote, as collateral, and as a quote with collateral behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_evidence::tdx::{Collateral, Quote, verify};

fuzz_target!(|data: &[u8]| {
    let _ = Quote::parse(data);
    let _ = Collateral::parse(data);
    // Collateral is JSON and begins with a brace.
    let Some(at) = data.iter().position(|byte| *byte == b'{') else { return };
    let (quote, collateral) = data.split_at(at);
    if let (Ok(quote), Ok(collateral)) = (Quote::parse(quote), Collateral::parse(collateral)) {
        let _ = verify(&quote, &collateral, 1_750_377_600);
    }
});
