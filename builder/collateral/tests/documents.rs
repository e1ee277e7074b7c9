//! Evidence documents: what the machine sent along isn't fetched, unless it is to be renewed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

mod common;

use common::{Reply, Server, documents, silent, vector};
use data_encoding::{BASE64, HEXLOWER};
use sealstone_collateral::service::{Addresses, Vendors};
use sealstone_collateral::{FetchError, for_evidence};
use sealstone_evidence::snp::Product;
use sealstone_evidence::x509::Certificate;
use sealstone_release::canonical;
use sealstone_release::evidence::Evidence;
use serde_json::{Value, json};

/// The measured configuration of a machine, of which nothing is looked at here.
const CONFIG: &str = "{\"attestation\":\"required\",\"image\":{\"name\":\"i\",\"version\":\"1\"},\"models\":[],\"schema\":\"sealstone/config/v1\"}";

fn document(mut members: Value) -> Evidence {
    members["config"] = CONFIG.into();
    members["schema"] = "sealstone/evidence/v1".into();
    Evidence::parse(canonical::write(&members).as_bytes()).unwrap()
}

/// Names of the files that come, from a service that has the recorded answers and no other.
fn files(server: &Server, evidence: &Evidence, renew: bool) -> Result<Vec<&'static str>, FetchError> {
    let root = format!("{}/root", server.url);
    let addresses = Addresses::new(Some(&server.url), Some(&server.url), Some(&root)).unwrap();
    let service = documents(1);
    let fetched = for_evidence(evidence, Some(Product::Milan), renew, &Vendors::new(addresses, &service, &silent))?;
    Ok(fetched.files.iter().map(|file| file.name).collect())
}

const ALL: [&str; 4] = ["vcek.pem", "certificates.pem", "chain.pem", "crl.der"];

#[test]
fn of_sev_snp() {
    let Some(report) = vector("of_sev_snp", "snp/attestation.bin") else { return };
    let read = |name| vector("of_sev_snp", name).unwrap();
    let (vcek, chain, collateral) = (read("snp/vcek.testcer"), read("snp/milan.testcer"), read("tdx/tdx_quote_collateral.json"));
    let collateral: Value = serde_json::from_slice(&collateral).unwrap();
    let list = HEXLOWER.decode(collateral["root_ca_crl"].as_str().unwrap().as_bytes()).unwrap();
    let (served_vcek, served_chain, served_list) = (vcek.clone(), chain.clone(), list.clone());
    let server = Server::start(move |path, _| {
        Reply::Status(
            200,
            "",
            match path {
                path if path.contains("SPL=") => served_vcek.clone(),
                path if path.ends_with("cert_chain") => served_chain.clone(),
                _ => served_list.clone(),
            },
        )
    });
    let above = Certificate::list_from_pem("chain", &chain).unwrap();
    let der = |certificate: &Certificate| {
        let pem = certificate.to_pem();
        pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()
    };
    let certificates: Vec<String> = [BASE64.encode(&vcek)].into_iter().chain(above.iter().map(der)).collect();
    let report = BASE64.encode(&report);
    let bare = document(json!({"tee": "sev-snp", "report": report, "certificates": []}));
    let certified = document(json!({"tee": "sev-snp", "report": report, "certificates": certificates}));
    let complete = document(
        json!({"tee": "sev-snp", "report": report, "certificates": certificates, "revocation_list": BASE64.encode(&list)}),
    );
    assert_eq!(files(&server, &bare, false).unwrap(), ALL);
    assert_eq!(files(&server, &certified, false).unwrap(), ["crl.der"]);
    let before = server.seen().len();
    assert_eq!(files(&server, &complete, false).unwrap(), [""; 0]);
    assert_eq!(server.seen().len(), before, "nobody is asked for nothing");
    assert_eq!(files(&server, &complete, true).unwrap(), ALL);
}

#[test]
fn of_tdx() {
    let Some(quote) = vector("of_tdx", "tdx/tdx_quote") else { return };
    let collateral = String::from_utf8(vector("of_tdx", "tdx/tdx_quote_collateral.json").unwrap()).unwrap();
    let server = Server::start(|_, _| Reply::Status(404, "", vec![]));
    let quote = BASE64.encode(&quote);
    let complete = document(json!({"tee": "tdx", "quote": quote, "event_log": "", "collateral": collateral}));
    assert_eq!(files(&server, &complete, false).unwrap(), [""; 0]);
    assert!(server.seen().is_empty());
    // That it is asked for at all; what comes of the answers is shown with raw quotes.
    assert!(matches!(files(&server, &complete, true), Err(FetchError::Missing { .. })));
    let bare = document(json!({"tee": "tdx", "quote": quote, "event_log": ""}));
    assert!(matches!(files(&server, &bare, false), Err(FetchError::Missing { .. })));
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn of_a_tpm() {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let quote = [&b"\xff\x54\x43\x47\x80\x18"[..], &[0; 29], &[0, 0, 0, 0], &[0, 0]].concat();
    let signature = [&[0, 0x18, 0, 0x0b][..], &sized(&[1]), &sized(&[1])].concat();
    // The base point of P-256, which is a point like another.
    let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    let y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let [x, y] = [x, y].map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap());
    let head = [0, 0x23, 0, 0x0b, 0, 5, 4, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10];
    let area = sized(&[&head[..], &sized(&x), &sized(&y)].concat());
    let encode = |bytes: &[u8]| BASE64.encode(bytes);
    let evidence = document(json!({
        "tee": "tpm2", "quote": encode(&quote), "signature": encode(&signature), "ak_public": encode(&area), "event_log": ""
    }));
    let server = Server::start(|_, _| Reply::Status(404, "", vec![]));
    for renew in [false, true] {
        assert!(matches!(files(&server, &evidence, renew), Err(error @ FetchError::Tpm) if error.is_input()));
    }
    assert!(server.seen().is_empty());
}
