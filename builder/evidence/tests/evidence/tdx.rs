//! Two quotes of real machines: format 4 with TDX 1.0's body; format 5 with TDX 1.5's, from a platform so far out of date
//! (its SEAM loader has version 3, and 5 is the oldest that Intel lists) that it reaches no level at all.

use sealstone_evidence::check::{Check, Outcome};
use sealstone_evidence::tdx::{self, Authenticity, Collateral, Quote, TcbStatus};
use sealstone_evidence::time;
use x509_cert::crl::{CertificateList, RevokedCert};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::serial_number::SerialNumber;

use crate::vectors;

struct Sample {
    quote: Vec<u8>,
    collateral: Vec<u8>,
    at: u64,
}

fn current(test: &str) -> Option<Sample> {
    sample(test, "tdx/tdx_quote", "2025-06-20T00:00:00Z")
}

fn sample(test: &str, name: &str, at: &str) -> Option<Sample> {
    Some(Sample {
        quote: vectors::read(test, name)?,
        collateral: vectors::read(test, &format!("{name}_collateral.json"))?,
        at: time::parse(at).unwrap(),
    })
}

fn verify(quote: &[u8], collateral: &[u8], at: u64) -> Result<Authenticity, String> {
    let quote = Quote::parse(quote).map_err(|e| e.to_string())?;
    let collateral = Collateral::parse(collateral).map_err(|e| e.to_string())?;
    Ok(tdx::verify(&quote, &collateral, at))
}

fn refused(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| check.outcome != Outcome::Passed).map(|check| check.id).collect()
}

#[test]
fn the_recorded_quotes_are_genuine() {
    let test = "the_recorded_quotes_are_genuine";
    let table = [
        ("tdx/tdx_quote", "2025-06-20T00:00:00Z", 4, Ok(TcbStatus::UpToDate)),
        ("tdx/tdx_quote_outdated", "2026-03-01T00:00:00Z", 5, Err("Intel lists no TCB level that this platform reaches")),
    ];
    for (name, at, version, status) in table {
        let Some(s) = sample(test, name, at) else { return };
        let result = verify(&s.quote, &s.collateral, s.at).unwrap();
        assert_eq!(refused(&result.checks), [""; 0], "{name}: {:#?}", result.checks);
        assert_eq!(result.checks.iter().map(|check| check.id).collect::<Vec<_>>(), tdx::MANDATORY);
        let quote = Quote::parse(&s.quote).unwrap();
        assert_eq!(quote.header.version, version);
        assert_eq!(quote.body.tee_tcb_svn_2.is_some(), version == 5);
        assert!(!quote.body.td_attributes.debug() && quote.body.td_attributes.reserved() == 0);
        assert_eq!(result.tcb.as_ref().map(|tcb| tcb.status).map_err(String::as_str), status, "{name}");
    }
}

/// One bit in each region of the quote; what must refuse, at the least.
#[test]
fn a_damaged_quote_is_refused() {
    let Some(s) = current("a_damaged_quote_is_refused") else { return };
    let table = [
        (2, "tdx.header"),
        (4, "tdx.header"),
        (7, "tdx.header"),
        (8, "tdx.header"),
        (11, "tdx.header"),
        (12, "tdx.header"),
        (27, "tdx.header"),
        (28, "tdx.signature"),
        (47, "tdx.signature"),
        (48, "tdx.signature"),
        (64, "tdx.signature"),
        (112, "tdx.module"),
        (160, "tdx.module"),
        (168, "tdx.signature"),
        (176, "tdx.signature"),
        (184, "tdx.signature"),
        (232, "tdx.signature"),
        (280, "tdx.signature"),
        (328, "tdx.signature"),
        (376, "tdx.signature"),
        (424, "tdx.signature"),
        (472, "tdx.signature"),
        (520, "tdx.signature"),
        (568, "tdx.signature"),
        (631, "tdx.signature"),
        (636, "tdx.signature"),
        (699, "tdx.signature"),
        (700, "tdx.qe.binding"),
        (763, "tdx.qe.binding"),
        (770, "tdx.qe.signature"),
        (786, "tdx.qe.identity"),
        (818, "tdx.qe.identity"),
        (834, "tdx.qe.signature"),
        (898, "tdx.qe.identity"),
        (1026, "tdx.qe.identity"),
        (1028, "tdx.qe.signature"),
        (1090, "tdx.qe.binding"),
        (1122, "tdx.qe.binding"),
        (1153, "tdx.qe.binding"),
        (1154, "tdx.qe.signature"),
        (1217, "tdx.qe.signature"),
        (1220, "tdx.qe.binding"),
    ];
    for (at, expected) in table {
        let mut quote = s.quote.clone();
        quote[at] ^= 0x01;
        let result = verify(&quote, &s.collateral, s.at).unwrap();
        let found = refused(&result.checks);
        assert!(found.contains(&expected), "byte {at}: {found:?}");
    }
}

