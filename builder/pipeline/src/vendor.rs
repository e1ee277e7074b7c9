//! Registry crates, laid out as cargo's directory source wants them.

use std::fs;
use std::path::Path;

use sealstone_inputs::Store;
use sealstone_sandbox::Order;

use crate::action::Crate;
use crate::error::{IoContext, PipelineError};

/// Unpacks every crate to `dest/<name>-<version>/` with the `.cargo-checksum.json` that cargo compares with `Cargo.lock`.
///
/// The file list in that document may stay empty: the archive as a whole was checked against the lock before it was unpacked.
/// Source: the Cargo book, "Source Replacement", directory sources.
pub(crate) fn lay_out(store: &Store, crates: &[Crate], dest: &Path, order: Order) -> Result<(), PipelineError> {
    for krate in crates {
        let folder = dest.join(&krate.folder);
        fs::create_dir(&folder).doing("creating", &folder)?;
        let archive = store.object(&krate.sha256);
        let file = fs::File::open(&archive).doing("opening", &archive)?;
        sealstone_sandbox::unpack_tar(file, &folder, 1, order)
            .map_err(|source| PipelineError::Sandbox { doing: format!("unpacking {}", krate.folder), source })?;
        let sums = folder.join(".cargo-checksum.json");
        fs::write(&sums, format!("{{\"files\":{{}},\"package\":\"{}\"}}", krate.sha256)).doing("writing", &sums)?;
    }
    Ok(())
}
