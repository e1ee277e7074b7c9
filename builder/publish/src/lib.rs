//! Releases, logs and keys as files. What they mean is `sealstone-release`'s; here they are read and written so that being
//! stopped anywhere leaves something whole.
//!
//! | module | holds |
//! | --- | --- |
//! | [`keys`] | key files |
//! | [`folder`] | a release's folder, and folders of notices |
//! | [`log`] | a log as a folder of tiles: begun, grown, proven, checked, cosigned |

mod atomic;
mod error;
pub mod folder;
pub mod keys;
pub mod log;

pub use error::PublishError;
