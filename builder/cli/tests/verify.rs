//! `verify` as its users meet it: exit codes, and the public vectors' known answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Within the validity of the recorded SNP evidence's certificates.
const SNP_AT: &str = "1704067200";
/// Within the validity of the recorded TDX evidence's collateral, and of the other set's.
const TDX_AT: &str = "1750377600";
const OUTDATED_AT: &str = "1772323200";

fn sealstone(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealstone")).args(arguments).output().unwrap()
}

fn code(arguments: &[&str]) -> i32 {
    sealstone(arguments).status.code().unwrap()
}

/// A file for one test, named after it.
fn scratch(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_string_lossy().into_owned()
}

fn evidence(test: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/evidence");
    if !dir.is_dir() {
        println!("SKIPPED {test}: no test vectors in ../shared/vectors");
        return None;
    }
    Some(dir)
}

#[test]
fn an_snp_report_is_judged() {
    let Some(dir) = evidence("an_snp_report_is_judged") else { return };
    let path = |name: &str| dir.join("snp").join(name).to_string_lossy().into_owned();
    let (report, vcek, chain) = (path("attestation.bin"), path("vcek.testcer"), path("milan.testcer"));
    let lenient = "schema: sealstone/policy/v1\nsnp: {products: [Milan], allow_debug: true}\n";
    let lenient = scratch("verify-lenient.yaml", lenient.as_bytes());
    let base = ["verify", "snp", "--vcek", &vcek, "--at", SNP_AT, "--report"];
    let with = |more: &[&str]| code(&[&base[..], more].concat());

    assert_eq!(with(&[&report]), 12, "a debugged guest on Milan is refused");
    assert_eq!(with(&[&report, "--policy", &lenient]), 0);
    assert_eq!(with(&[&report, "--policy", &lenient, "--chain", &chain]), 0);

    let mut bytes = std::fs::read(&report).unwrap();
    bytes[0x90] ^= 1;
    assert_eq!(with(&[&scratch("verify-damaged.bin", &bytes), "--policy", &lenient]), 10);
    assert_eq!(with(&[&scratch("verify-short.bin", &bytes[..1183]), "--policy", &lenient]), 3);
    let other = format!(
        "schema: sealstone/policy/v1\nsnp: {{products: [Milan], allow_debug: true, measurements: ['{}']}}\n",
        "0".repeat(96)
    );
    assert_eq!(with(&[&report, "--policy", &scratch("verify-other.yaml", other.as_bytes())]), 11);
    let unknown = scratch("verify-unknown.yaml", b"schema: sealstone/policy/v1\nsnp: {alow_debug: true}\n");
    assert_eq!(with(&[&report, "--policy", &unknown]), 3);
    assert_eq!(code(&["verify", "snp", "--report", &report]), 2, "a certificate must be given");
    let expired = ["verify", "snp", "--vcek", &vcek, "--at", "4000000000", "--policy", &lenient, "--report", &report];
    assert_eq!(code(&expired), 12);

    let output = sealstone(&[&base[..], &[&report, "--json"]].concat());
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["accepted"], &verdict["exit_code"]), (&false.into(), &12.into()));
    assert_eq!(verdict["checks"][0]["id"], "snp.policy.debug");
}

#[test]
fn a_tdx_quote_is_judged() {
    let Some(dir) = evidence("a_tdx_quote_is_judged") else { return };
    let path = |name: &str| dir.join("tdx").join(name).to_string_lossy().into_owned();
    let verify =
        |quote: &str, collateral: &str, at| code(&["verify", "tdx", "--quote", quote, "--collateral", collateral, "--at", at]);
    let (quote, collateral) = (path("tdx_quote"), path("tdx_quote_collateral.json"));
    assert_eq!(verify(&quote, &collateral, TDX_AT), 0);
    assert_eq!(verify(&quote, &collateral, OUTDATED_AT), 12, "the collateral is past its time");
    assert_eq!(verify(&quote, &path("tdx_quote_outdated_collateral.json"), OUTDATED_AT), 10, "another platform's collateral");
    assert_eq!(verify(&path("tdx_quote_outdated"), &path("tdx_quote_outdated_collateral.json"), OUTDATED_AT), 12);
    assert_eq!(verify(&collateral, &quote, TDX_AT), 3);

    let text = sealstone(&["verify", "tdx", "--quote", &quote, "--collateral", &collateral, "--at", TDX_AT]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.ends_with("accepted (tdx, at 2025-06-20T00:00:00Z)\n"), "{text}");
}

#[test]
fn a_pin_and_evidence_go_together() {
    let (pin, text) = (scratch("verify-pin.json", b"{}"), scratch("verify-text.json", b"{}"));
    assert_eq!(code(&["verify"]), 2);
    assert_eq!(code(&["verify", "--pin", &pin]), 2, "without evidence");
    assert_eq!(code(&["verify", "--evidence", &text]), 2, "without a pin");
    assert_eq!(code(&["verify", "--pin", &pin, "--evidence", &text]), 3, "neither is what it should be");
    assert_eq!(code(&["verify", "--pin", &pin, "snp", "--report", &text, "--vcek", &text]), 2, "raw evidence has no pin");
    let output = sealstone(&["verify", "--pin", &pin, "--evidence", &text]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("verify-pin.json"), "{output:?}");
    assert!(output.stdout.is_empty());
}

/// What a file says of itself must not be able to write on the terminal.
#[test]
fn errors_show_what_a_file_says_as_text() {
    let text = scratch("verify-escape.json", b"{\"schema\":\"\\u001b[2J\\naccepted\",\"\\u001b]0;x\\u0007\":1}");
    let pin = scratch("verify-escape-pin.json", b"{\"\\u001b[2J\":1}");
    for arguments in [["verify", "--pin", &pin, "--evidence", &text], ["collateral", "fetch", "--evidence", &text, "--json"]] {
        let output = sealstone(&arguments);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(!output.stderr.contains(&0x1b), "{output:?}");
    }
    let policy = scratch("verify-escape.yaml", b"schema: sealstone/policy/v1\n\"\\e[2J\": 1\n");
    let Some(dir) = evidence("errors_show_what_a_file_says_as_text") else { return };
    let path = |name: &str| dir.join("snp").join(name).to_string_lossy().into_owned();
    let (report, vcek) = (path("attestation.bin"), path("vcek.testcer"));
    let output = sealstone(&["verify", "snp", "--report", &report, "--vcek", &vcek, "--policy", &policy]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(!output.stderr.contains(&0x1b), "{output:?}");
}
