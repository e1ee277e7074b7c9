//! A certificate revocation list (RFC 5280, section 5).

use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;

use super::certificate::{Certificate, CertificateError, check_extensions, same_name, signed_part};
use super::key::{PublicKey, Scheme, SignatureError};

/// A parsed revocation list whose signature hasn't been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    inner: CertificateList,
    signed: Vec<u8>,
}

impl RevocationList {
    /// Reads DER; `what` names the list in errors.
    ///
    /// # Errors
    /// If it isn't exactly one revocation list, names two signature algorithms, or has a critical extension: indirect,
    /// partial and delta lists are so marked, and none of the vendors issues one.
    pub fn from_der(what: &'static str, der: &[u8]) -> Result<Self, CertificateError> {
        let inner = CertificateList::from_der(der).map_err(|e| CertificateError::Der { what, why: e.to_string() })?;
        let profile = |why: String| CertificateError::Profile { what, why };
        if inner.tbs_cert_list.signature != inner.signature_algorithm {
            return Err(profile("it names two different signature algorithms".into()));
        }
        check_extensions(inner.tbs_cert_list.crl_extensions.as_deref().unwrap_or_default(), &[]).map_err(profile)?;
        for entry in inner.tbs_cert_list.revoked_certificates.iter().flatten() {
            check_extensions(entry.crl_entry_extensions.as_deref().unwrap_or_default(), &[]).map_err(profile)?;
        }
        Ok(Self { inner, signed: der.get(signed_part(what, der)?).unwrap_or_default().to_vec() })
    }

    /// First and last second for which the list speaks. A list without an end never speaks: the end is the start.
    pub fn validity(&self) -> (u64, u64) {
        let start = self.inner.tbs_cert_list.this_update.to_unix_duration().as_secs();
        let end = self.inner.tbs_cert_list.next_update.map_or(start, |time| time.to_unix_duration().as_secs());
        (start, end)
    }

    /// Whether `certificate`'s issuer is this list's issuer and its serial number is in it.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        self.is_from_issuer_of(certificate)
            && self
                .inner
                .tbs_cert_list
                .revoked_certificates
                .iter()
                .flatten()
                .any(|entry| entry.serial_number.as_bytes() == certificate.serial())
    }

    /// Whether the list is issued by whoever issued `certificate`, by name.
    pub fn is_from_issuer_of(&self, certificate: &Certificate) -> bool {
        same_name(&self.inner.tbs_cert_list.issuer, certificate.issuer())
    }

    /// Checks that `issuer` signed this list.
    ///
    /// # Errors
    /// If the signature algorithm isn't one of the vendors', or the signature doesn't hold.
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), SignatureError> {
        let scheme = Scheme::from_identifier(&self.inner.signature_algorithm)?;
        let signature = self.inner.signature.as_bytes().ok_or(SignatureError::Wrong)?;
        issuer.verify(scheme, &self.signed, signature)
    }
}
