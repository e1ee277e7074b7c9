//! A certificate: its fields, its extensions, its signature.

use std::ops::Range;

use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::name::Name;

use super::key::{KeyError, PublicKey, Scheme, SignatureError};

/// Certificates in one PEM text at most. Chains have three; the bound keeps hostile input cheap.
const MAX_CHAIN: usize = 8;

/// Extensions of one certificate at most. The vendors' have about twenty. Each is compared with all others: without the bound
/// the work grows with the square of a hostile certificate's length.
const MAX_EXTENSIONS: usize = 64;

/// A parsed X.509 version 3 certificate whose signature hasn't been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    inner: x509_cert::Certificate,
    /// All bytes, as they stood in the input.
    der: Vec<u8>,
    /// Which of them are signed.
    signed: Range<usize>,
    key: PublicKey,
}

/// A certificate can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not DER of a certificate or revocation list, or something follows it.
    #[error("{what} is not valid DER: {why}; give it as DER or PEM, unaltered")]
    Der {
        /// What was being read.
        what: &'static str,
        /// What the parser says.
        why: String,
    },
    /// The PEM armour is damaged, holds something else than certificates, or too many of them.
    #[error("{what} is not valid PEM: {why}; give a text of `-----BEGIN CERTIFICATE-----` blocks and nothing else")]
    Pem {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Well-formed, but against a rule of RFC 5280 that this crate insists on.
    #[error("{what} is not acceptable: {why}")]
    Profile {
        /// What was being read.
        what: &'static str,
        /// The rule that is broken.
        why: String,
    },
    /// The certified key can't be used.
    #[error("{what}: {source}")]
    Key {
        /// What was being read.
        what: &'static str,
        /// What is wrong with the key.
        source: KeyError,
    },
}

impl Certificate {
    /// Reads DER; `what` names the certificate in errors.
    ///
    /// # Errors
    /// If it isn't exactly one certificate, or breaks a rule that this crate insists on: version 3, the same signature
    /// algorithm inside and outside the signed part, no extension twice, no unknown critical extension.
    pub fn from_der(what: &'static str, der: &[u8]) -> Result<Self, CertificateError> {
        Self::read(what, der, &[BasicConstraints::OID, KeyUsage::OID])
    }

    /// Reads DER of an endorsement key's certificate. It may call two extensions critical that nobody else's may: what it is for, which
    /// its verifier looks at, and the alternative name, which says maker and model of the TPM and stands there for the subject's name
    /// (TCG EK Credential Profile, 3.2.9).
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn of_endorsement_key(what: &'static str, der: &[u8]) -> Result<Self, CertificateError> {
        Self::read(what, der, &[BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID, SubjectAltName::OID])
    }

    /// `known` are the extensions that may be critical.
    fn read(what: &'static str, der: &[u8], known: &[ObjectIdentifier]) -> Result<Self, CertificateError> {
        let inner = x509_cert::Certificate::from_der(der).map_err(|e| CertificateError::Der { what, why: e.to_string() })?;
        let profile = |why: String| CertificateError::Profile { what, why };
        if inner.tbs_certificate.version != x509_cert::Version::V3 {
            return Err(profile("it is not of version 3".into()));
        }
        if inner.tbs_certificate.signature != inner.signature_algorithm {
            return Err(profile("it names two different signature algorithms".into()));
        }
        check_extensions(inner.tbs_certificate.extensions.as_deref().unwrap_or_default(), known).map_err(profile)?;
        let key = PublicKey::from_spki(&inner.tbs_certificate.subject_public_key_info)
            .map_err(|source| CertificateError::Key { what, source })?;
        Ok(Self { inner, signed: signed_part(what, der)?, der: der.to_vec(), key })
    }

