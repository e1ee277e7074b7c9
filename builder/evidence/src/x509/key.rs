//! Public keys and the three signature schemes of the vendors' chains.

use p256::pkcs8::DecodePublicKey as _;
use rsa::signature::Verifier as _;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::bytes::unhex;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const CURVE_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const CURVE_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");

/// RSASSA-PSS parameters: SHA-384, MGF1 with SHA-384, salt of 48 bytes (RFC 4055, section 3.1).
const PSS_SHA384: [u8; 54] =
    unhex(b"3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130");
/// The same with the default trailer field written out, which DER forbids but AMD's certificates do.
const PSS_SHA384_TRAILER: [u8; 59] = unhex(
    b"3039a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130a303020101",
);

/// Longest RSA modulus in bits. AMD's keys have 4096; the bound keeps the cost of a hostile certificate small.
const RSA_MAX_BITS: usize = 4096;
/// Shortest RSA modulus in bits. Shorter keys can be factored.
const RSA_MIN_BITS: usize = 2048;

/// A public key that signatures are checked under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA, 2048 to 4096 bits.
    Rsa(rsa::RsaPublicKey),
    /// NIST P-256.
    P256(p256::ecdsa::VerifyingKey),
    /// NIST P-384.
    P384(p384::ecdsa::VerifyingKey),
}

/// A public key can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither RSA nor an elliptic curve of this module; the evidence isn't of a kind that it knows.
    #[error("public key algorithm {0} is none of RSA, ECDSA on P-256, ECDSA on P-384")]
    Algorithm(String),
    /// The key's bytes aren't a key: not on the curve, wrong length, modulus too short or too long.
    #[error("{0} public key is malformed, or its size is not accepted")]
    Malformed(&'static str),
}

/// How a certificate or revocation list is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384, 48 bytes of salt.
    RsaPssSha384,
    /// ECDSA with SHA-256.
    EcdsaSha256,
    /// ECDSA with SHA-384. Not one of AMD's or Intel's.
    EcdsaSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256. Not one of AMD's or Intel's.
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384. Not one of AMD's or Intel's.
    RsaSha384,
}

/// A signature doesn't hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The scheme that the signed object names isn't one of the vendors'.
    #[error("signature algorithm {0} is not accepted here")]
    Scheme(String),
    /// The scheme doesn't go with the signer's key.
    #[error("the signer's key is not of the kind that the signature algorithm needs")]
    KeyKind,
    /// Signed by another key, or altered after signing.
    #[error("signature does not verify")]
    Wrong,
}

impl PublicKey {
    /// From the modulus (big-endian) of an RSA key whose exponent is 65537.
    ///
    /// # Errors
    /// If the modulus is shorter than 2048 or longer than 4096 bits.
    pub fn rsa(modulus: &[u8]) -> Result<Self, KeyError> {
        Self::rsa_with_exponent(modulus, 65_537)
    }

