//! No program can be told to trust other roots: the feature by which tests make evidence of their own is turned on by
//! dev-dependencies only.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read the manifests")]

use std::path::{Path, PathBuf};

/// Every Cargo.toml below `dir`, but for build output.
fn manifests(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("target" | ".git") => {}
            Some("Cargo.toml") => found.push(path),
            _ if path.is_dir() && !path.is_symlink() => manifests(&path, found),
            _ => {}
        }
    }
}

#[test]
fn only_dev_dependencies_turn_the_tests_roots_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for part in ["builder", "image"] {
        manifests(&root.join(part), &mut found);
    }
    let mut uses = 0;
    for path in found.into_iter().chain([root.join("Cargo.toml")]) {
        let mut section = String::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if line.starts_with('[') {
                section = line.trim().to_owned();
            }
            if !line.contains("test-roots") || line.trim_start().starts_with('#') {
                continue;
            }
            uses += 1;
            let declared =
                section == "[features]" && line == "test-roots = [\"activation\"]" && path.ends_with("evidence/Cargo.toml");
            assert!(declared || section == "[dev-dependencies]", "{}: {section}: {line}", path.display());
        }
    }
    assert_eq!(uses, 3, "its declaration, this crate's tests, and the client's");
}
