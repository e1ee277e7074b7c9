//! Evidence made by tests, under roots that exist only in tests. Not for anybody else.
//!
//! What recorded evidence can't show is that each check refuses on its own: alter one thing in it, and the signature breaks
//! as well. So tests make chains of their own. That needs a way to say which root to trust, and **no program may have one**:
//! this module is there only under `cfg(test)` or the feature `test-roots`, which nothing but a dev-dependency may turn on
//! (`tests/roots.rs` of `sealstone-release` looks at every manifest). A program that is built without it has no function
//! that takes a root.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::indexing_slicing, reason = "tests fail by panicking")]

pub mod snp;
pub mod tdx;
pub mod tpm;
pub mod x509;
