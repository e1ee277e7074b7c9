//! Intel's Provisioning Certification Service, version 4.
//!
//! | path | gives | issuers, in the header |
//! | --- | --- | --- |
//! | `/tdx/certification/v4/tcb?fmspc=…` | TCB info with its signature, JSON | `TCB-Info-Issuer-Chain` |
//! | `/tdx/certification/v4/qe/identity` | the quoting enclave's identity with its signature, JSON | `SGX-Enclave-Identity-Issuer-Chain` |
//! | `/sgx/certification/v4/pckcrl?ca=platform&encoding=der` | the revocation list of the PCK's issuer | `SGX-PCK-CRL-Issuer-Chain` |
//!
//! The root's revocation list is elsewhere: the root certificate names the place.

use data_encoding::HEXLOWER;
use sealstone_evidence::tdx::{Collateral, PckClaims, Quote};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::error::FetchError;
use crate::files::{Fetched, File};
use crate::service::{Request, Vendors};

/// The option that names another service.
const OPTION: &str = "--intel";
/// TCB info has about 10 KB, a list of revoked platforms grows slowly from 3 KB.
const MAX_JSON: usize = 256 << 10;
const MAX_LIST: usize = 1 << 20;

/// The document that `verify` takes; its fields are those of Intel's quote verification library.
#[derive(Serialize)]
struct Output {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
}

/// Fetches the collateral for `quote`: always all of it, since the parts must go together.
///
/// # Errors
/// If the quote's certificate doesn't name its platform, or the service gives something else than what it was asked for.
pub fn fetch(quote: &Quote, vendors: &Vendors<'_>) -> Result<Fetched, FetchError> {
    let pck = quote.pck().ok_or_else(|| FetchError::Pck("there is none".into()))?;
    let claims = PckClaims::from_certificate(pck).map_err(|error| FetchError::Pck(error.to_string()))?;
    let issuer = issuer(&pck.issuer_common_name())?;
    let fmspc = HEXLOWER.encode(&claims.fmspc);

    let path = format!("/tdx/certification/v4/tcb?fmspc={fmspc}");
    let tcb_info = signed(vendors, "TCB info", (&path, "tcbInfo"), "TCB-Info-Issuer-Chain", "platform's fmspc")?;
    let (what, path) = ("the quoting enclave's identity", "/tdx/certification/v4/qe/identity");
    let identity = signed(vendors, what, (path, "enclaveIdentity"), "SGX-Enclave-Identity-Issuer-Chain", "quoting enclave")?;
    let request = Request {
        what: "the revocation list of the PCK's issuer",
        url: vendors.intel(&format!("/sgx/certification/v4/pckcrl?ca={issuer}&encoding=der")),
        limit: MAX_LIST,
        header: Some("SGX-PCK-CRL-Issuer-Chain"),
        of: "issuer",
    };
    let pck_list = vendors.get(&request, OPTION)?;
    let pck_crl_issuer_chain = chain(&request, pck_list.header.as_deref())?;
    let root =
        Request { what: "the root's revocation list", url: vendors.intel_root_list(), limit: MAX_LIST, header: None, of: "list" };
    let root_list = vendors.get(&root, "--intel-root-crl")?;
    let output = Output {
        pck_crl_issuer_chain,
        root_ca_crl: HEXLOWER.encode(&root_list.bytes),
        pck_crl: HEXLOWER.encode(&pck_list.bytes),
        tcb_info_issuer_chain: tcb_info.issuers,
        tcb_info: tcb_info.text,
        tcb_info_signature: tcb_info.signature,
        qe_identity_issuer_chain: identity.issuers,
        qe_identity: identity.text,
        qe_identity_signature: identity.signature,
    };
    let unusable = |why: String| FetchError::Unusable { what: "collateral", url: vendors.intel(""), why };
    let bytes = serde_json::to_vec_pretty(&output).map_err(|error| unusable(error.to_string()))?;
    Collateral::parse(&bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(Fetched { files: vec![File { name: "collateral.json", options: "--collateral", bytes }], notes: Vec::new() })
}

/// Which of Intel's two authorities certified the platform, as the service names them.
fn issuer(common_name: &str) -> Result<&'static str, FetchError> {
    match common_name {
        "Intel SGX PCK Platform CA" => Ok("platform"),
        "Intel SGX PCK Processor CA" => Ok("processor"),
        other => Err(FetchError::Pck(format!("it is issued by `{other}`, none of Intel's"))),
    }
}

struct Statement {
    text: String,
    signature: String,
    issuers: String,
}

fn signed(
    vendors: &Vendors<'_>,
    what: &'static str,
    (path, member): (&str, &str),
    header: &'static str,
    of: &'static str,
) -> Result<Statement, FetchError> {
    let request = Request { what, url: vendors.intel(path), limit: MAX_JSON, header: Some(header), of };
    let document = vendors.get(&request, OPTION)?;
    let text = std::str::from_utf8(&document.bytes).map_err(|error| unusable(&request, error.to_string()))?;
    let parts = parts(text, member);
    let (text, signature) =
        parts.ok_or_else(|| unusable(&request, format!("it isn't a JSON object of {member} and signature")))?;
    Ok(Statement { text: text.to_owned(), signature, issuers: chain(&request, document.header.as_deref())? })
}

