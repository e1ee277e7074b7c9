//! Collateral: what Intel says about platforms, handed in with the quote.

use serde::{Deserialize, Deserializer};

use crate::time;
use crate::x509::{Certificate, CertificateError, RevocationList};

use super::level::TcbStatus;

/// Everything that is needed besides the quote, parsed; nothing in it has been verified.
#[derive(Clone, Debug)]
pub struct Collateral {
    /// Issuer of the PCK revocation list, then the root.
    pub pck_crl_issuers: IssuerChain,
    /// Revoked by the root.
    pub root_crl: RevocationList,
    /// Revoked by the PCK's issuer.
    pub pck_crl: RevocationList,
    /// Signer of the TCB info, then the root.
    pub tcb_info_issuers: IssuerChain,
    /// What Intel says about the platform's TCB levels.
    pub tcb_info: TcbInfo,
    /// Signer of the QE identity, then the root.
    pub qe_identity_issuers: IssuerChain,
    /// What Intel says about its quoting enclave.
    pub qe_identity: QeIdentity,
    pub(super) tcb_info_signed: Signed,
    pub(super) qe_identity_signed: Signed,
}

/// A signer's certificate and the root's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerChain {
    /// Who signs.
    pub signer: Certificate,
    /// Who certified the signer.
    pub root: Certificate,
}

/// A text as it was signed, and the signature.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) text: String,
    pub(super) signature: [u8; 64],
}

/// The collateral can't be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollateralError {
    /// Not the JSON that it should be: a field is missing, unknown, twice there, or of the wrong type.
    #[error("{what}: {why}")]
    Json {
        /// Which document.
        what: &'static str,
        /// What the parser says.
        why: String,
    },
    /// A certificate or revocation list can't be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An issuer chain isn't the signer's certificate followed by the root's.
    #[error("{what} holds {found} certificates; the signer's and the root's are expected")]
    Chain {
        /// Which chain.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The document is of another kind or version.
    #[error("{what} is of id `{id}` and version {version}; expected {expected}")]
    Kind {
        /// Which document.
        what: &'static str,
        /// Its id.
        id: String,
        /// Its version.
        version: u32,
        /// What it should be.
        expected: &'static str,
    },
}

/// The outer document: texts as Intel's service hands them out, put together in one JSON object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    pck_crl_issuer_chain: String,
    #[serde(deserialize_with = "hex")]
    root_ca_crl: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pck_crl: Vec<u8>,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    #[serde(deserialize_with = "hex_array")]
    tcb_info_signature: [u8; 64],
    qe_identity_issuer_chain: String,
    qe_identity: String,
    #[serde(deserialize_with = "hex_array")]
    qe_identity_signature: [u8; 64],
}

/// TCB info, version 3. Fields that Intel may add are ignored: the text is signed, and what it says about fields that
/// are known holds all the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcbInfo {
    pub(super) id: String,
    pub(super) version: u32,
    #[serde(deserialize_with = "seconds")]
    pub(super) issue_date: u64,
    #[serde(deserialize_with = "seconds")]
    pub(super) next_update: u64,
    #[serde(deserialize_with = "hex_array")]
    pub(super) fmspc: [u8; 6],
    #[serde(deserialize_with = "hex_array")]
    pub(super) pce_id: [u8; 2],
    pub(super) tcb_type: u32,
    /// Counts Intel's TCB recoveries.
    pub tcb_evaluation_data_number: u32,
    pub(super) tdx_module: TdxModule,
    #[serde(default)]
    pub(super) tdx_module_identities: Vec<TdxModuleIdentity>,
    pub(super) tcb_levels: Vec<PlatformLevel>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TdxModule {
    #[serde(deserialize_with = "hex_array")]
    pub(super) mrsigner: [u8; 48],
    #[serde(deserialize_with = "hex_array")]
    pub(super) attributes: [u8; 8],
    #[serde(rename = "attributesMask", deserialize_with = "hex_array")]
    pub(super) attributes_mask: [u8; 8],
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TdxModuleIdentity {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) module: TdxModule,
    pub(super) tcb_levels: Vec<IsvLevel>,
}

/// What Intel says of everything that reaches `tcb` and none of the levels before it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Level<T> {
    pub(super) tcb: T,
    #[serde(deserialize_with = "seconds")]
    pub(super) tcb_date: u64,
    pub(super) tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    pub(super) advisories: Vec<String>,
}

