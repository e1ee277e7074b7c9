//! A TPM's endorsement key, by its certificate: the one thing that its maker, or its cloud, says of a TPM.
//!
//! Source: "TCG EK Credential Profile for TPM Family 2.0", version 2.5, section 3.2.

use x509_cert::der::asn1::ObjectIdentifier;

use crate::x509::{Certificate, CertificateError, PublicKey};

use super::chain::lead;
use super::key::AttestationKey;

/// tcg-kp-EKCertificate. Demanded even though it may be missing by RFC 5280: whoever certifies other keys under the same root could
/// otherwise answer in a TPM's place.
const ENDORSEMENT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");

/// Size of the modulus of the standard RSA endorsement key (template L-1).
const RSA_BITS: usize = 2048;

/// The certificate of an endorsement key, unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndorsementCertificate(Certificate);

impl EndorsementCertificate {
    /// Reads DER.
    ///
    /// # Errors
    /// If it isn't exactly one certificate, or not acceptable ([`Certificate::of_endorsement_key`]).
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        Certificate::of_endorsement_key("the endorsement key's certificate", der).map(Self)
    }

    /// The certified key: what secrets for this TPM are encrypted to, and nothing else is.
    pub fn key(&self) -> &PublicKey {
        self.0.key()
    }

    /// Checks that it is an endorsement key's, of a kind that a TPM makes from a standard template, and leads to one of `roots` at the
    /// time `at`. Returns the names of the certificate and of the root.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(&self, roots: &[Certificate], at: u64) -> Result<String, String> {
        if self.0.is_authority() {
            return Err("the endorsement key's certificate lets it issue others".into());
        }
        if !self.0.may_establish_keys() || !self.0.names_purpose(ENDORSEMENT_KEY) {
            return Err("the certificate is not an endorsement key's: it is for other purposes".into());
        }
        if !is_standard(self.key()) {
            return Err(format!("the endorsement key is {}, not RSA 2048 or P-256", self.key().kind()));
        }
        let root = lead(&self.0, &[], roots, at)?;
        Ok(format!("{}, certified under `{}`", self.shown(), root.common_name()))
    }

    /// Most have no name but the maker's, so the number is shown as well.
    fn shown(&self) -> String {
        let (name, serial) = (self.0.common_name(), data_encoding::HEXLOWER.encode(self.0.serial()));
        if name.is_empty() { format!("number {serial}") } else { format!("`{name}`, number {serial}") }
    }
}

/// Whether a TPM makes such a key from the templates L-1 or L-2 (annex B.3).
pub(super) fn is_standard(key: &PublicKey) -> bool {
    use rsa::traits::PublicKeyParts as _;
    match key {
        PublicKey::Rsa(key) => key.n().bits() == RSA_BITS && *key.e() == rsa::BigUint::from(65_537_u32),
        PublicKey::P256(_) => true,
        PublicKey::P384(_) => false,
    }
}

/// An attestation key that was shown to be in the same TPM as a certified key, by an exchange with that TPM. There is no way to one of
/// these but through the exchange (`Challenge`, feature `activation`).
///
/// It holds as long as the attestation key does: the key's name stands for its public area, by which it never leaves its TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activated {
    pub(super) name: Vec<u8>,
    pub(super) certificate: EndorsementCertificate,
}

impl Activated {
    /// The TPM's name for the attestation key.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Checks that this is about `key`, that the key is one that attests, and that the endorsement key's certificate leads to one of
    /// `roots` at the time `at`. Returns the names of the certificate and of the root.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(&self, key: &AttestationKey, roots: &[Certificate], at: u64) -> Result<String, String> {
        if key.name.as_deref() != Some(self.name.as_slice()) {
            return Err("the exchange was about another attestation key".into());
        }
        if key.attributes.is_none() || !key.is_restricted_signing_key() {
            return Err("the key may sign what its TPM didn't make, or may leave it: that it is there says nothing".into());
        }
        self.certificate.verify(roots, at)
    }
}
