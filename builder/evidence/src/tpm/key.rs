//! The attestation key: TPM2B_PUBLIC, or a SubjectPublicKeyInfo.

use crate::bytes::{Fields, Truncated};
use crate::x509::{KeyError, PublicKey};

use super::attest::{TpmError, sized};
use super::signature::{HashAlgorithm, padded};

const WHAT: &str = "attestation key (TPM2B_PUBLIC)";

/// TPM_ALG_IDs and curves (TPM 2.0 Part 2, tables 9 and 11).
const RSA: u16 = 0x0001;
const ECC: u16 = 0x0023;
const NULL: u16 = 0x0010;
const ECDAA: u16 = 0x001a;
const NIST_P256: u16 = 0x0003;
const NIST_P384: u16 = 0x0004;

/// TPMA_OBJECT bits (Part 2, 8.3).
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;
/// Made by the TPM, never leaves it, and signs only what the TPM itself made.
const ATTESTING: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | SIGN;

/// An attestation key that the caller trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationKey {
    /// The key.
    pub key: PublicKey,
    /// Object attributes, if the key came as a TPM's public area; otherwise the caller vouches for them.
    pub attributes: Option<u32>,
    /// The TPM's name for it, if it came as a public area whose name algorithm is known: TPM_ALG_ID of the hash, then the
    /// hash of the area (Part 1, 16). `tpm2_readpublic` prints it. It stands for the key with all its attributes.
    pub name: Option<Vec<u8>>,
}

impl AttestationKey {
    /// Reads a TPM2B_PUBLIC, or a SubjectPublicKeyInfo in PEM (`PUBLIC KEY`) or DER.
    ///
    /// # Errors
    /// If it is none of these, something is cut off or follows, or the key is neither RSA nor on P-256 or P-384.
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let pem = x509_cert::der::pem::decode_vec(bytes.trim_ascii());
            let (label, der) = pem.map_err(|e| TpmError::Pem(e.to_string()))?;
            if label != "PUBLIC KEY" {
                return Err(TpmError::Pem(format!("it is labelled {label}")));
            }
            return Ok(Self { key: PublicKey::from_spki_der(&der)?, attributes: None, name: None });
        }
        // A DER sequence. As the length of a TPM2B this would be above 12 KiB, more than any TPM's public area.
        if bytes.first() == Some(&0x30) {
            return Ok(Self { key: PublicKey::from_spki_der(bytes)?, attributes: None, name: None });
        }
        Self::parse_area(bytes)
    }

    /// Reads a TPM2B_PUBLIC and nothing else: the key with its attributes, for which then nobody has to vouch.
    ///
    /// # Errors
    /// As [`AttestationKey::parse`].
    pub fn parse_area(bytes: &[u8]) -> Result<Self, TpmError> {
        let mut f = Fields::new(bytes);
        let area = sized(&mut f, "public area").map_err(TpmError::truncated(WHAT))?;
        TpmError::finish(WHAT, &f)?;
        let mut f = Fields::new(area);
        let mut key = Self::read_public(&mut f)?;
        TpmError::finish(WHAT, &f)?;
        key.name = area.get(2..4).and_then(|id| name(id, area));
        Ok(key)
    }

    /// Whether the TPM made it, keeps it, and uses it for nothing but signing what the TPM itself made. True if the caller
    /// vouches for it.
    pub fn is_restricted_signing_key(&self) -> bool {
        self.attributes.is_none_or(|bits| bits & (ATTESTING | DECRYPT) == ATTESTING)
    }

    fn read_public(f: &mut Fields<'_>) -> Result<Self, TpmError> {
        let cut = TpmError::truncated(WHAT);
        let kind = f.u16_be("type").map_err(&cut)?;
        f.u16_be("name algorithm").map_err(&cut)?;
        let attributes = Some(f.u32_be("attributes").map_err(&cut)?);
        sized(f, "authorisation policy").map_err(&cut)?;
        skip_symmetric(f).map_err(&cut)?;
        skip_scheme(f).map_err(&cut)?;
        let key = match kind {
            RSA => read_rsa(f).map_err(&cut)??,
            ECC => read_ecc(f)?,
            other => return Err(TpmError::Unsupported { what: WHAT, field: "type", value: other.into() }),
        };
        Ok(Self { key, attributes, name: None })
    }
}

/// The name of an object whose public area is `area` and whose name algorithm is `id`.
fn name(id: &[u8], area: &[u8]) -> Option<Vec<u8>> {
    let hash = HashAlgorithm::from_id(u16::from_be_bytes(id.try_into().ok()?))?;
    Some([id, &hash.hash(area)].concat())
}

/// TPMT_SYM_DEF_OBJECT.
fn skip_symmetric(f: &mut Fields<'_>) -> Result<(), Truncated> {
    if f.u16_be("symmetric algorithm")? != NULL {
        f.take("symmetric algorithm", 4)?;
    }
    Ok(())
}

/// TPMT_RSA_SCHEME, TPMT_ECC_SCHEME or TPMT_KDF_SCHEME.
fn skip_scheme(f: &mut Fields<'_>) -> Result<(), Truncated> {
    match f.u16_be("scheme")? {
        NULL => Ok(()),
        ECDAA => f.take("scheme", 4).map(|_| ()),
        _ => f.take("scheme", 2).map(|_| ()),
    }
}

fn read_rsa(f: &mut Fields<'_>) -> Result<Result<PublicKey, KeyError>, Truncated> {
    let bits = f.u16_be("key bits")?;
    let exponent = match f.u32_be("exponent")? {
        0 => 65_537,
        other => other,
    };
    let modulus = sized(f, "modulus")?;
    if modulus.len() != usize::from(bits / 8) {
        return Ok(Err(KeyError::Malformed("RSA")));
    }
    Ok(PublicKey::rsa_with_exponent(modulus, exponent))
}

fn read_ecc(f: &mut Fields<'_>) -> Result<PublicKey, TpmError> {
    let cut = TpmError::truncated(WHAT);
    let curve = f.u16_be("curve").map_err(&cut)?;
    skip_scheme(f).map_err(&cut)?;
    let (x, y) = (sized(f, "x").map_err(&cut)?, sized(f, "y").map_err(&cut)?);
    match curve {
        NIST_P256 => {
            let malformed = || TpmError::Key(KeyError::Malformed("P-256"));
            let mut point = [0; 64];
            point[..32].copy_from_slice(&padded::<32>(x).ok_or_else(malformed)?);
            point[32..].copy_from_slice(&padded::<32>(y).ok_or_else(malformed)?);
            Ok(PublicKey::p256(&point)?)
        }
        NIST_P384 => {
            let malformed = || TpmError::Key(KeyError::Malformed("P-384"));
            let mut point = [0; 96];
            point[..48].copy_from_slice(&padded::<48>(x).ok_or_else(malformed)?);
            point[48..].copy_from_slice(&padded::<48>(y).ok_or_else(malformed)?);
            Ok(PublicKey::p384(&point)?)
        }
        other => Err(TpmError::Unsupported { what: WHAT, field: "curve", value: other.into() }),
    }
}