/// Levels of a platform.
pub(super) type PlatformLevel = Level<PlatformTcb>;
/// Levels of an enclave or TDX module.
pub(super) type IsvLevel = Level<IsvTcb>;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PlatformTcb {
    pub(super) sgxtcbcomponents: [Component; 16],
    pub(super) pcesvn: u16,
    pub(super) tdxtcbcomponents: [Component; 16],
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Component {
    pub(super) svn: u8,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct IsvTcb {
    pub(super) isvsvn: u16,
}

/// QE identity, version 2. Unknown fields are ignored, as in [`TcbInfo`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QeIdentity {
    pub(super) id: String,
    pub(super) version: u32,
    #[serde(deserialize_with = "seconds")]
    pub(super) issue_date: u64,
    #[serde(deserialize_with = "seconds")]
    pub(super) next_update: u64,
    /// Counts Intel's TCB recoveries.
    pub tcb_evaluation_data_number: u32,
    #[serde(deserialize_with = "hex_array")]
    pub(super) miscselect: [u8; 4],
    #[serde(deserialize_with = "hex_array")]
    pub(super) miscselect_mask: [u8; 4],
    #[serde(deserialize_with = "hex_array")]
    pub(super) attributes: [u8; 16],
    #[serde(deserialize_with = "hex_array")]
    pub(super) attributes_mask: [u8; 16],
    #[serde(deserialize_with = "hex_array")]
    pub(super) mrsigner: [u8; 32],
    pub(super) isvprodid: u16,
    pub(super) tcb_levels: Vec<IsvLevel>,
}

impl Collateral {
    /// Reads the JSON document.
    ///
    /// # Errors
    /// If it has an unknown, missing or repeated field, or a part can't be read.
    pub fn parse(json: &[u8]) -> Result<Self, CollateralError> {
        let document: Document = read("the collateral", json)?;
        let tcb_info: TcbInfo = read("tcb_info", document.tcb_info.as_bytes())?;
        let qe_identity: QeIdentity = read("qe_identity", document.qe_identity.as_bytes())?;
        kind("tcb_info", &tcb_info.id, tcb_info.version, ("TDX", 3), "id `TDX` and version 3")?;
        kind("qe_identity", &qe_identity.id, qe_identity.version, ("TD_QE", 2), "id `TD_QE` and version 2")?;
        Ok(Self {
            pck_crl_issuers: IssuerChain::from_pem("pck_crl_issuer_chain", &document.pck_crl_issuer_chain)?,
            root_crl: RevocationList::from_der("root_ca_crl", &document.root_ca_crl)?,
            pck_crl: RevocationList::from_der("pck_crl", &document.pck_crl)?,
            tcb_info_issuers: IssuerChain::from_pem("tcb_info_issuer_chain", &document.tcb_info_issuer_chain)?,
            tcb_info,
            qe_identity_issuers: IssuerChain::from_pem("qe_identity_issuer_chain", &document.qe_identity_issuer_chain)?,
            qe_identity,
            tcb_info_signed: Signed { text: document.tcb_info, signature: document.tcb_info_signature },
            qe_identity_signed: Signed { text: document.qe_identity, signature: document.qe_identity_signature },
        })
    }
}

impl IssuerChain {
    fn from_pem(what: &'static str, pem: &str) -> Result<Self, CollateralError> {
        let list = Certificate::list_from_pem(what, pem.as_bytes())?;
        let found = list.len();
        let [signer, root] = <[Certificate; 2]>::try_from(list).map_err(|_| CollateralError::Chain { what, found })?;
        Ok(Self { signer, root })
    }
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, json: &'a [u8]) -> Result<T, CollateralError> {
    serde_json::from_slice(json).map_err(|e| CollateralError::Json { what, why: e.to_string() })
}

fn kind(what: &'static str, id: &str, version: u32, wanted: (&str, u32), expected: &'static str) -> Result<(), CollateralError> {
    if (id, version) == wanted { Ok(()) } else { Err(CollateralError::Kind { what, id: id.to_owned(), version, expected }) }
}

/// Hexadecimal of either case: Intel's documents have upper-case digits, its revocation lists lower-case ones.
fn hex<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

fn hex_array<'de, const N: usize, D: Deserializer<'de>>(from: D) -> Result<[u8; N], D::Error> {
    let bytes = hex(from)?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| serde::de::Error::custom(format!("{N} bytes expected, {found} found")))
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
    time::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time such as 2026-02-18T10:58:51Z")))
}
