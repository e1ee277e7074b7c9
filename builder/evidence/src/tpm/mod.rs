//! TPM 2.0 quotes under an attestation key that the caller trusts.
//!
//! Source: "Trusted Platform Module Library, Part 2: Structures" (TCG, revision 1.59): TPMS_ATTEST (10.12.12), TPMT_SIGNATURE
//! (11.3.4), TPM2B_PUBLIC (12.2.5). Whether the attestation key belongs to a genuine TPM isn't looked at: the caller pins
//! the key.

mod attest;
mod key;
mod signature;
#[cfg(test)]
mod tests;
mod verify;

pub use attest::{Attest, Selection, TpmError};
pub use key::AttestationKey;
pub use signature::{HashAlgorithm, Signature};
pub use verify::{MANDATORY, PcrValues, check_pcrs, pcr_digest, verify};
