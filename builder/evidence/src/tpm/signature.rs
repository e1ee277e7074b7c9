//! TPMT_SIGNATURE: algorithm, hash, and the signature.

use rsa::signature::Verifier as _;
use sha2::Digest as _;

use crate::bytes::{Fields, Truncated};
use crate::x509::PublicKey;

use super::attest::{TpmError, sized};

/// TPM_ALG_IDs.
pub(super) const RSASSA: u16 = 0x0014;
pub(super) const RSAPSS: u16 = 0x0016;
pub(super) const ECDSA: u16 = 0x0018;

/// Hash of a signature scheme, a bank, or a PCR digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl HashAlgorithm {
    /// From its TPM_ALG_ID. SHA-1 isn't among them: it can be forged.
    pub fn from_id(id: u16) -> Option<Self> {
        match id {
            0x000b => Some(Self::Sha256),
            0x000c => Some(Self::Sha384),
            _ => None,
        }
    }

    pub(super) fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
        }
    }
}

/// A signature as a TPM gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Hash of the scheme; the PCR digest uses the same.
    pub hash: HashAlgorithm,
    scheme: Scheme,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    RsaSsa(Vec<u8>),
    /// With a salt as long as the hash, as TPMs in FIPS mode and the software TPM make it.
    RsaPss(Vec<u8>),
    /// `r` and `s`, big-endian, not padded.
    Ecdsa(Vec<u8>, Vec<u8>),
}

impl Signature {
    /// Reads a TPMT_SIGNATURE, as `tpm2_quote --signature` writes it.
    ///
    /// # Errors
    /// If something is cut off or follows, or the algorithm isn't RSASSA, RSAPSS or ECDSA with SHA-256 or SHA-384.
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        const WHAT: &str = "signature (TPMT_SIGNATURE)";
        let cut = TpmError::truncated(WHAT);
        let mut f = Fields::new(bytes);
        let (algorithm, hash) = (f.u16_be("algorithm").map_err(&cut)?, f.u16_be("hash").map_err(&cut)?);
        let unsupported = |field, value: u16| TpmError::Unsupported { what: WHAT, field, value: value.into() };
        let hash = HashAlgorithm::from_id(hash).ok_or_else(|| unsupported("hash", hash))?;
        let mut part = |what: &'static str| -> Result<Vec<u8>, Truncated> { sized(&mut f, what).map(<[u8]>::to_vec) };
        let scheme = match algorithm {
            RSASSA => Scheme::RsaSsa(part("signature").map_err(&cut)?),
            RSAPSS => Scheme::RsaPss(part("signature").map_err(&cut)?),
            ECDSA => Scheme::Ecdsa(part("r").map_err(&cut)?, part("s").map_err(&cut)?),
            other => return Err(unsupported("algorithm", other)),
        };
        TpmError::finish(WHAT, &f)?;
        Ok(Self { hash, scheme })
    }

    /// Checks it; the error is what was found.
    pub(super) fn verify(&self, key: &PublicKey, message: &[u8]) -> Result<&'static str, &'static str> {
        use HashAlgorithm::{Sha256, Sha384};
        const WRONG: &str = "signature does not verify";
        let holds = match (&self.scheme, key, self.hash) {
            (Scheme::RsaSsa(bytes), PublicKey::Rsa(key), hash) => {
                let signature = rsa::pkcs1v15::Signature::try_from(bytes.as_slice()).map_err(|_| WRONG)?;
                match hash {
                    Sha256 => rsa::pkcs1v15::VerifyingKey::<rsa::sha2::Sha256>::new(key.clone()).verify(message, &signature),
                    Sha384 => rsa::pkcs1v15::VerifyingKey::<rsa::sha2::Sha384>::new(key.clone()).verify(message, &signature),
                }
            }
            (Scheme::RsaPss(bytes), PublicKey::Rsa(key), hash) => {
                let signature = rsa::pss::Signature::try_from(bytes.as_slice()).map_err(|_| WRONG)?;
                match hash {
                    Sha256 => rsa::pss::VerifyingKey::<rsa::sha2::Sha256>::new(key.clone()).verify(message, &signature),
                    Sha384 => rsa::pss::VerifyingKey::<rsa::sha2::Sha384>::new(key.clone()).verify(message, &signature),
                }
            }
            (Scheme::Ecdsa(r, s), PublicKey::P256(key), Sha256) => {
                let raw = [padded::<32>(r).ok_or(WRONG)?, padded::<32>(s).ok_or(WRONG)?].concat();
                key.verify(message, &p256::ecdsa::Signature::from_slice(&raw).map_err(|_| WRONG)?)
            }
            (Scheme::Ecdsa(r, s), PublicKey::P384(key), Sha384) => {
                let raw = [padded::<48>(r).ok_or(WRONG)?, padded::<48>(s).ok_or(WRONG)?].concat();
                key.verify(message, &p384::ecdsa::Signature::from_slice(&raw).map_err(|_| WRONG)?)
            }
            _ => return Err("scheme and hash of the signature don't go with the key"),
        };
        holds.map(|()| "signature holds").map_err(|_| WRONG)
    }
}

/// A big-endian number in exactly `N` bytes: TPMs leave out leading zeros, or don't.
pub(super) fn padded<const N: usize>(number: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let start = N.checked_sub(number.len())?;
    bytes.get_mut(start..)?.copy_from_slice(number);
    Some(bytes)
}
