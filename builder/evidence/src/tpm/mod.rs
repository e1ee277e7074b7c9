//! TPM 2.0 quotes under an attestation key that the caller trusts.
//!
//! Source: "Trusted Platform Module Library, Part 2: Structures" (TCG, revision 1.59): TPMS_ATTEST (10.12.12), TPMT_SIGNATURE
//! (11.3.4), TPM2B_PUBLIC (12.2.5). Whether the attestation key belongs to a genuine TPM is another question: the caller pins
//! the key, or trusts roots that certify it ([`verify_chain`]), or has the TPM show that the key sits beside an endorsement key that
//! such roots certify ([`Activated`]).

#[cfg(any(test, feature = "activation"))]
mod activation;
mod attest;
mod chain;
mod endorsement;
mod key;
mod signature;
#[cfg(test)]
mod tests;
mod verify;

#[cfg(any(test, feature = "activation"))]
pub use activation::{Challenge, ChallengeError, Randomness};
pub use attest::{Attest, Selection, TpmError};
pub use chain::verify_chain;
pub use endorsement::{Activated, EndorsementCertificate};
pub use key::AttestationKey;
pub use signature::{HashAlgorithm, Signature};
pub use verify::{MANDATORY, PcrValues, check_pcrs, pcr_digest, verify};
