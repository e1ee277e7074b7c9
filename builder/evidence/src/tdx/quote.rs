//! The quote's frame: header, body, and the nested certification data.

use crate::bytes::{Fields, Truncated, is_zero};
use crate::x509::{Certificate, CertificateError};

use super::body::{QeReport, TdBody};

/// Length of the header in bytes.
const HEADER_LENGTH: usize = 48;
/// Certification data types (quote format 4, table "QE Certification Data").
const PCK_CHAIN: u16 = 5;
const QE_REPORT: u16 = 6;
/// Body types of format 5.
const TDX_1_0: u16 = 2;
const TDX_1_5: u16 = 3;

/// A parsed quote. Nothing in it is to be believed before [`super::verify`] has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What kind of quote it is.
    pub header: Header,
    /// The trust domain's claims.
    pub body: TdBody,
    /// PCK certificate first, root last.
    pub(super) chain: Vec<Certificate>,
    /// Header and body, as signed.
    pub(super) signed: Vec<u8>,
    pub(super) signature: [u8; 64],
    pub(super) attestation_key: [u8; 64],
    pub(super) qe_report: QeReport,
    /// The QE report's bytes, as signed.
    pub(super) qe_signed: Vec<u8>,
    pub(super) qe_signature: [u8; 64],
    pub(super) qe_authentication: Vec<u8>,
}

/// What kind of quote it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 4 or 5.
    pub version: u16,
    /// 2 is ECDSA on P-256.
    pub attestation_key_type: u16,
    /// 0x81 is TDX.
    pub tee_type: u32,
    /// Must be zero.
    pub reserved: [u8; 4],
    /// Whose quoting enclave it is.
    pub qe_vendor: [u8; 16],
    /// The quoting enclave's own.
    pub user_data: [u8; 20],
}

/// The bytes can't be a TDX quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// Something is cut off.
    #[error("{0}; give the raw quote")]
    Truncated(#[from] Truncated),
    /// The quote is of a format that this crate doesn't know; its layout isn't known either.
    #[error("quote format {0} is not known; 4 and 5 are")]
    Version(u16),
    /// A part is of a kind that TDX quotes don't have, or that can't be verified without asking Intel.
    #[error("{what} of type {found}, expected {expected}")]
    Kind {
        /// The part.
        what: &'static str,
        /// Its type.
        found: u16,
        /// What it should be.
        expected: &'static str,
    },
    /// A length field doesn't agree with what it counts.
    #[error("{what} is {found} bytes long, but {expected} were announced")]
    Length {
        /// The part.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What a length field says.
        expected: usize,
    },
    /// Something other than zero padding follows the quote.
    #[error("{0} bytes follow the quote, and they aren't zero padding")]
    Trailing(usize),
    /// The PCK certificate chain can't be read.
    #[error(transparent)]
    Chain(#[from] CertificateError),
}

impl Quote {
    /// Reads a quote of format 4 or 5. Zero bytes may follow it: quotes are handed out in buffers of fixed size.
    ///
    /// # Errors
    /// If it is cut off, has inconsistent lengths, is of a format or certification that this crate doesn't know, or its
    /// certificates can't be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, QuoteError> {
        let mut f = Fields::new(bytes);
        let header = Header::read(&mut f)?;
        let (body, signed_length) = read_body(&mut f, header.version)?;
        let length = f.u32_le("signature data length")?;
        let data = f.take("signature data", usize::try_from(length).unwrap_or(usize::MAX))?;
        if !is_zero(f.rest()) {
            return Err(QuoteError::Trailing(f.rest().len()));
        }
        let signed = bytes.get(..signed_length).unwrap_or_default().to_vec();
        Self::read_signature_data(header, body, signed, &mut Fields::new(data))
    }

    fn read_signature_data(header: Header, body: TdBody, signed: Vec<u8>, f: &mut Fields<'_>) -> Result<Self, QuoteError> {
        let (signature, attestation_key) = (f.array("quote signature")?, f.array("attestation key")?);
        let data = certification(f, "certification data", QE_REPORT, "6 (QE report)")?;
        let mut f = Fields::new(data);
        let qe_signed = f.take("qe report", QeReport::LENGTH)?;
        let qe_report = QeReport::read(&mut Fields::new(qe_signed))?;
        let qe_signature = f.array("qe report signature")?;
        let length = f.u16_le("qe authentication data length")?;
        let qe_authentication = f.take("qe authentication data", usize::from(length))?.to_vec();
        let pem = certification(&mut f, "PCK certification data", PCK_CHAIN, "5 (PCK certificate chain)")?;
        let chain = Certificate::list_from_pem("the PCK certificate chain in the quote", pem)?;
        let qe_signed = qe_signed.to_vec();
        Ok(Self {
            header,
            body,
            chain,
            signed,
            signature,
            attestation_key,
            qe_report,
            qe_signed,
            qe_signature,
            qe_authentication,
        })
    }

    /// The platform's certificate (leaf of the chain).
    pub fn pck(&self) -> Option<&Certificate> {
        self.chain.first()
    }
}

impl Header {
    fn read(f: &mut Fields<'_>) -> Result<Self, QuoteError> {
        let version = f.u16_le("version")?;
        if !matches!(version, 4 | 5) {
            return Err(QuoteError::Version(version));
        }
        Ok(Self {
            version,
            attestation_key_type: f.u16_le("attestation key type")?,
            tee_type: f.u32_le("tee type")?,
            reserved: f.array("reserved")?,
            qe_vendor: f.array("qe vendor")?,
            user_data: f.array("user data")?,
        })
    }
}

/// The body, and how many bytes from the start of the quote are signed.
fn read_body(f: &mut Fields<'_>, version: u16) -> Result<(TdBody, usize), QuoteError> {
    if version == 4 {
        return Ok((TdBody::read(f, false)?, HEADER_LENGTH + TdBody::LENGTH_1_0));
    }
    let kind = f.u16_le("body type")?;
    let announced = usize::try_from(f.u32_le("body length")?).unwrap_or(usize::MAX);
    let length = match kind {
        TDX_1_0 => TdBody::LENGTH_1_0,
        TDX_1_5 => TdBody::LENGTH_1_5,
        found => return Err(QuoteError::Kind { what: "body", found, expected: "2 (TDX 1.0) or 3 (TDX 1.5)" }),
    };
    if announced != length {
        return Err(QuoteError::Length { what: "body", found: length, expected: announced });
    }
    // Type and length of the body, six bytes, are signed along with it.
    Ok((TdBody::read(f, kind == TDX_1_5)?, HEADER_LENGTH + 6 + length))
}

/// Certification data of one type, which must reach to the end of what it stands in.
fn certification<'a>(f: &mut Fields<'a>, what: &'static str, kind: u16, expected: &'static str) -> Result<&'a [u8], QuoteError> {
    let found = f.u16_le("certification data type")?;
    if found != kind {
        return Err(QuoteError::Kind { what, found, expected });
    }
    let length = usize::try_from(f.u32_le("certification data length")?).unwrap_or(usize::MAX);
    let data = f.take(what, length)?;
    if f.rest().is_empty() {
        Ok(data)
    } else {
        Err(QuoteError::Length { what, found: length.saturating_add(f.rest().len()), expected: length })
    }
}
