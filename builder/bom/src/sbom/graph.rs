//! Names of components, by which dependencies refer to them.

use sealstone_spec::LockedFile;

/// The image as a whole.
pub(super) const IMAGE: &str = "image";

pub(super) fn artefact(name: &str) -> String {
    format!("artefact/{name}")
}

pub(super) fn entry(path: &str) -> String {
    format!("initrd/{path}")
}

pub(super) fn source(name: &str) -> String {
    format!("source/{name}")
}

pub(super) fn package(file: &LockedFile) -> String {
    format!("package/{}", file.name)
}

pub(super) fn krate(name: &str, version: &str) -> String {
    format!("crate/{name}@{version}")
}