#[test]
fn a_quote_that_is_cut_or_has_something_behind_it_is_not_read() {
    let Some(s) = current("a_quote_that_is_cut_or_has_something_behind_it_is_not_read") else { return };
    for length in (0..4936).step_by(61) {
        assert!(Quote::parse(&s.quote[..length]).is_err(), "{length}");
    }
    assert!(Quote::parse(&s.quote[..4936]).is_ok());
    assert!(Quote::parse(&[s.quote.as_slice(), &[1]].concat()).is_err());
    // Version, both certification types, all four lengths.
    for at in [0, 632, 764, 766, 1218, 1252, 1254] {
        let mut quote = s.quote.clone();
        quote[at] ^= 0x02;
        assert!(Quote::parse(&quote).is_err(), "byte {at}");
    }
}

#[test]
fn a_damaged_certificate_chain_is_refused() {
    let Some(s) = current("a_damaged_certificate_chain_is_refused") else { return };
    for at in (1290..4930).step_by(41) {
        let mut quote = s.quote.clone();
        quote[at] = if quote[at] == b'A' { b'B' } else { b'A' };
        if let Ok(result) = verify(&quote, &s.collateral, s.at) {
            assert!(refused(&result.checks).contains(&"tdx.chain.pck"), "byte {at}: {:?}", refused(&result.checks));
        }
    }
}

/// Every byte of the collateral matters, whether a parser or a check finds the damage.
#[test]
fn damaged_collateral_is_refused() {
    let Some(s) = current("damaged_collateral_is_refused") else { return };
    for at in (0..s.collateral.len()).step_by(53) {
        let mut collateral = s.collateral.clone();
        collateral[at] = if collateral[at] == b'1' { b'2' } else { b'1' };
        if let Ok(result) = verify(&s.quote, &collateral, s.at) {
            assert!(!refused(&result.checks).is_empty(), "byte {at}");
        }
    }
}

/// Each part of the collateral taken from the other set: what must refuse.
#[test]
fn collateral_of_another_platform_is_refused() {
    let test = "collateral_of_another_platform_is_refused";
    let Some(s) = current(test) else { return };
    let Some(other) = sample(test, "tdx/tdx_quote_outdated", "2026-03-01T00:00:00Z") else { return };
    let own: serde_json::Value = serde_json::from_slice(&s.collateral).unwrap();
    let other: serde_json::Value = serde_json::from_slice(&other.collateral).unwrap();
    let table: [(&[&str], &[&str]); 6] = [
        (&["tcb_info"], &["tdx.tcb-info.signature", "tdx.platform", "tdx.validity"]),
        (&["tcb_info_signature"], &["tdx.tcb-info.signature"]),
        (&["tcb_info", "tcb_info_signature"], &["tdx.platform", "tdx.validity"]),
        (&["qe_identity"], &["tdx.qe-identity.signature", "tdx.validity"]),
        (&["qe_identity_signature"], &["tdx.qe-identity.signature"]),
        (&["pck_crl"], &["tdx.validity"]),
    ];
    for (fields, expected) in table {
        let mut mixed = own.clone();
        for field in fields {
            mixed[*field] = other[*field].clone();
        }
        let result = verify(&s.quote, mixed.to_string().as_bytes(), s.at).unwrap();
        assert_eq!(refused(&result.checks), expected, "{fields:?}");
    }
    let mut swapped = own.clone();
    (swapped["root_ca_crl"], swapped["pck_crl"]) = (own["pck_crl"].clone(), own["root_ca_crl"].clone());
    assert!(refused(&verify(&s.quote, swapped.to_string().as_bytes(), s.at).unwrap().checks).contains(&"tdx.crl"));
    let mut swapped = own.clone();
    swapped["tcb_info_issuer_chain"] = own["pck_crl_issuer_chain"].clone();
    let found = verify(&s.quote, swapped.to_string().as_bytes(), s.at).unwrap();
    assert_eq!(refused(&found.checks), ["tdx.tcb-info.signature"]);
}

