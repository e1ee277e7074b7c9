//! Why an image could not be put together.

use sealstone_formats::{cpio, fat, gpt, pe};

/// An image that could not be put together from its parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The measured configuration cannot say what the spec asks for.
    #[error("writing the measured configuration: {0}")]
    Config(String),
    /// The entry list does not fit an initramfs.
    #[error(transparent)]
    Initrd(#[from] cpio::WriteError),
    /// The sections do not fit onto the stub.
    #[error(transparent)]
    Uki(#[from] pe::WriteError),
    /// What was just written does not read back as a unified kernel image. A defect of the writer; nothing was kept.
    #[error("the unified kernel image does not read back: {0}")]
    UkiReadBack(#[from] pe::ReadError),
    /// The files do not fit onto the EFI system partition.
    #[error(transparent)]
    Esp(#[from] fat::WriteError),
    /// The partition does not fit onto a GPT disk.
    #[error(transparent)]
    Disk(#[from] gpt::WriteError),
}
