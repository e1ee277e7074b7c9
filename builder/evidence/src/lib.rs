//! Is this attestation evidence genuine? SEV-SNP reports, TDX quotes and TPM quotes: parsing and signature chains.
//!
//! Bytes and a time go in; parsed claims and a list of [`check::Check`]s come out. Whether genuine evidence is also
//! *wanted* (measurement, debug bit, TCB floors…) isn't decided here but in `sealstone-release`. Nothing here touches
//! files, clock, environment, network, processes or randomness; all certificates and collateral are arguments, and the
//! vendors' root keys are compiled in. Parsers never panic and need no more memory than a small multiple of their input.
//!
//! | module | is |
//! | --- | --- |
//! | [`check`] | one line of a verdict, and which refusal is worse than which |
//! | [`snp`] | SEV-SNP attestation report, VCEK or VLEK, AMD's roots |
//! | [`tdx`] | TDX quote, collateral, Intel's root, TCB status |
//! | [`tpm`] | TPM 2.0 quote under an attestation key that the caller trusts, or that sits beside a certified endorsement key |
//! | [`x509`] | the part of X.509 that those need: certificates, revocation lists |
//! | [`time`] | RFC 3339 to seconds and back |

#![forbid(unsafe_code)]

mod bytes;
pub mod check;
pub mod snp;
pub mod tdx;
#[cfg(any(test, feature = "test-roots"))]
#[doc(hidden)]
pub mod testing;
pub mod time;
pub mod tpm;
pub mod x509;