    pub(crate) fn rsa_with_exponent(modulus: &[u8], exponent: u32) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed("RSA");
        let (n, e) = (rsa::BigUint::from_bytes_be(modulus), rsa::BigUint::from(exponent));
        if n.bits() < RSA_MIN_BITS {
            return Err(KeyError::Malformed("RSA"));
        }
        rsa::RsaPublicKey::new_with_max_size(n, e, RSA_MAX_BITS).map(Self::Rsa).map_err(malformed)
    }

    /// From the two coordinates of a point on P-256, 32 bytes each, big-endian.
    ///
    /// # Errors
    /// If the point isn't on the curve.
    pub fn p256(coordinates: &[u8; 64]) -> Result<Self, KeyError> {
        let mut point = [4; 65];
        point[1..].copy_from_slice(coordinates);
        p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::P256).map_err(|_| KeyError::Malformed("P-256"))
    }

    /// From the two coordinates of a point on P-384, 48 bytes each, big-endian.
    ///
    /// # Errors
    /// If the point isn't on the curve.
    pub fn p384(coordinates: &[u8; 96]) -> Result<Self, KeyError> {
        let mut point = [4; 97];
        point[1..].copy_from_slice(coordinates);
        p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::P384).map_err(|_| KeyError::Malformed("P-384"))
    }

    /// From DER of a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    ///
    /// # Errors
    /// If it is malformed, or not of a kind that this module knows.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        use x509_cert::der::Decode as _;
        let info = SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| KeyError::Malformed("SubjectPublicKeyInfo:"))?;
        Self::from_spki(&info)
    }

    pub(crate) fn from_spki(info: &SubjectPublicKeyInfoOwned) -> Result<Self, KeyError> {
        let der = info.to_der().map_err(|_| KeyError::Malformed("SubjectPublicKeyInfo:"))?;
        let oid = info.algorithm.oid;
        if oid == RSA_ENCRYPTION {
            use rsa::traits::PublicKeyParts as _;
            let key = rsa::RsaPublicKey::from_public_key_der(&der).map_err(|_| KeyError::Malformed("RSA"))?;
            let exponent: u32 = key
                .e()
                .to_bytes_be()
                .iter()
                .try_fold(0_u32, |sum, byte| sum.checked_mul(256).map(|shifted| shifted | u32::from(*byte)))
                .ok_or(KeyError::Malformed("RSA"))?;
            return Self::rsa_with_exponent(&key.n().to_bytes_be(), exponent);
        }
        if oid != EC_PUBLIC_KEY {
            return Err(KeyError::Algorithm(oid.to_string()));
        }
        match info.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok()) {
            Some(CURVE_P256) => {
                p256::ecdsa::VerifyingKey::from_public_key_der(&der).map(Self::P256).map_err(|_| KeyError::Malformed("P-256"))
            }
            Some(CURVE_P384) => {
                p384::ecdsa::VerifyingKey::from_public_key_der(&der).map(Self::P384).map_err(|_| KeyError::Malformed("P-384"))
            }
            _ => Err(KeyError::Algorithm(oid.to_string())),
        }
    }

    /// Kind and size, for people.
    pub fn kind(&self) -> String {
        use rsa::traits::PublicKeyParts as _;
        match self {
            Self::Rsa(key) => format!("RSA {}", key.size() * 8),
            Self::P256(_) => "P-256".into(),
            Self::P384(_) => "P-384".into(),
        }
    }

    /// Checks a signature of a certificate or revocation list. ECDSA signatures are DER (RFC 3279, section 2.2.3).
    ///
    /// # Errors
    /// If key and scheme don't go together, or the signature isn't this key's over these bytes.
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let wrong = |_| SignatureError::Wrong;
        match (self, scheme) {
            (Self::Rsa(key), Scheme::RsaPssSha384) => {
                let signature = rsa::pss::Signature::try_from(signature).map_err(wrong)?;
                rsa::pss::VerifyingKey::<rsa::sha2::Sha384>::new(key.clone()).verify(message, &signature).map_err(wrong)
            }
            (Self::P256(key), Scheme::EcdsaSha256) => {
                let signature = p256::ecdsa::DerSignature::try_from(signature).map_err(wrong)?;
                key.verify(message, &signature).map_err(wrong)
            }
            (Self::P384(key), Scheme::EcdsaSha384) => {
                let signature = p384::ecdsa::DerSignature::try_from(signature).map_err(wrong)?;
                key.verify(message, &signature).map_err(wrong)
            }
            (Self::Rsa(key), Scheme::RsaSha256) => {
                let signature = rsa::pkcs1v15::Signature::try_from(signature).map_err(wrong)?;
                rsa::pkcs1v15::VerifyingKey::<rsa::sha2::Sha256>::new(key.clone()).verify(message, &signature).map_err(wrong)
            }
            (Self::Rsa(key), Scheme::RsaSha384) => {
                let signature = rsa::pkcs1v15::Signature::try_from(signature).map_err(wrong)?;
                rsa::pkcs1v15::VerifyingKey::<rsa::sha2::Sha384>::new(key.clone()).verify(message, &signature).map_err(wrong)
            }
            _ => Err(SignatureError::KeyKind),
        }
    }
}

impl Scheme {
    /// [`Self::from_identifier`], and the other schemes that makers of TPMs and clouds sign with.
    pub(crate) fn from_any_identifier(identifier: &AlgorithmIdentifierOwned) -> Result<Self, SignatureError> {
        // RFC 4055, section 5: the parameters are NULL; RFC 5758, section 3.2: they are absent.
        let null = identifier.parameters.as_ref().is_some_and(|any| any.is_null());
        match (identifier.oid, &identifier.parameters) {
            (RSA_SHA256, Some(_)) if null => Ok(Self::RsaSha256),
            (RSA_SHA384, Some(_)) if null => Ok(Self::RsaSha384),
            (ECDSA_SHA384, None) => Ok(Self::EcdsaSha384),
            _ => Self::from_identifier(identifier),
        }
    }

    /// From the algorithm identifier in a signed object; parameters must be exactly those of the scheme.
    pub(crate) fn from_identifier(identifier: &AlgorithmIdentifierOwned) -> Result<Self, SignatureError> {
        let unknown = || SignatureError::Scheme(identifier.oid.to_string());
        match (identifier.oid, &identifier.parameters) {
            (ECDSA_SHA256, None) => Ok(Self::EcdsaSha256),
            (RSA_PSS, Some(parameters)) => {
                let der = parameters.to_der().map_err(|_| unknown())?;
                let known = der == PSS_SHA384 || der == PSS_SHA384_TRAILER;
                if known { Ok(Self::RsaPssSha384) } else { Err(unknown()) }
            }
            _ => Err(unknown()),
        }
    }
}
