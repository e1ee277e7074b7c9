//! The public face of the crate, against evidence recorded on real machines.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, reason = "tests read vectors")]

mod snp;
mod tdx;
mod vectors;
