//! Any bytes as the parts of an evidence document of each technology, and as a whole one. What can be read is in canonical form, and
//! nothing is accepted: no fuzzer signs for AMD or Intel, or for a TPM whose key is on no list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_release::canonical;
use sealstone_release::evidence::Evidence;
use sealstone_release::pin::Pin;
use sealstone_release::policy::Policy;
use sealstone_release::time::Moment;
use sealstone_release::verdict::{Binding, appraise};
use serde_json::{Value, json};

const CONFIG: &str = "{\"attestation\":\"required\",\"image\":{\"name\":\"i\",\"version\":\"1\"},\"models\":[],\"network\":\
                      {\"address\":\"dhcp\",\"port\":1},\"schema\":\"sealstone/config/v1\"}";
const PIN: &str = "{\"image\":{\"cmdline\":\"\",\"disk\":F,\"initrd\":F,\"kernel\":F,\"name\":\"i\",\"uki\":F,\"version\":\"1\"},\
                   \"models\":[],\"profiles\":[],\"schema\":\"sealstone/pin/v1\",\"source\":{\"lock_sha256\":H,\"spec_sha256\":H},\
                   \"supersedes\":null,\"validity\":null}";

/// Splits off a part whose length stands before it.
fn part<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, rest)) = data.split_first_chunk::<2>() else { return &[] };
    let (part, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    *data = rest;
    part
}

fn documents(data: &[u8]) -> [Value; 3] {
    let mut rest = data;
    let [a, b, c, d] = [(); 4].map(|()| data_encoding::BASE64.encode(part(&mut rest)));
    let text = String::from_utf8_lossy(rest);
    let schema = "sealstone/evidence/v1";
    [
        json!({"certificates": [b, c], "config": CONFIG, "report": a, "revocation_list": d, "schema": schema, "tee": "sev-snp"}),
        json!({"collateral": text, "config": CONFIG, "event_log": b, "quote": a, "schema": schema, "tee": "tdx"}),
        json!({"ak_public": c, "config": CONFIG, "event_log": d, "quote": a, "schema": schema, "signature": b, "tee": "tpm2"}),
    ]
}

fn judge(text: &[u8]) {
    let Ok(evidence) = Evidence::parse(text) else { return };
    let hash = format!("\"{}\"", "0".repeat(64));
    let pin = PIN.replace('F', &format!("{{\"sha256\":{hash},\"size\":0}}")).replace(":H", &format!(":{hash}"));
    let pin = Pin::parse(&pin).expect("the pin is one");
    let at = Moment::from_unix(1_700_000_000).expect("a moment");
    let verdict = appraise(&pin, &evidence, &Policy::default(), &Binding::Nonce([1; 32]), at);
    assert!(!verdict.is_accepted(), "the fuzzer has forged evidence");
    assert!(verdict.checks().iter().any(|check| check.id == "verdict.complete" && check.passed()), "a check wasn't made");
}

fuzz_target!(|data: &[u8]| {
    judge(data);
    for document in documents(data) {
        judge(canonical::write(&document).as_bytes());
    }
});
