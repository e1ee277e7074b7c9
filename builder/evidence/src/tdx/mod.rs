//! TDX quotes.
//!
//! Sources: "Intel TDX DCAP Quoting Library API" (appendix A: quote formats 4 and 5), "Intel SGX PCK Certificate and
//! Certificate Revocation List Profile Specification", "Intel SGX and TDX Provisioning Certification Service API" version 4
//! (TCB info version 3, enclave identity version 2), and, for the TCB level, section "Verify quote" of the same.
//!
//! Why no crate does this: `dcap-qvl` is kept well, but ends at the first thing that is wrong, where a verdict has to list
//! them all; it brings a forked webpki, SCALE, chrono and second versions of `der` and `base64`.

mod body;
mod collateral;
mod level;
mod pck;
mod quote;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

pub use body::{Attributes, TdBody};
pub use collateral::{Collateral, CollateralError, IssuerChain, QeIdentity, TcbInfo};
pub use level::{Evaluation, LevelError, TcbStatus};
pub use pck::{PckClaims, PckError};
pub use quote::{Header, Quote, QuoteError};
pub use verify::{Authenticity, MANDATORY, verify};