    /// Reads every certificate of a PEM text, in order. White space and zero bytes may follow the last.
    ///
    /// # Errors
    /// If the text holds anything but certificates, none, or more than eight, or one can't be read.
    pub fn list_from_pem(what: &'static str, pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let malformed = |why: &str| CertificateError::Pem { what, why: why.into() };
        let text = std::str::from_utf8(pem).map_err(|_| malformed("it is not text"))?;
        let mut rest = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
        let mut list = Vec::new();
        while !rest.is_empty() {
            const END: &str = "-----END CERTIFICATE-----";
            let end = rest.find(END).ok_or_else(|| malformed("a block has no end"))?;
            let (block, after) = rest.split_at(end.saturating_add(END.len()));
            let (label, der) = x509_cert::der::pem::decode_vec(block.as_bytes()).map_err(|e| malformed(&e.to_string()))?;
            if label != "CERTIFICATE" {
                return Err(malformed("a block is not a certificate"));
            }
            if list.len() == MAX_CHAIN {
                return Err(malformed("it holds more than eight certificates"));
            }
            list.push(Self::from_der(what, &der)?);
            rest = after.trim_ascii_start();
        }
        if list.is_empty() { Err(malformed("it holds no certificate")) } else { Ok(list) }
    }

    /// Reads one certificate, DER or PEM.
    ///
    /// # Errors
    /// As for [`Self::from_der`] and [`Self::list_from_pem`]; also if the PEM text holds more than one.
    pub fn from_pem_or_der(what: &'static str, bytes: &[u8]) -> Result<Self, CertificateError> {
        if !bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Self::from_der(what, bytes);
        }
        let mut list = Self::list_from_pem(what, bytes)?;
        match (list.pop(), list.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(CertificateError::Pem { what, why: "it holds more than one certificate".into() }),
        }
    }

    /// The certificate as PEM text, its bytes as they were read.
    pub fn to_pem(&self) -> String {
        // Fails only where lengths overflow, which no certificate that was read does.
        x509_cert::der::pem::encode_string("CERTIFICATE", LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// The certified key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Who it is about.
    pub fn subject(&self) -> &Name {
        &self.inner.tbs_certificate.subject
    }

    /// Who signed it, by its own words.
    pub fn issuer(&self) -> &Name {
        &self.inner.tbs_certificate.issuer
    }

    /// The common name in the subject, empty if there is none.
    pub fn common_name(&self) -> String {
        common_name(self.subject())
    }

    /// The common name in the issuer, empty if there is none.
    pub fn issuer_common_name(&self) -> String {
        common_name(self.issuer())
    }

    /// Serial number, big-endian, as encoded.
    pub fn serial(&self) -> &[u8] {
        self.inner.tbs_certificate.serial_number.as_bytes()
    }

    /// First and last second of validity.
    pub fn validity(&self) -> (u64, u64) {
        let validity = &self.inner.tbs_certificate.validity;
        (validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs())
    }

    /// Raw value of an extension.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.inner.tbs_certificate.extensions.as_deref().unwrap_or_default();
        extensions.iter().find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
    }

    /// Whether it may sign certificates: basic constraints say so, and key usage, where present, too.
    pub fn is_authority(&self) -> bool {
        let constraints = self.extension(BasicConstraints::OID).and_then(|der| BasicConstraints::from_der(der).ok());
        let usage = self.extension(KeyUsage::OID).map(KeyUsage::from_der);
        constraints.is_some_and(|basic| basic.ca) && usage.is_none_or(|usage| usage.is_ok_and(|bits| bits.key_cert_sign()))
    }

    /// How many authorities may stand between it and the last certificate of a chain; `None` if it doesn't say (RFC 5280,
    /// section 4.2.1.9).
    pub fn path_length(&self) -> Option<u8> {
        let constraints = self.extension(BasicConstraints::OID).and_then(|der| BasicConstraints::from_der(der).ok());
        constraints.and_then(|basic| basic.path_len_constraint)
    }

    /// Whether its key may sign data: key usage, where present, says so.
    pub fn may_sign(&self) -> bool {
        self.extension(KeyUsage::OID).map(KeyUsage::from_der).is_none_or(|usage| usage.is_ok_and(|bits| bits.digital_signature()))
    }

    /// Whether its key may be encrypted to, or agree on keys: key usage, where present, says so.
    pub fn may_establish_keys(&self) -> bool {
        let usage = self.extension(KeyUsage::OID).map(KeyUsage::from_der);
        usage.is_none_or(|usage| usage.is_ok_and(|bits| bits.key_encipherment() || bits.key_agreement()))
    }

    /// Whether extended key usage is there and names this purpose.
    pub fn names_purpose(&self, purpose: ObjectIdentifier) -> bool {
        let usage = self.extension(ExtendedKeyUsage::OID).map(ExtendedKeyUsage::from_der);
        usage.is_some_and(|usage| usage.is_ok_and(|list| list.0.contains(&purpose)))
    }

    /// Whether it is for one of these purposes, or for all: extended key usage, where present, names one (RFC 5280, section
    /// 4.2.1.12).
    pub fn is_for(&self, purposes: &[ObjectIdentifier]) -> bool {
        const ANY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
        let usage = self.extension(ExtendedKeyUsage::OID).map(ExtendedKeyUsage::from_der);
        usage.is_none_or(|usage| {
            usage.is_ok_and(|list| list.0.iter().any(|purpose| *purpose == ANY || purposes.contains(purpose)))
        })
    }

    /// Checks that `issuer` signed this certificate.
    ///
    /// # Errors
    /// If the signature algorithm isn't one of the vendors', or the signature doesn't hold.
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), SignatureError> {
        self.verify_signature(Scheme::from_identifier(&self.inner.signature_algorithm)?, issuer)
    }

    /// Checks that `issuer` signed this certificate, by any scheme in use for TPMs' keys: besides the vendors', ECDSA with
    /// SHA-384 and RSASSA-PKCS1-v1_5. Never SHA-1, which can be forged.
    ///
    /// # Errors
    /// As [`Self::verify_signed_by`].
    pub fn verify_signed_by_any(&self, issuer: &PublicKey) -> Result<(), SignatureError> {
        self.verify_signature(Scheme::from_any_identifier(&self.inner.signature_algorithm)?, issuer)
    }

    fn verify_signature(&self, scheme: Scheme, issuer: &PublicKey) -> Result<(), SignatureError> {
        let signature = self.inner.signature.as_bytes().ok_or(SignatureError::Wrong)?;
        issuer.verify(scheme, self.der.get(self.signed.clone()).unwrap_or_default(), signature)
    }
}

