//! Where the public test vectors are: a folder beside the repository, which may be absent.

use std::path::PathBuf;

/// `../shared/vectors/<path>` from the workspace's root; `None`, with a printed reason, where the folder is absent.
pub(crate) fn vector(test: &str, path: &str) -> Option<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !root.is_dir() {
        println!("SKIPPED {test}: no test vectors in ../shared/vectors");
        return None;
    }
    let file = root.join(path);
    Some(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
}
