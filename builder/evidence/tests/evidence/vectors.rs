//! Finds the recorded evidence. It isn't part of the project: where the folder is absent, tests say so and pass.

use std::path::PathBuf;

/// Contents of a file of the vectors' `evidence` folder.
pub(crate) fn read(test: &str, name: &str) -> Option<Vec<u8>> {
    let folder = match std::env::var_os("SEALSTONE_VECTORS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    if !folder.is_dir() {
        println!("SKIPPED {test}: there are no vectors at {}", folder.display());
        return None;
    }
    Some(std::fs::read(folder.join("evidence").join(name)).expect("the vectors are complete"))
}
