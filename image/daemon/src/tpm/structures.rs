//! The structures that go in and come out: the key's template, PCR selections, the quote, its signature.
//! Source: Part 2; each item names its structure.

use super::wire::{BadField, Reader, Writer};

// TPM_ALG_ID (section 6.3).
const ALG_SHA256: u16 = 0x000b;
const ALG_SHA384: u16 = 0x000c;
const ALG_NULL: u16 = 0x0010;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
const ALG_CFB: u16 = 0x0043;
/// TPM_ECC_NIST_P256 (section 6.4).
const CURVE_P256: u16 = 0x0003;
/// Bytes of a coordinate or scalar of P-256.
const P256_BYTES: usize = 32;

/// TPMA_OBJECT (section 8.3): fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign. The key
/// never leaves the TPM, and being restricted it signs only what the TPM itself made: a quote can't be forged through it.
const AK_ATTRIBUTES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 16 | 1 << 18;

/// The same of an endorsement key: fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt. Restricted means here
/// that it decrypts nothing but what is bound to a key of the same TPM.
const EK_ATTRIBUTES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 16 | 1 << 17;

/// PolicyA of the endorsement key's templates: PolicySecret of the endorsement hierarchy.
const EK_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06,
    0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// TPM_GENERATED_VALUE (section 6.2): what a restricted key never signs in data from outside.
const GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE (section 6.9).
const ST_ATTEST_QUOTE: u16 = 0x8018;
/// The size of a digest by the key's scheme.
const DIGEST_BYTES: usize = 32;
/// The bound on TPML_PCR_SELECTION: HASH_COUNT of the largest TPM profile.
const MAX_BANKS: u32 = 16;
/// PCRs 0 to 15 of 24, as in TPMS_PCR_SELECTION: three bytes, bit 0 of the first is PCR 0. Higher ones are for debugging
/// and dynamic launch, which nothing here uses.
const PCRS_0_TO_15: [u8; 3] = [0xff, 0xff, 0x00];

/// A hash algorithm in which a TPM may keep its PCRs. The order is that in a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bank {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Bank {
    fn algorithm(self) -> u16 {
        match self {
            Bank::Sha256 => ALG_SHA256,
            Bank::Sha384 => ALG_SHA384,
        }
    }
}

/// TPML_PCR_SELECTION of PCRs 0 to 15 in each of `banks`.
pub(super) fn selection(banks: &[Bank]) -> Vec<u8> {
    let count = u32::try_from(banks.len()).unwrap_or(u32::MAX);
    let one = |w: Writer, bank: &Bank| w.u16(bank.algorithm()).u8(3).bytes(&PCRS_0_TO_15);
    banks.iter().fold(Writer::default().u32(count), one).finish()
}

/// The banks that hold all of PCRs 0 to 15, out of a TPML_PCR_SELECTION of what is allocated.
pub(super) fn banks(reader: &mut Reader<'_>) -> Result<Vec<Bank>, BadField> {
    let count = reader.u32("number of banks")?;
    if count > MAX_BANKS {
        return Err(BadField("number of banks"));
    }
    let mut complete = Vec::new();
    for _ in 0..count {
        let algorithm = reader.u16("bank")?;
        let bytes = reader.u8("bank")?;
        let allocated = reader.bytes(bytes.into(), "bank")?;
        let bank = [Bank::Sha256, Bank::Sha384].into_iter().find(|b| b.algorithm() == algorithm);
        if allocated.starts_with(&[0xff, 0xff]) {
            complete.extend(bank);
        }
    }
    complete.sort_unstable();
    complete.dedup();
    Ok(complete)
}

/// The attestation key's TPMT_PUBLIC (section 12.2.4) up to `unique`: ECDSA with SHA-256 on P-256.
fn template_head() -> Writer {
    let w = Writer::default().u16(ALG_ECC).u16(ALG_SHA256).u32(AK_ATTRIBUTES).sized(&[]);
    w.u16(ALG_NULL).u16(ALG_ECDSA).u16(ALG_SHA256).u16(CURVE_P256).u16(ALG_NULL)
}

/// The template from which the TPM makes the attestation key: TPMT_PUBLIC with an empty point.
pub(super) fn template() -> Vec<u8> {
    template_head().sized(&[]).sized(&[]).finish()
}

