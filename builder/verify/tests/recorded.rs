//! The public surface on recorded evidence: a boot of the default image in QEMU with a software TPM, and the vectors of SNP and TDX.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::path::PathBuf;

use proptest::prelude::*;
use sealstone_verify::{Binding, Document, Evidence, Outcome, Pin, Policy, Refusal, Time, json, verify, verify_snp, verify_tdx};

const PIN: &[u8] = include_bytes!("data/pin.json");
const EVIDENCE: &[u8] = include_bytes!("data/evidence.json");
/// The machine's own key by name. Where any key will do, so will one whose attributes were changed on the way.
const THIS_TPM: &[u8] = b"schema: sealstone/policy/v1\ntpm: {attestation_keys: ['000ba1e13b9113bf158f4f306f41a6af7f1940801edce379d37f54f955fba8ab1522']}\n";
const SOFTWARE_TPM: &[u8] = b"schema: sealstone/policy/v1\ntpm: {allow_unendorsed_key: true}\n";

fn at() -> Time {
    Time::from_unix(1_800_000_000).unwrap()
}

fn nonce() -> Binding {
    let bytes = data_encoding::HEXLOWER.decode(include_bytes!("data/nonce")).unwrap();
    Binding::Nonce(bytes.try_into().unwrap())
}

#[test]
fn the_machine_runs_the_pinned_image() {
    let (pin, evidence) = (Pin::parse(PIN).unwrap(), Evidence::parse(EVIDENCE).unwrap());
    let verdict = verify(&pin, &evidence, &Policy::parse(SOFTWARE_TPM).unwrap(), &nonce(), at());
    assert!(verdict.is_accepted() && verdict.refusal().is_none(), "{}", verdict.to_text());
    assert_eq!(verdict.profile(), Some("tpm-qemu-7.2-ovmf-2022.11-disk"));
    assert_eq!((pin.image(), evidence.tee()), (("inference", "0.1.0"), "tpm2"));
    assert!(verdict.checks().any(|check| check.id == "pin.pcr4" && check.outcome == Outcome::Passed));
    assert!(verify(&pin, &evidence, &Policy::parse(THIS_TPM).unwrap(), &nonce(), at()).is_accepted());
}

#[test]
fn each_refusal_is_told_with_its_exit_code() {
    let (pin, evidence) = (Pin::parse(PIN).unwrap(), Evidence::parse(EVIDENCE).unwrap());
    let software = Policy::parse(SOFTWARE_TPM).unwrap();
    let for_another = verify(&pin, &evidence, &software, &Binding::Nonce([0; 32]), at());
    assert_eq!((for_another.refusal(), for_another.exit_code()), (Some(Refusal::Policy), 12));
    assert_eq!(for_another.checks().next().unwrap().id, "binding");
    let in_session = verify(&pin, &evidence, &software, &Binding::channel([0; 32], [0; 32]), at());
    assert_eq!(in_session.exit_code(), 12);
    let unendorsed = verify(&pin, &evidence, &Policy::default(), &nonce(), at());
    assert_eq!(unendorsed.checks().next().unwrap().id, "tpm.endorsement");
    let text = String::from_utf8(PIN.to_vec()).unwrap().replace("\"version\": \"0.1.0\"", "\"version\": \"0.1.1\"");
    let other = Pin::parse(text.as_bytes()).unwrap();
    let other = verify(&other, &evidence, &software, &nonce(), at());
    assert_eq!((other.refusal(), other.exit_code()), (Some(Refusal::Measurement), 11));
}

#[test]
fn what_does_not_belong_to_the_evidence_is_refused() {
    let evidence = || Evidence::parse(EVIDENCE).unwrap();
    assert_eq!(evidence().with_certificates(b"").unwrap_err().document(), Document::Certificates);
    assert_eq!(evidence().with_revocation_list(b"").unwrap_err().document(), Document::RevocationList);
    let error = evidence().with_collateral(b"{}").unwrap_err();
    assert_eq!((error.document(), error.exit_code()), (Document::Collateral, 3));
    assert!(error.to_string().contains("tpm2"), "{error}");
}

#[test]
fn the_boot_chain_is_that_of_the_pin() {
    let pin = Pin::parse(PIN).unwrap();
    let profile = pin.profile("tpm-qemu-7.2-ovmf-2022.11-disk").unwrap();
    let events: Vec<_> = profile.events().collect();
    let uki = events.iter().find(|event| event.register == "pcr4" && event.input == "uki").unwrap();
    assert_eq!((uki.op.as_str(), uki.controlled_by, uki.digest.len()), ("extended by", "image", 64));
    assert_eq!(pin.profile("none").unwrap_err().document(), Document::Profile);
}

#[test]
fn raw_evidence_is_judged_as_the_vectors_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/evidence");
    let Ok(report) = std::fs::read(folder.join("snp/attestation.bin")) else {
        println!("SKIPPED raw_evidence_is_judged_as_the_vectors_say: no vectors");
        return;
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let milan = Policy::parse(b"schema: sealstone/policy/v1\nsnp: {products: [Milan]}\n").unwrap();
    let snp = |policy| verify_snp(&report, &read("snp/vcek.testcer"), b"", None, policy, at()).unwrap();
    let genuine = |id: &str| snp(&milan).checks().any(|check| check.id == id && check.outcome == Outcome::Passed);
    assert!(genuine("snp.signature"), "{}", snp(&milan).to_text());
    assert_eq!(snp(&Policy::default()).exit_code(), 12, "Milan is refused unless allowed");
    let tdx = |name: &str| {
        let (quote, collateral) = (read(&format!("tdx/{name}")), read(&format!("tdx/{name}_collateral.json")));
        verify_tdx(&quote, &collateral, &Policy::default(), at()).unwrap()
    };
    assert_eq!(tdx("tdx_quote_outdated").exit_code(), 12);
    let mut damaged = report.clone();
    damaged[0x90] ^= 1;
    assert_eq!(verify_snp(&damaged, &read("snp/vcek.testcer"), b"", None, &milan, at()).unwrap().exit_code(), 10);
}

/// Where the event log stands in the evidence.
fn event_log() -> std::ops::Range<usize> {
    let text = std::str::from_utf8(EVIDENCE).unwrap();
    let from = text.find("\"event_log\"").unwrap();
    from..from + text[from..].find("\",").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever byte of the evidence is changed, it isn't accepted any more (or can't be read). The log is left out: what it
    /// says in words beside its digests isn't measured.
    #[test]
    fn no_byte_of_the_evidence_is_idle(nth in 0..EVIDENCE.len() - event_log().len(), flip in 1u8..) {
        let log = event_log();
        let at_byte = if nth < log.start { nth } else { nth + log.len() };
        let mut damaged = EVIDENCE.to_vec();
        damaged[at_byte] ^= flip;
        let pin = Pin::parse(PIN).unwrap();
        if let Ok(evidence) = Evidence::parse(&damaged) {
            let verdict = verify(&pin, &evidence, &Policy::parse(THIS_TPM).unwrap(), &nonce(), at());
            prop_assert!(!verdict.is_accepted(), "byte {at_byte} ^ {flip:#04x}");
        }
    }

    #[test]
    fn any_request_is_answered(request in prop::collection::vec(any::<u8>(), 0..200)) {
        let answer: serde_json::Value = serde_json::from_str(&json::answer(&request)).unwrap();
        prop_assert!(answer.is_object());
    }
}
