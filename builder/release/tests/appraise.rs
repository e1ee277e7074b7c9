//! Verdicts with a pin, on evidence of machines that booted and on evidence made here.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[test]
fn lead() {
    use sealstone_release::{
        evidence::Evidence,
        pin::Pin,
        policy::Policy,
        time::Moment,
        verdict::{Binding, appraise},
    };
    let pin = Pin::parse(&std::fs::read_to_string("/tmp/lead/out/pin.json").unwrap()).unwrap();
    let at = Moment::from_unix(1_800_000_000).unwrap();
    for dir in ["ev-disk", "ev-direct"] {
        let ev = Evidence::parse(&std::fs::read(format!("/tmp/lead/{dir}/evidence.json")).unwrap()).unwrap();
        for p in ["", "tpm: {allow_unendorsed_key: true}"] {
            let policy = Policy::parse("p", &format!("schema: sealstone/policy/v1\n{p}\n")).unwrap();
            println!("{}", appraise(&pin, &ev, &policy, &Binding::Offline, at).to_text());
        }
    }
}
