//! Certificates and revocation lists, as far as attestation chains need them (RFC 5280).
//!
//! Structure is parsed by the crate `x509-cert`; signatures are checked over the bytes as they stand in the input, never
//! over a second encoding. What this module doesn't know and the issuer calls critical, refuses.

mod certificate;
mod crl;
mod key;

pub use certificate::{Certificate, CertificateError};
pub use crl::RevocationList;
pub use key::{KeyError, PublicKey, Scheme, SignatureError};