/// The exact text of a member of a JSON object, since that is what is signed, and the signature beside it; there is nothing else.
fn parts<'a>(text: &'a str, member: &str) -> Option<(&'a str, String)> {
    let (mut signed, mut signature) = (None, None);
    let mut rest = blank(text).strip_prefix('{')?;
    loop {
        let (key, after) = value::<String>(rest)?;
        rest = blank(after).strip_prefix(':')?;
        let (_, after) = value::<IgnoredAny>(rest)?;
        let raw = blank(rest.strip_suffix(after)?);
        let place = match key.as_str() {
            "signature" => &mut signature,
            key if key == member => &mut signed,
            _ => return None,
        };
        if place.replace(raw).is_some() {
            return None;
        }
        match blank(after).split_at_checked(1)? {
            (",", more) => rest = more,
            ("}", end) if blank(end).is_empty() => break,
            _ => return None,
        }
    }
    Some((signed?, serde_json::from_str(signature?).ok()?))
}

/// The first value of a JSON text, and what follows it.
fn value<T: serde::de::DeserializeOwned>(text: &str) -> Option<(T, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let first = values.next()?.ok()?;
    Some((first, text.get(values.byte_offset()..)?))
}

/// The text without the blanks before it (RFC 8259, section 2).
fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// An issuer chain as a header has it: PEM, percent-encoded.
fn chain(request: &Request, header: Option<&str>) -> Result<String, FetchError> {
    let name = request.header.unwrap_or_default();
    let header = header.ok_or_else(|| unusable(request, format!("the header {name} is missing")))?;
    percent_decoded(header).ok_or_else(|| unusable(request, format!("the header {name} isn't percent-encoded text")))
}

fn unusable(request: &Request, why: String) -> FetchError {
    FetchError::Unusable { what: request.what, url: request.url.clone(), why }
}

/// RFC 3986, section 2.1. A plus sign is a plus sign: it is a digit of base64, and no blank.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                *data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?.first()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_kept_to_the_byte() {
        let table: [(&str, Option<(&str, &str)>); 17] = [
            (r#"{"tcbInfo":{"a":1},"signature":"00"}"#, Some((r#"{"a":1}"#, "00"))),
            (" {\n\"signature\" : \"00\" ,\t\"tcbInfo\": { \"a\" : [1, 2] } \r\n} \n", Some((r#"{ "a" : [1, 2] }"#, "00"))),
            (r#"{"tcbInfo":{"}":"\"}"},"signature":"\u0030"}"#, Some((r#"{"}":"\"}"}"#, "0"))),
            (r#"{"tcbInfo":1.50,"signature":""}"#, Some(("1.50", ""))),
            (r#"{"tcbInfo":{},"signature":"00","tcbInfo":{}}"#, None),
            (r#"{"tcbInfo":{},"signature":"00","signature":"00"}"#, None),
            (r#"{"tcbInfo":{},"signature":"00","more":1}"#, None),
            (r#"{"tcbInfo":{},"signature":0}"#, None),
            (r#"{"tcbInfo":{}}"#, None),
            (r#"{"enclaveIdentity":{},"signature":"00"}"#, None),
            (r#"{"tcbInfo":{},"signature":"00"}x"#, None),
            (r#"{"tcbInfo":{},"signature":"00""#, None),
            (r#"{"tcbInfo":{},"signature":"00",}"#, None),
            (r#"{"tcbInfo":{} "signature":"00"}"#, None),
            (r#"[{"tcbInfo":{},"signature":"00"}]"#, None),
            ("{}", None),
            ("", None),
        ];
        for (text, expected) in table {
            let found = parts(text, "tcbInfo");
            assert_eq!(found.as_ref().map(|(raw, signature)| (*raw, signature.as_str())), expected, "{text}");
        }
        // Brackets to any depth are only passed over.
        let deep = format!("{{\"tcbInfo\":{}{},\"signature\":\"\"}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parts(&deep, "tcbInfo").map(|(raw, _)| raw.len()), Some(200_000));
    }

    #[test]
    fn percent_encoding() {
        let table: [(&str, Option<&str>); 9] = [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("-----BEGIN%20CERTIFICATE-----%0A", Some("-----BEGIN CERTIFICATE-----\n")),
            ("%2b%2B%3d", Some("++=")),
            ("%C3%A9", Some("é")),
            ("%", None),
            ("%2", None),
            ("%2g", None),
            ("%ff", None),
        ];
        for (text, decoded) in table {
            assert_eq!(percent_decoded(text).as_deref(), decoded, "{text}");
        }
    }
}