/// Where the first element inside the outermost sequence lies, which is what is signed.
pub(super) fn signed_part(what: &'static str, der: &[u8]) -> Result<Range<usize>, CertificateError> {
    let read = || -> x509_cert::der::Result<Range<usize>> {
        let mut reader = SliceReader::new(der)?;
        Header::decode(&mut reader)?;
        let start = usize::try_from(reader.position())?;
        reader.tlv_bytes()?;
        Ok(start..usize::try_from(reader.position())?)
    };
    read().map_err(|e| CertificateError::Der { what, why: e.to_string() })
}

/// No extension twice; none that is critical and unknown; no more than [`MAX_EXTENSIONS`].
pub(super) fn check_extensions(list: &[x509_cert::ext::Extension], known: &[ObjectIdentifier]) -> Result<(), String> {
    if list.len() > MAX_EXTENSIONS {
        return Err(format!("it has {} extensions, the most is {MAX_EXTENSIONS}", list.len()));
    }
    for (index, extension) in list.iter().enumerate() {
        if list.iter().take(index).any(|earlier| earlier.extn_id == extension.extn_id) {
            return Err(format!("extension {} stands there twice", extension.extn_id));
        }
        if extension.critical && !known.contains(&extension.extn_id) {
            return Err(format!("critical extension {} is unknown", extension.extn_id));
        }
    }
    Ok(())
}

/// Two names are the same if they are encoded the same (the vendors' certificates are made by one program each).
pub(super) fn same_name(a: &Name, b: &Name) -> bool {
    matches!((a.to_der(), b.to_der()), (Ok(a), Ok(b)) if a == b)
}

impl Certificate {
    /// Whether `issuer`'s subject is what this certificate names as its issuer.
    pub fn names_issuer(&self, issuer: &Self) -> bool {
        same_name(self.issuer(), issuer.subject())
    }
}

fn common_name(name: &Name) -> String {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    let attributes = name.0.iter().flat_map(|relative| relative.0.iter());
    let mut found = attributes.filter(|attribute| attribute.oid == COMMON_NAME).map(|attribute| attribute.value.value());
    found.next_back().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default().to_owned()
}
