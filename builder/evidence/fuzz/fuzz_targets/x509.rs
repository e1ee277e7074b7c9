//! Any bytes as a certificate, an endorsement key's in particular, a PEM text of certificates, and a revocation list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_evidence::snp::{Endorsement, Product};
use sealstone_evidence::tdx::PckClaims;
use sealstone_evidence::tpm::EndorsementCertificate;
use sealstone_evidence::x509::{Certificate, RevocationList};

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::from_pem_or_der("certificate", data) {
        let _ = certificate.verify_signed_by(certificate.key());
        let _ = certificate.is_authority();
        let _ = PckClaims::from_certificate(&certificate);
        for product in [Product::Milan, Product::Turin] {
            let _ = Endorsement::from_certificate(&certificate, product);
        }
    }
    if let Ok(certificate) = EndorsementCertificate::from_der(data) {
        let _ = certificate.verify(&[], 1_700_000_000);
    }
    let _ = Certificate::list_from_pem("chain", data);
    if let Ok(list) = RevocationList::from_der("list", data) {
        let _ = list.validity();
    }
});
