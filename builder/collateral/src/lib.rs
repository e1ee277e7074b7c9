//! What verifying evidence takes besides the evidence: certificates, revocation lists and TCB statements, from the vendors' services.
//!
//! Nothing that is fetched is trusted, here or later: whether it is the vendor's and goes with the evidence is what `verify` decides, under
//! roots that are compiled in. Here it is only parsed, so that whoever fetches learns at once that a service gave something else. So the
//! services may as well be caches on a local network, reached without TLS.
//!
//! | module | is |
//! | --- | --- |
//! | [`amd`] | AMD's Key Distribution Service: VCEK, its chain, the revocation list |
//! | [`intel`] | Intel's Provisioning Certification Service: one document of collateral |
//! | [`service`] | who is asked: an interface, and its implementation on the builder's HTTP client |
//! | [`files`] | what came, as files that `verify` takes |
//!
//! Sources: "Versioned Chip Endorsement Key Certificate and KDS Interface Specification" (AMD 57230), chapter 4; "Intel SGX and Intel TDX
//! Services: Provisioning Certification Service API", version 4.

pub mod amd;
mod error;
pub mod files;
pub mod intel;
pub mod service;

pub use error::FetchError;
pub use files::{Fetched, File};

use sealstone_evidence::snp::Product;
use sealstone_release::evidence::{Body, Evidence};

use service::Vendors;

/// Fetches what `evidence` lacks; with `renew`, also what the machine sent along, which may be out of date.
///
/// # Errors
/// If the evidence needs nothing or doesn't say enough, or a service gives something else than what it was asked for.
pub fn for_evidence(
    evidence: &Evidence,
    product: Option<Product>,
    renew: bool,
    vendors: &Vendors<'_>,
) -> Result<Fetched, FetchError> {
    match &evidence.body {
        Body::Snp(snp) => {
            let mut have =
                amd::Have { endorsement: snp.endorsement.as_ref(), chain: &snp.chain, revocation: snp.revocation.is_some() };
            if renew {
                // A VLEK's certificate can't be had from AMD by anybody but the provider.
                have = amd::Have { endorsement: have.endorsement.filter(|leaf| amd::is_vlek(leaf)), ..amd::Have::default() };
            }
            amd::fetch(&snp.report, &have, product, vendors)
        }
        Body::Tdx(tdx) if tdx.collateral.is_some() && !renew => Ok(Fetched::default()),
        Body::Tdx(tdx) => intel::fetch(&tdx.quote, vendors),
        _ => Err(FetchError::Tpm),
    }
}
