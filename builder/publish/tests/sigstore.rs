//! Sigstore bundles, by a real one of the public instance. It is among the files that the crate `sigstore-verify` is published with, and is
//! read from where cargo put them: bundles of others aren't copied into this repository.

#![cfg(feature = "sigstore")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "failing loudly is right in tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealstone_publish::sigstore::{Signer, SigstoreError, verify};
use serde_json::Value;

/// Where the crate's own test files are.
fn data() -> PathBuf {
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--features",
            "sigstore",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "sigstore-verify").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("test_data")
}

struct Case {
    artefact: Vec<u8>,
    bundle: String,
    root: String,
    signer: Signer,
}

fn case() -> Case {
    let data = data();
    let text = |name: &str| fs::read_to_string(data.join(name)).unwrap();
    Case {
        artefact: fs::read(data.join("bundles/signed-package-2.1.0-hb0f4dca_0.conda")).unwrap(),
        bundle: text("bundles/conda-attestation.sigstore.json"),
        root: text("trusted_roots/public-good.json"),
        signer: Signer {
            identity: "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main".into(),
            issuer: "https://token.actions.githubusercontent.com".into(),
        },
    }
}

impl Case {
    fn verify(&self) -> Result<(), SigstoreError> {
        verify(&self.artefact, &self.bundle, &self.root, &self.signer).map(|shown| assert!(shown.at.is_some()))
    }
}

#[test]
fn a_real_bundle() {
    case().verify().unwrap();
    let other = Case { artefact: b"another".to_vec(), ..case() };
    assert!(matches!(other.verify(), Err(SigstoreError::Signature(_))), "{:?}", other.verify());
    for signer in [
        Signer { identity: "https://example.com/workflow".into(), ..case().signer },
        Signer { issuer: "https://issuer.example.com".into(), ..case().signer },
        Signer { identity: String::new(), issuer: String::new() },
    ] {
        let other = Case { signer, ..case() };
        assert!(matches!(other.verify(), Err(SigstoreError::Signer(_))), "{:?}", other.verify());
    }
}

#[test]
fn roots_of_another_instance_and_other_kinds_of_bundle_are_refused() {
    let staging = fs::read_to_string(data().join("sct-multi-intermediate/staging_trusted_root.json")).unwrap();
    assert!(Case { root: staging, ..case() }.verify().is_err());
    assert!(matches!(Case { root: "{}".into(), ..case() }.verify(), Err(SigstoreError::Root(_))));
    assert!(matches!(Case { bundle: "{}".into(), ..case() }.verify(), Err(SigstoreError::Bundle(_))));
    let old = case().bundle.replace("vnd.dev.sigstore.bundle.v0.3+json", "vnd.dev.sigstore.bundle+json;version=0.2");
    assert_ne!(old, case().bundle);
    assert!(matches!(Case { bundle: old, ..case() }.verify(), Err(SigstoreError::Bundle(_))));
    // A signature over the bare file says nothing of what it is signed as.
    let bare = fs::read_to_string(data().join("bundles/cosign-v3-blob.sigstore.json")).unwrap();
    assert!(matches!(Case { bundle: bare, ..case() }.verify(), Err(SigstoreError::Bundle(_))));
}

/// Every text in a bundle, with one letter of it changed; of the checkpoint one in what is signed, since of its signature lines the key
/// counts and not the name.
#[test]
fn a_changed_bundle_is_refused() {
    let case = case();
    let whole: Value = serde_json::from_str(&case.bundle).unwrap();
    let mut paths = Vec::new();
    leaves(&whole, "", &mut paths);
    assert!(paths.len() > 15, "{paths:?}");
    let mut accepted = Vec::new();
    for path in &paths {
        let mut changed = whole.clone();
        let leaf = changed.pointer_mut(path).unwrap();
        let text = leaf.as_str().unwrap();
        let at = text.len() / 4;
        let letter = if &text[at..=at] == "1" { "2" } else { "1" };
        *leaf = Value::String(format!("{}{letter}{}", &text[..at], &text[at + 1..]));
        if (Case { bundle: changed.to_string(), ..self::case() }).verify().is_ok() {
            accepted.push(path.as_str());
        }
    }
    assert_eq!(accepted, [""; 0], "changed, and accepted all the same");
}

fn leaves(value: &Value, at: &str, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, member)| leaves(member, &format!("{at}/{key}"), paths)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| leaves(item, &format!("{at}/{i}"), paths)),
        Value::String(text) if !text.is_empty() => paths.push(at.to_owned()),
        _ => {}
    }
}
