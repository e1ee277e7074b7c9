//! Puts artefacts together into an image. Bytes in, bytes out; no programs are started and no files touched.
//!
//! | module | makes |
//! | --- | --- |
//! | [`initrd`] | the initramfs: the declared entry list, and nothing that the host could add |
//! | [`config`] | the measured configuration that init and daemon read |
//! | [`uki`] | the unified kernel image |
//! | [`disk`] | the bootable GPT disk that holds it |

pub mod config;
pub mod disk;
mod error;
pub mod initrd;
pub mod uki;

pub use error::AssembleError;
