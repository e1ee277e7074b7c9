//! The measured configuration: the one file that tells a booted image what it is.
//!
//! It stands in the initramfs at [`PATH`], so the launch measurement covers it. `init` and `daemon` both read it with this
//! crate; the builder writes it with code of its own after the same specification, `docs/formats/config.md`.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod auth;
mod error;
mod measured;
mod model;
mod text;

pub use auth::{Audience, Auth, AuthKey, MAX_KEYS};
pub use error::ConfigError;
pub use measured::{Attestation, Config, Image, MeasuredConfig, Network, NetworkAddress, Schema};
pub use model::{BLOCK, Model, PackSize};
pub use text::{Digest, Name, PackPath, Version};

/// Where the configuration stands in the image. The builder writes it there; a change breaks every image built before.
pub const PATH: &str = "/etc/sealstone/config.json";

/// The largest configuration that is read, in bytes: room for [`MAX_MODELS`] models, and a bound on what a parser sees.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most models that one image may name. Each takes a disk, a device-mapper device and a mount.
pub const MAX_MODELS: usize = 64;
