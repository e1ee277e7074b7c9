//! The document's members, and how each is read.

use data_encoding::BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use ovmf_measure::eventlog::{EventLog, Flavour};
use sealstone_evidence::snp::Report;
use sealstone_evidence::tdx::{Collateral, Quote};
use sealstone_evidence::tpm::{Attest, AttestationKey, Signature};
use sealstone_evidence::x509::{Certificate, RevocationList};

use super::{Body, Config, Evidence, EvidenceError, MAX_TEXT, SCHEMA, SnpEvidence, TdxEvidence, TpmEvidence};
use crate::canonical;

/// Certificates in one document at most; chains have three. The bound keeps hostile input cheap.
const MAX_CERTIFICATES: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snp {
    certificates: Vec<String>,
    config: String,
    report: String,
    #[serde(default, deserialize_with = "there")]
    revocation_list: Option<String>,
    #[serde(rename = "schema")]
    _schema: String,
    #[serde(rename = "tee")]
    _tee: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tdx {
    #[serde(default, deserialize_with = "there")]
    collateral: Option<String>,
    config: String,
    event_log: String,
    quote: String,
    #[serde(rename = "schema")]
    _schema: String,
    #[serde(rename = "tee")]
    _tee: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tpm {
    #[serde(default, deserialize_with = "there")]
    ak_certificates: Option<Vec<String>>,
    ak_public: String,
    config: String,
    event_log: String,
    quote: String,
    #[serde(rename = "schema")]
    _schema: String,
    signature: String,
    #[serde(rename = "tee")]
    _tee: String,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Evidence, EvidenceError> {
    if bytes.len() > MAX_TEXT {
        return Err(EvidenceError::TooLong { length: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| EvidenceError::Syntax(e.to_string()))?;
    let value = canonical::read(text).map_err(syntax)?;
    // Schema and technology first: of other ones, nothing else means anything.
    if word(&value, "schema") != Some(SCHEMA) {
        return Err(kind(&value, "schema"));
    }
    if canonical::write(&value) != text {
        return Err(EvidenceError::Spelling);
    }
    match word(&value, "tee") {
        Some("sev-snp") => snp(members(value)?),
        Some("tdx") => tdx(members(value)?),
        Some("tpm2") => tpm(members(value)?),
        _ => Err(kind(&value, "tee")),
    }
}

fn snp(document: Snp) -> Result<Evidence, EvidenceError> {
    let (endorsement, chain) = endorsement(certificates("certificates", &document.certificates)?)?;
    let list = document.revocation_list.map(|text| base64("revocation_list", &text)).transpose()?;
    let body = SnpEvidence {
        report: Report::parse(&base64("report", &document.report)?)?,
        endorsement,
        chain,
        revocation: list.map(|der| RevocationList::from_der("revocation_list", &der)).transpose()?,
    };
    Ok(Evidence { config: Config::parse(&document.config)?, body: Body::Snp(Box::new(body)) })
}

fn tdx(document: Tdx) -> Result<Evidence, EvidenceError> {
    let body = TdxEvidence {
        quote: Quote::parse(&base64("quote", &document.quote)?)?,
        collateral: document.collateral.map(|text| Collateral::parse(text.as_bytes())).transpose()?,
        event_log: event_log(&document.event_log, Flavour::Cc)?,
    };
    Ok(Evidence { config: Config::parse(&document.config)?, body: Body::Tdx(Box::new(body)) })
}

fn tpm(document: Tpm) -> Result<Evidence, EvidenceError> {
    let body = TpmEvidence {
        attest: Attest::parse(&base64("quote", &document.quote)?)?,
        signature: Signature::parse(&base64("signature", &document.signature)?)?,
        key: AttestationKey::parse_area(&base64("ak_public", &document.ak_public)?)?,
        certificates: certificates("ak_certificates", &document.ak_certificates.unwrap_or_default())?,
        event_log: event_log(&document.event_log, Flavour::Tcg)?,
    };
    Ok(Evidence { config: Config::parse(&document.config)?, body: Body::Tpm(Box::new(body)) })
}

/// The endorsement key's certificate, and all others.
pub(super) fn endorsement(list: Vec<Certificate>) -> Result<(Option<Certificate>, Vec<Certificate>), EvidenceError> {
    let is_leaf = |certificate: &Certificate| matches!(certificate.common_name().as_str(), "SEV-VCEK" | "SEV-VLEK");
    let (mut leaves, chain): (Vec<_>, Vec<_>) = list.into_iter().partition(is_leaf);
    let found = leaves.len();
    match (leaves.pop(), found) {
        (leaf, 0 | 1) => Ok((leaf, chain)),
        _ => Err(EvidenceError::Endorsements { found }),
    }
}

fn certificates(what: &'static str, list: &[String]) -> Result<Vec<Certificate>, EvidenceError> {
    if list.len() > MAX_CERTIFICATES {
        return Err(EvidenceError::Syntax(format!("{what}: {} of them, the most is {MAX_CERTIFICATES}", list.len())));
    }
    list.iter().map(|text| Ok(Certificate::from_der(what, &base64(what, text)?)?)).collect()
}

/// Empty text: the firmware left no log.
fn event_log(text: &str, flavour: Flavour) -> Result<Option<EventLog>, EvidenceError> {
    if text.is_empty() {
        return Ok(None);
    }
    let log = EventLog::parse(&base64("event_log", text)?)?;
    if log.flavour == flavour { Ok(Some(log)) } else { Err(EvidenceError::Flavour { found: log.flavour }) }
}

fn base64(member: &'static str, text: &str) -> Result<Vec<u8>, EvidenceError> {
    BASE64.decode(text.as_bytes()).map_err(|e| EvidenceError::Base64 { member, why: e.to_string() })
}

fn members<T: DeserializeOwned>(value: Value) -> Result<T, EvidenceError> {
    serde_json::from_value(value).map_err(syntax)
}

fn word<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn kind(value: &Value, field: &'static str) -> EvidenceError {
    let shown = |found: &str| format!("{:?}", found.chars().take(80).collect::<String>());
    EvidenceError::Kind { field, found: word(value, field).map_or_else(|| "missing".into(), shown) }
}

fn syntax(error: serde_json::Error) -> EvidenceError {
    EvidenceError::Syntax(error.to_string())
}

/// A member that may be missing, but not `null`: that would be a second spelling of the same.
fn there<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
