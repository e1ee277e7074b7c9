//! `collateral fetch` as its users meet it, against a service on this machine: what it says, how it ends, what it leaves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

#[path = "../../inputs/tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Reply, Server, ok};
use serde_json::Value;

/// Within the validity of the recorded certificates.
const AT: &str = "1704067200";

/// Runs in `dir`, with nothing in the environment that says how to reach a network.
fn sealstone(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealstone")).args(arguments).current_dir(dir).env_clear().output().unwrap()
}

fn vectors(test: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/evidence/snp");
    if !dir.is_dir() {
        println!("SKIPPED {test}: no test vectors in ../shared/vectors");
        return None;
    }
    Some(dir.canonicalize().unwrap())
}

/// Knows the recorded chip's certificates, and no revocation list.
fn service(vectors: &Path, has_list: bool) -> Server {
    let read = |name: &str| std::fs::read(vectors.join(name)).unwrap();
    let (vcek, chain) = (read("vcek.testcer"), read("milan.testcer"));
    // No list of AMD's was at hand; Intel's root's is a list, too.
    let collateral: Value = serde_json::from_slice(&read("../tdx/tdx_quote_collateral.json")).unwrap();
    let digits = collateral["root_ca_crl"].as_str().unwrap().to_owned();
    let list: Vec<u8> = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    Server::start(move |path, _| match path {
        "/vcek/v1/Milan/cert_chain" => ok(&chain),
        "/vcek/v1/Milan/crl" if has_list => ok(&list),
        leaf if leaf.contains("?blSPL=") => ok(&vcek),
        _ => Reply::Status(404, "", vec![]),
    })
}

#[test]
fn what_is_fetched_verifies() {
    let Some(vectors) = vectors("what_is_fetched_verifies") else { return };
    let (dir, service) = (tempfile::tempdir().unwrap(), service(&vectors, true));
    let report = vectors.join("attestation.bin").display().to_string();
    let fetch = ["collateral", "fetch", "--report", &report, "--product", "milan", "--amd", &service.url];
    let output = sealstone(dir.path(), &fetch);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let files = ["vcek.pem", "certificates.pem", "chain.pem", "crl.der"].map(|name| format!("collateral/{name}"));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), files);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("the VCEK's certificate: asking {}/vcek/v1/Milan/", service.url)), "{said}");
    assert!(said.contains("for `sealstone verify snp --vcek collateral/vcek.pem`"), "{said}");

    std::fs::write(dir.path().join("policy.yaml"), "schema: sealstone/policy/v1\nsnp: {products: [Milan], allow_debug: true}\n")
        .unwrap();
    let verify = ["verify", "snp", "--report", &report, "--vcek", "collateral/vcek.pem", "--chain", "collateral/chain.pem"];
    let judge = ["--policy", "policy.yaml", "--at", AT];
    assert_eq!(sealstone(dir.path(), &[&verify[..], &judge].concat()).status.code(), Some(0));
    let with_list = [&verify[..], &["--crl", "collateral/crl.der"], &judge].concat();
    assert_eq!(sealstone(dir.path(), &with_list).status.code(), Some(10), "the list is somebody else's");

    // Once more, into another folder, for programs.
    let output = sealstone(dir.path(), &[&fetch[..], &["--out", "again", "--json", "--progress=none"]].concat());
    assert!(output.stderr.is_empty(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["files"][0]["path"], "again/vcek.pem");
    assert_eq!(document["files"][3]["option"], "--crl");
}

#[test]
fn refusals_are_said_and_leave_nothing() {
    let Some(vectors) = vectors("refusals_are_said_and_leave_nothing") else { return };
    let (dir, service) = (tempfile::tempdir().unwrap(), service(&vectors, false));
    let report = vectors.join("attestation.bin").display().to_string();
    let garbage = vectors.join("vcek.testcer").display().to_string();
    let table: &[(&[&str], i32, &str)] = &[
        (&[], 2, "--evidence"),
        (&["--report", &report, "--quote", &report], 2, "cannot be used with"),
        (&["--quote", &report, "--product", "milan"], 2, "cannot be used with"),
        (&["--report", &report, "--renew"], 2, "cannot be used with"),
        (&["--report", &report, "--product", "rome"], 2, "milan"),
        (&["--report", "nothing"], 3, "nothing"),
        (&["--report", &garbage], 3, "1184 bytes"),
        (&["--evidence", &report], 3, "not evidence"),
        (&["--quote", &report], 3, "quote"),
        (&["--report", &report], 3, "--product"),
        (&["--report", &report, "--product", "milan", "--amd", "kds"], 3, "https://host"),
        // The service has all but the revocation list: nothing is written for want of it.
        (&["--report", &report, "--product", "milan", "--amd", &service.url], 1, "the revocation list"),
        (&["--report", &report, "--product", "turin", "--amd", &service.url], 1, "doesn't know the chip"),
        (&["--report", &report, "--product", "milan", "--amd", "http://127.0.0.1:9"], 1, "--amd"),
    ];
    for (arguments, code, says) in table {
        let output = sealstone(dir.path(), &[&["collateral", "fetch"][..], arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty() && std::fs::read_dir(dir.path()).unwrap().next().is_none(), "{arguments:?}");
    }
}

/// The pages and completions are made from the same help texts.
#[test]
fn it_is_in_the_manual_and_in_completions() {
    let dir = tempfile::tempdir().unwrap();
    assert!(sealstone(dir.path(), &["man", "pages"]).status.success());
    let page = std::fs::read_to_string(dir.path().join("pages/sealstone-collateral-fetch.1")).unwrap();
    assert!(page.contains("intel\\-root\\-crl"), "{page}");
    let output = sealstone(dir.path(), &["completions", "bash"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("--intel-root-crl"));
}