/// Which of the standard endorsement keys. Source: TCG EK Credential Profile for TPM Family 2.0, version 2.5, annex B.3; any other
/// template gives another key, which nobody has certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EkTemplate {
    /// L-1: RSA 2048.
    Rsa2048,
    /// L-2: ECC P-256.
    P256,
}

impl EkTemplate {
    /// TPMT_PUBLIC, with a `unique` of zeros.
    pub(super) fn public(self) -> Vec<u8> {
        let kind = match self {
            EkTemplate::Rsa2048 => ALG_RSA,
            EkTemplate::P256 => ALG_ECC,
        };
        let w = Writer::default().u16(kind).u16(ALG_SHA256).u32(EK_ATTRIBUTES).sized(&EK_POLICY);
        let w = w.u16(ALG_AES).u16(128).u16(ALG_CFB).u16(ALG_NULL);
        match self {
            // Exponent 0 is 65537.
            EkTemplate::Rsa2048 => w.u16(2048).u32(0).sized(&[0; 256]),
            EkTemplate::P256 => w.u16(CURVE_P256).u16(ALG_NULL).sized(&[0; P256_BYTES]).sized(&[0; P256_BYTES]),
        }
        .finish()
    }

    /// The NV index of its certificate (section 2.2.1.4).
    pub(super) fn certificate_index(self) -> u32 {
        match self {
            EkTemplate::Rsa2048 => 0x01c0_0002,
            EkTemplate::P256 => 0x01c0_000a,
        }
    }
}

/// Checks that `public` is a TPMT_PUBLIC made from the template, with a point on it.
pub(super) fn check_public(public: &[u8]) -> Result<(), BadField> {
    let head = template_head().finish();
    let mut reader = Reader::new(public);
    if reader.bytes(head.len(), "public area")? != head {
        return Err(BadField("public area"));
    }
    number(&mut reader, "x")?;
    number(&mut reader, "y")?;
    reader.end("public area")
}

/// TPM2B_ECC_PARAMETER of P-256: at least one byte, and TPMs differ in whether they keep leading zeros.
fn number(reader: &mut Reader<'_>, field: &'static str) -> Result<(), BadField> {
    let bytes = reader.sized(field)?;
    if (1..=P256_BYTES).contains(&bytes.len()) { Ok(()) } else { Err(BadField(field)) }
}

/// The name of an object with this public area (Part 1, section 16).
pub(super) fn name(public: &[u8]) -> Vec<u8> {
    Writer::default().u16(ALG_SHA256).bytes(sealstone_config::Digest::of(public).as_bytes()).finish()
}

/// Checks that `attest` is a TPMS_ATTEST (section 10.12.12) that quotes `banks` for `qualifying`.
pub(super) fn check_attest(attest: &[u8], qualifying: &[u8], banks: &[Bank]) -> Result<(), BadField> {
    let mut reader = Reader::new(attest);
    reader.expect_u32(GENERATED, "magic")?;
    reader.expect_u16(ST_ATTEST_QUOTE, "type")?;
    reader.sized("qualified signer")?;
    reader.expect_sized(qualifying, "extra data")?;
    // TPMS_CLOCK_INFO and the firmware's version: the TPM blurs them for keys of the null hierarchy.
    reader.bytes(8 + 4 + 4 + 1 + 8, "clock")?;
    let selection = selection(banks);
    if reader.bytes(selection.len(), "PCR selection")? != selection {
        return Err(BadField("PCR selection"));
    }
    let digest = reader.sized("PCR digest")?;
    if digest.len() != DIGEST_BYTES {
        return Err(BadField("PCR digest"));
    }
    reader.end("quote")
}

/// Checks that `signature` is a TPMT_SIGNATURE (section 11.3.4) of the key's scheme.
pub(super) fn check_signature(signature: &[u8]) -> Result<(), BadField> {
    let mut reader = Reader::new(signature);
    reader.expect_u16(ALG_ECDSA, "signature scheme")?;
    reader.expect_u16(ALG_SHA256, "signature hash")?;
    number(&mut reader, "signature r")?;
    number(&mut reader, "signature s")?;
    reader.end("signature")
}
