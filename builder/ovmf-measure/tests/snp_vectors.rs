//! Known answers: every case of the public SNP vectors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests read vectors and ask oracles, and failing loudly is right"
)]

mod common;

use ovmf_measure::snp::{self, DirectBoot, Request};
use serde_json::Value;

#[test]
fn every_case_of_the_vectors() {
    let Some(cases) = common::vector("every_case_of_the_vectors", "snp/cases.json") else { return };
    let document: Value = serde_json::from_slice(&cases).unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().map(str::to_owned);
    let hex = |case: &Value, key: &str| text(case, key).map(|hex| ovmf_measure::digest::from_hex(&hex).unwrap());

    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() >= 16, "the vectors shrank");
    for case in cases {
        let name = text(case, "name").unwrap();
        let path = format!("snp/{}", text(case, "firmware").unwrap());
        let firmware = common::vector("every_case_of_the_vectors", &path).unwrap();
        let (kernel, initrd) = (hex(case, "kernel_hex"), hex(case, "initrd_hex"));
        let cmdline = text(case, "cmdline").unwrap_or_default();
        let boot = kernel.as_ref().map(|kernel| DirectBoot { kernel, initrd: initrd.as_deref(), cmdline: &cmdline });
        let vcpu_type = text(case, "vcpu_type").unwrap();
        let vmm = text(case, "vmm").unwrap();
        let guest_features = case["guest_features"].as_u64().unwrap();
        let request = Request { firmware: &firmware, boot, vcpu_type: &vcpu_type, guest_features, vmm: &vmm };
        let launch = snp::measure(&request).unwrap_or_else(|e| panic!("{name}: {e}"));

        let vcpus = u32::try_from(case["vcpus"].as_u64().unwrap()).unwrap();
        let expected = text(case, "expected").unwrap();
        assert_eq!(launch.digest_for(vcpus).unwrap().to_string(), expected, "{name}");
        let folded = launch.transcript(vcpus).unwrap().registers().unwrap();
        assert_eq!(folded.into_values().flatten().map(|d| d.to_string()).collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn cpu_signatures_are_those_of_the_vectors() {
    let Some(cases) = common::vector("cpu_signatures_are_those_of_the_vectors", "snp/cases.json") else { return };
    let document: Value = serde_json::from_slice(&cases).unwrap();
    for (name, signature) in document["cpu_signatures"].as_object().unwrap() {
        let ours = snp::cpu_model(name).unwrap_or_else(|| panic!("{name} is missing")).signature;
        assert_eq!(format!("{ours:#010x}"), signature.as_str().unwrap(), "{name}");
    }
}
