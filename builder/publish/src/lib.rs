//! Releases, logs and keys as files. What they mean is `sealstone-release`'s; here they are read and written so that being
//! stopped anywhere leaves something whole.
//!
//! | module | holds |
//! | --- | --- |
//! | [`keys`] | key files |
//! | [`folder`] | a release's folder, and folders of notices |
//! | [`log`] | a log as a folder of tiles: begun, grown, proven, checked, cosigned |
//! | `sigstore` | Sigstore bundles about a release's pin, with the feature of that name |

mod atomic;
mod error;
pub mod folder;
pub mod keys;
pub mod log;
#[cfg(feature = "sigstore")]
pub mod sigstore;

pub use error::PublishError;