#[test]
fn a_collateral_document_of_another_shape_is_not_read() {
    let Some(s) = current("a_collateral_document_of_another_shape_is_not_read") else { return };
    let own: serde_json::Map<_, _> = serde_json::from_slice(&s.collateral).unwrap();
    for field in own.keys() {
        let mut less = own.clone();
        less.remove(field);
        assert!(Collateral::parse(&serde_json::to_vec(&less).unwrap()).is_err(), "without {field}");
        let text = serde_json::to_string(&own).unwrap();
        let twice = format!("{},{}:{}}}", text.trim_end_matches('}'), serde_json::json!(field), own[field]);
        assert!(Collateral::parse(twice.as_bytes()).is_err(), "{field} twice");
    }
    let mut more = own.clone();
    more.insert("more".into(), "".into());
    assert!(Collateral::parse(&serde_json::to_vec(&more).unwrap()).is_err());
    assert!(Collateral::parse(&[s.collateral.as_slice(), b"{}"].concat()).is_err());
}

#[test]
fn validity_is_at_the_given_time() {
    let Some(s) = current("validity_is_at_the_given_time") else { return };
    for (at, valid) in [
        ("2025-06-19T10:32:26Z", false),
        ("2025-06-19T10:32:27Z", true),
        ("2025-07-19T10:00:35Z", true),
        ("2025-07-19T10:16:04Z", false),
    ] {
        let result = verify(&s.quote, &s.collateral, time::parse(at).unwrap()).unwrap();
        let expected: &[&str] = if valid { &[] } else { &["tdx.validity"] };
        assert_eq!(refused(&result.checks), expected, "{at}");
    }
}

/// From a serial number as it is encoded; Intel's have a leading zero byte where the first bit is set.
fn serial_number(encoded: &[u8]) -> SerialNumber {
    let sign: &[u8] = if encoded[0] < 0x80 { &[] } else { &[0] };
    let length = u8::try_from(sign.len() + encoded.len()).unwrap();
    SerialNumber::from_der(&[&[2, length], sign, encoded].concat()).unwrap()
}

/// A revocation list that can't be signed here names each certificate in turn: besides the list's signature, the
/// revocation refuses.
#[test]
fn a_revoked_certificate_is_refused() {
    let Some(s) = current("a_revoked_certificate_is_refused") else { return };
    let own: serde_json::Value = serde_json::from_slice(&s.collateral).unwrap();
    let quote = Quote::parse(&s.quote).unwrap();
    let collateral = Collateral::parse(&s.collateral).unwrap();
    let table = [
        ("pck_crl", quote.pck().unwrap().serial(), true),
        ("root_ca_crl", collateral.pck_crl_issuers.signer.serial(), true),
        ("root_ca_crl", collateral.tcb_info_issuers.signer.serial(), true),
        // The serial number alone isn't enough: it is the issuer's.
        ("root_ca_crl", quote.pck().unwrap().serial(), false),
        ("pck_crl", collateral.tcb_info_issuers.signer.serial(), false),
    ];
    for (list, serial, is_revoked) in table {
        let der = data_encoding::HEXLOWER.decode(own[list].as_str().unwrap().as_bytes()).unwrap();
        let mut altered = CertificateList::from_der(&der).unwrap();
        altered.tbs_cert_list.revoked_certificates = Some(vec![RevokedCert {
            serial_number: serial_number(serial),
            revocation_date: altered.tbs_cert_list.this_update,
            crl_entry_extensions: None,
        }]);
        let mut mixed = own.clone();
        mixed[list] = data_encoding::HEXLOWER.encode(&altered.to_der().unwrap()).into();
        let found = refused(&verify(&s.quote, mixed.to_string().as_bytes(), s.at).unwrap().checks);
        let expected: &[&str] = if is_revoked { &["tdx.crl", "tdx.revocation"] } else { &["tdx.crl"] };
        assert_eq!(found, expected, "{list}");
    }
}
