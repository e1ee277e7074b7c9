//! Why a document about an image could not be written or read.

/// A bill of materials, provenance or source archive that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BomError {
    /// The initramfs cannot be listed; it isn't one that a build makes.
    #[error("listing the initramfs: {0}")]
    Initrd(#[from] sealstone_formats::cpio::ReadError),
    /// A program carries no list of its crates, or a damaged one. It must be built with `cargo auditable`.
    #[error("reading the crates of {program}: {problem}")]
    Crates {
        /// Its path in the image.
        program: String,
        /// What is wrong with the list.
        problem: String,
    },
    /// Something is in the image, and nothing says where it came from. Whatever put it there must say so.
    #[error("{what} is in the image, but {problem}")]
    Unaccounted {
        /// The file, crate or package.
        what: String,
        /// What is missing.
        problem: String,
    },
    /// A file does not fit into the source archive: its path is longer than tar's header takes, say.
    #[error("writing {path} into the source archive: {problem}")]
    Pack {
        /// Its path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An archive isn't one that sealstone wrote; nothing of it may be used.
    #[error("reading the source archive: {0}; take the archive that was published with the release")]
    Source(String),
    /// A statement is no build provenance, or not one of a sealstone build.
    #[error("reading the provenance: {0}")]
    Provenance(String),
}
