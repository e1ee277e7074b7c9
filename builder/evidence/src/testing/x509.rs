//! Certificates and revocation lists that say whatever a test wants, rightly signed.

use std::str::FromStr as _;
use std::time::Duration;

use p256::ecdsa::signature::Signer as _;
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
use sha2::{Digest as _, Sha256};
use x509_cert::certificate::TbsCertificate;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::asn1::{BitString, ObjectIdentifier, OctetString};
use x509_cert::der::{Any, Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::bytes::unhex;
use crate::x509::Certificate;

const PSS: [u8; 54] =
    unhex(b"3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130");

/// A moment at which everything made here is valid.
pub const AT: u64 = 1_700_000_000;
/// Everything made here is valid for so long before and after, in seconds.
pub const YEAR: u64 = 31_536_000;

/// Numbers that look random and are the same in every run: SHA-256 of a seed and a counter.
pub(super) struct Numbers {
    seed: u64,
    counter: u64,
}

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }
}

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for block in bytes.chunks_mut(32) {
            let hash = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(self.counter.to_le_bytes());
            block.copy_from_slice(&hash.finalize()[..block.len()]);
            self.counter += 1;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// Keys made with it are worth nothing, and are for nothing.
impl CryptoRng for Numbers {}

/// Who signs.
#[derive(Clone, Copy)]
pub enum Issuer<'a> {
    /// RSASSA-PSS with SHA-384, as AMD does.
    Rsa(&'a rsa::RsaPrivateKey),
    /// ECDSA on P-256 with SHA-256, as Intel does.
    P256(&'a p256::ecdsa::SigningKey),
    /// ECDSA on P-384 with SHA-384, as some makers of TPMs do.
    P384(&'a p384::ecdsa::SigningKey),
    /// RSASSA-PKCS1-v1_5 with SHA-256, as most of them do.
    RsaSha256(&'a rsa::RsaPrivateKey),
    /// The same with SHA-384.
    RsaSha384(&'a rsa::RsaPrivateKey),
}

impl Issuer<'_> {
    fn algorithm(self) -> AlgorithmIdentifierOwned {
        let plain = |oid, parameters| AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters };
        match self {
            Self::P384(_) => plain("1.2.840.10045.4.3.3", None),
            Self::RsaSha256(_) => plain("1.2.840.113549.1.1.11", Some(Any::null())),
            Self::RsaSha384(_) => plain("1.2.840.113549.1.1.12", Some(Any::null())),
            Self::Rsa(_) => AlgorithmIdentifierOwned {
                oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
                parameters: Some(Any::from_der(&PSS).unwrap()),
            },
            Self::P256(_) => {
                AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), parameters: None }
            }
        }
    }

    fn sign(self, message: &[u8]) -> BitString {
        let signature = match self {
            Self::Rsa(key) => {
                let mut random = Numbers::new(2);
                let signer = rsa::pss::SigningKey::<rsa::sha2::Sha384>::new(key.clone());
                signer.sign_with_rng(&mut random, message).to_vec()
            }
            Self::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::RsaSha256(key) => rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(key.clone()).sign(message).to_vec(),
            Self::RsaSha384(key) => rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha384>::new(key.clone()).sign(message).to_vec(),
        };
        BitString::from_bytes(&signature).unwrap()
    }
}

/// Everything about a certificate that a test may want to be wrong.
#[derive(Clone)]
pub struct Made {
    /// Common name.
    pub subject: String,
    /// Common name of who signs.
    pub issuer: String,
    /// Its only byte.
    pub serial: u8,
    /// First and last second.
    pub validity: (u64, u64),
    /// DER of the public key.
    pub spki: Vec<u8>,
    /// Identifier, whether critical, value.
    pub extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

/// Everything about a revocation list that a test may want to be wrong.
#[derive(Clone)]
pub struct MadeList {
    /// Common name of who signs.
    pub issuer: String,
    /// First and last second.
    pub validity: (u64, u64),
    /// Serial numbers.
    pub revoked: Vec<u8>,
}

/// Basic constraints that make an authority, above at most `length` others.
pub fn authority_above(length: u8) -> (&'static str, bool, Vec<u8>) {
    ("2.5.29.19", true, BasicConstraints { ca: true, path_len_constraint: Some(length) }.to_der().unwrap())
}

/// Extended key usage: the purposes that a key is certified for.
pub fn purposes(list: &[&str]) -> (&'static str, bool, Vec<u8>) {
    let list = list.iter().map(|oid| ObjectIdentifier::new(oid).unwrap()).collect();
    ("2.5.29.37", false, ExtendedKeyUsage(list).to_der().unwrap())
}

/// Key usage: whether the key is for signatures, or for agreeing on keys.
pub fn usage(signs: bool) -> (&'static str, bool, Vec<u8>) {
    let usage = if signs { KeyUsages::DigitalSignature } else { KeyUsages::KeyAgreement };
    ("2.5.29.15", true, KeyUsage(usage.into()).to_der().unwrap())
}

/// Basic constraints that make an authority.
pub fn authority() -> (&'static str, bool, Vec<u8>) {
    ("2.5.29.19", true, BasicConstraints { ca: true, path_len_constraint: None }.to_der().unwrap())
}

fn name(common: &str) -> Name {
    Name::from_str(&format!("CN={common}")).unwrap()
}

fn time(seconds: u64) -> Time {
    Time::try_from(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap()
}

impl Made {
    /// DER, signed by `key`.
    pub fn der(&self, key: Issuer<'_>) -> Vec<u8> {
        let extension = |(oid, critical, value): &(&str, bool, Vec<u8>)| Extension {
            extn_id: ObjectIdentifier::new(oid).unwrap(),
            critical: *critical,
            extn_value: OctetString::new(value.clone()).unwrap(),
        };
        let tbs_certificate = TbsCertificate {
            version: x509_cert::Version::V3,
            serial_number: SerialNumber::new(&[self.serial]).unwrap(),
            signature: key.algorithm(),
            issuer: name(&self.issuer),
            validity: Validity { not_before: time(self.validity.0), not_after: time(self.validity.1) },
            subject: name(&self.subject),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&self.spki).unwrap(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions.iter().map(extension).collect()),
        };
        let signature = key.sign(&tbs_certificate.to_der().unwrap());
        x509_cert::Certificate { tbs_certificate, signature_algorithm: key.algorithm(), signature }.to_der().unwrap()
    }

    /// Signed by AMD's way.
    pub fn sign(&self, key: &rsa::RsaPrivateKey) -> Certificate {
        Certificate::from_der("made here", &self.der(Issuer::Rsa(key))).unwrap()
    }
}

impl MadeList {
    /// DER, signed by `key`.
    pub fn der(&self, key: Issuer<'_>) -> Vec<u8> {
        let entry = |serial: &u8| RevokedCert {
            serial_number: SerialNumber::new(&[*serial]).unwrap(),
            revocation_date: time(self.validity.0),
            crl_entry_extensions: None,
        };
        let revoked: Vec<RevokedCert> = self.revoked.iter().map(entry).collect();
        let tbs_cert_list = TbsCertList {
            version: x509_cert::Version::V2,
            signature: key.algorithm(),
            issuer: name(&self.issuer),
            this_update: time(self.validity.0),
            next_update: Some(time(self.validity.1)),
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: None,
        };
        let signature = key.sign(&tbs_cert_list.to_der().unwrap());
        CertificateList { tbs_cert_list, signature_algorithm: key.algorithm(), signature }.to_der().unwrap()
    }
}
