//! The edges between crates that the design forbids, asserted from what cargo says.
//!
//! How it could fool: by looking at a list that somebody keeps. So the edges come from `cargo metadata` of the workspace as it is, and a
//! crate that isn't in the table fails the test.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace and which others it may use, development dependencies left aside.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sealstone-spec", &[]),
    ("sealstone-kconfig", &[]),
    ("sealstone-formats", &[]),
    // Re-reads bytes independently of the writers: a mistake in one must not hide in the other.
    ("ovmf-measure", &[]),
    ("sealstone-evidence", &[]),
    // Verification never uses what builds.
    ("sealstone-release", &["ovmf-measure", "sealstone-evidence"]),
    // The surface for others over the three crates of verification, and nothing else: it is what a browser runs.
    ("sealstone-verify", &["ovmf-measure", "sealstone-evidence", "sealstone-release"]),
    ("sealstone-publish", &["sealstone-release"]),
    // Talks to images: verifies, and never uses what builds. Of `evidence` it makes the exchange about a TPM's endorsement key.
    ("sealstone-client", &["sealstone-evidence", "sealstone-release"]),
    ("sealstone-inputs", &["sealstone-spec"]),
    // Fetches for verification what it is handed: `inputs` has the only HTTP client that leaves the machine. Nothing of verification uses it.
    ("sealstone-collateral", &["sealstone-evidence", "sealstone-inputs", "sealstone-release"]),
    ("sealstone-sandbox", &["sealstone-spec"]),
    ("sealstone-assemble", &["sealstone-formats", "sealstone-spec"]),
    ("sealstone-bom", &["sealstone-formats", "sealstone-spec"]),
    ("sealstone-compare", &["ovmf-measure", "sealstone-bom", "sealstone-formats", "sealstone-kconfig", "sealstone-release"]),
    ("sealstone-testmodel", &[]),
    (
        "sealstone-pipeline",
        &[
            "ovmf-measure",
            "sealstone-assemble",
            "sealstone-bom",
            "sealstone-formats",
            "sealstone-inputs",
            "sealstone-kconfig",
            "sealstone-release",
            "sealstone-sandbox",
            "sealstone-spec",
            "sealstone-testmodel",
        ],
    ),
    (
        "sealstone",
        &[
            "ovmf-measure",
            "sealstone-bom",
            "sealstone-client",
            "sealstone-collateral",
            "sealstone-compare",
            "sealstone-evidence",
            "sealstone-inputs",
            "sealstone-pipeline",
            "sealstone-publish",
            "sealstone-release",
            "sealstone-sandbox",
            "sealstone-spec",
        ],
    ),
];

/// Crates that must be functions of their arguments; their clippy.toml refuses the calls, and these refuse the means.
const PURE: &[&str] = &[
    "sealstone-spec",
    "sealstone-kconfig",
    "sealstone-formats",
    "ovmf-measure",
    "sealstone-evidence",
    "sealstone-release",
    "sealstone-verify",
    "sealstone-bom",
    "sealstone-compare",
];
const IMPURE_MEANS: &[&str] = &["rustix", "libc", "tempfile", "ureq", "getrandom", "rand"];

#[test]
fn crates_use_only_what_the_design_lets_them() {
    let workspace = metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for (name, uses) in &workspace {
        let may = table.get(name.as_str()).unwrap_or_else(|| panic!("{name} is a new crate: say in MAY_USE what it may use"));
        let ours = uses.iter().filter(|used| workspace.contains_key(*used));
        let forbidden: Vec<_> = ours.filter(|used| !may.contains(&used.as_str())).collect();
        assert!(forbidden.is_empty(), "{name} must not use {forbidden:?}");
    }
}

#[test]
fn pure_crates_have_no_means_to_be_otherwise() {
    let workspace = metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    for name in PURE {
        let Some(uses) = workspace.get(*name) else { continue };
        let means: Vec<_> = uses.iter().filter(|used| IMPURE_MEANS.contains(&used.as_str())).collect();
        assert!(means.is_empty(), "{name} is pure but uses {means:?}");
        let lints = format!("{}/../{}/clippy.toml", env!("CARGO_MANIFEST_DIR"), name.trim_start_matches("sealstone-"));
        let lints = std::fs::read_to_string(&lints).unwrap_or_else(|e| panic!("{lints}: {e}"));
        assert!(lints.contains("std::time::SystemTime::now"), "{name}: its clippy.toml does not refuse the clock");
    }
}

/// The one crate that both sides use: the protocol between them, which is the same bytes at both ends.
const SHARED: (&str, &str) = ("sealstone-client", "sealstone-channel");

#[test]
fn image_and_builder_share_only_the_channel() {
    let builder = metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    let image = metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/Cargo.toml"));
    for (here, there) in [(&builder, &image), (&image, &builder)] {
        for (name, uses) in here {
            let is_shared = |used: &&String| (name.as_str(), used.as_str()) == SHARED;
            let across: Vec<_> = uses.iter().filter(|used| there.contains_key(*used) && !is_shared(used)).collect();
            assert!(across.is_empty(), "{name} uses {across:?} of the other workspace");
        }
    }
}

/// With `raw_value` or `arbitrary_precision`, a JSON object with a certain member is read as something else, everywhere in the program:
/// one crate that turns them on would change what the others verify.
#[test]
fn nobody_changes_how_json_is_read() {
    for manifest in ["/../../Cargo.toml", "/../../image/Cargo.toml"] {
        let manifest = format!("{}{manifest}", env!("CARGO_MANIFEST_DIR"));
        for package in packages(&manifest) {
            for dependency in package["dependencies"].as_array().unwrap().iter().filter(|d| d["name"] == "serde_json") {
                let features: Vec<&str> = dependency["features"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                assert!(
                    features.iter().all(|f| matches!(*f, "std" | "alloc")),
                    "{}: serde_json with {features:?}",
                    package["name"]
                );
            }
        }
    }
}

#[test]
fn the_module_for_browsers_is_the_verifier_and_nothing_else() {
    let web = metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/Cargo.toml"));
    assert_eq!(web, BTreeMap::from([("sealstone-web".to_string(), BTreeSet::from(["sealstone-verify".to_string()]))]));
}

/// The workspace's crates, each with what it depends on directly, development dependencies left aside.
fn metadata(manifest: &str) -> BTreeMap<String, BTreeSet<String>> {
    let uses = |package: &Value| -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().unwrap();
        let shipped = dependencies.iter().filter(|d| d["kind"] != "dev");
        shipped.map(|d| d["name"].as_str().unwrap().to_string()).collect()
    };
    packages(manifest).iter().map(|package| (package["name"].as_str().unwrap().to_string(), uses(package))).collect()
}

fn packages(manifest: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline", "--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["packages"].as_array().unwrap().clone()
}
