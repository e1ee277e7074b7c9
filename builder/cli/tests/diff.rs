//! `sealstone diff` and `sealstone reproduce`: what they refuse. What they say of images is tested in builder/compare.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output};

fn sealstone(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealstone")).args(arguments).output().unwrap()
}

fn refused(arguments: &[&str], code: i32, says: &str) {
    let output = sealstone(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

#[test]
fn what_is_no_image_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (missing, empty, broken, store) = (path("missing"), path("empty"), path("broken"), path("store"));
    fs::create_dir(&empty).unwrap();
    fs::write(&broken, "{}").unwrap();
    refused(&["diff", &missing, &missing], 3, "missing: cannot be read");
    refused(&["diff", &empty, &empty], 3, "neither a pin.json nor a provenance.json");
    refused(&["diff", &broken, &broken], 3, "broken: pin.json: ");
    refused(&["diff", &broken], 2, "Usage");
    refused(&["diff", &broken, &broken, "--json", "--html", &missing], 2, "cannot be used with");
    refused(&["reproduce", &empty, "--store", &store], 3, "it has no provenance.json");
    refused(&["reproduce", &empty, "--store", &store, "--attest", &missing], 3, "pin.sigs");
    refused(&["reproduce", &empty, "--statement", &missing], 2, "--attest");
}
