//! What Intel's service is asked, and what comes of its answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

mod common;

use common::{Recorder, Reply, Server, documents, silent, vector};
use sealstone_collateral::service::{Addresses, Vendors};
use sealstone_collateral::{FetchError, Fetched, intel};
use sealstone_evidence::tdx::{Collateral, Quote};
use sealstone_release::policy::Policy;
use sealstone_release::verdict;
use serde_json::Value;

/// Within the validity of the recorded collateral.
const AT: u64 = 1_750_377_600;

const TCB: &str = "/tdx/certification/v4/tcb?fmspc=b0c06f000000";
const IDENTITY: &str = "/tdx/certification/v4/qe/identity";
const PCK_LIST: &str = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der";
const ROOT_LIST: &str = "/IntelSGXRootCA.der";

/// The recorded collateral, as the service once gave it piece by piece.
#[derive(Clone)]
struct Recorded(Value);

impl Recorded {
    fn load(test: &str) -> Option<(Quote, Self)> {
        let quote = Quote::parse(&vector(test, "tdx/tdx_quote")?).unwrap();
        Some((quote, Self(serde_json::from_slice(&vector(test, "tdx/tdx_quote_collateral.json")?).unwrap())))
    }

    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }

    fn bytes(&self, field: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(self.text(field).as_bytes()).unwrap()
    }

    /// A signed text inside a JSON document, which has blanks of its own around it.
    fn signed(&self, member: &str, field: &str) -> Vec<u8> {
        format!("{{\"{member}\": {} ,\n\"signature\":\"{}\"}}", self.text(field), self.text(&format!("{field}_signature"))).into()
    }

    fn answer(&self, path: &str) -> Reply {
        match path {
            TCB => with("TCB-Info-Issuer-Chain", self.text("tcb_info_issuer_chain"), self.signed("tcbInfo", "tcb_info")),
            IDENTITY => {
                let body = self.signed("enclaveIdentity", "qe_identity");
                with("SGX-Enclave-Identity-Issuer-Chain", self.text("qe_identity_issuer_chain"), body)
            }
            PCK_LIST => with("SGX-PCK-CRL-Issuer-Chain", self.text("pck_crl_issuer_chain"), self.bytes("pck_crl")),
            ROOT_LIST => Reply::Status(200, "", self.bytes("root_ca_crl")),
            _ => Reply::Status(404, "", vec![]),
        }
    }
}

fn with(header: &str, chain: &str, body: Vec<u8>) -> Reply {
    let encode = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_string() } else { format!("%{:02X}", u32::from(c)) };
    let chain: String = chain.chars().map(encode).collect();
    let head = format!("HTTP/1.1 200 OK\r\n{header}: {chain}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Reply::Raw([head.as_bytes(), &body].concat())
}

fn fetch(quote: &Quote, server: &Server) -> Result<Fetched, FetchError> {
    let root = format!("{}{ROOT_LIST}", server.url);
    let addresses = Addresses::new(None, Some(&server.url), Some(&root)).unwrap();
    intel::fetch(quote, &Vendors::new(addresses, &documents(2), &silent))
}

#[test]
fn the_vendors_own_addresses() {
    let Some((quote, _)) = Recorded::load("the_vendors_own_addresses") else { return };
    let recorder = Recorder::default();
    let error = intel::fetch(&quote, &Vendors::new(Addresses::default(), &recorder, &silent)).unwrap_err();
    assert!(matches!(error, FetchError::Missing { of: "platform's fmspc", .. }), "{error}");
    assert_eq!(recorder.seen(), [format!("https://api.trustedservices.intel.com{TCB}")]);
}

#[test]
fn what_is_fetched_verifies() {
    let Some((quote, recorded)) = Recorded::load("what_is_fetched_verifies") else { return };
    let served = recorded.clone();
    let server = Server::start(move |path, _| served.answer(path));
    let fetched = fetch(&quote, &server).unwrap();
    assert_eq!(server.seen(), [TCB, IDENTITY, PCK_LIST, ROOT_LIST]);
    let [file] = fetched.files.as_slice() else { panic!("{} files", fetched.files.len()) };
    assert_eq!((file.name, file.options), ("collateral.json", "--collateral"));
    // The same as was recorded, to the byte of every member: what is signed mustn't be written anew.
    assert_eq!(serde_json::from_slice::<Value>(&file.bytes).unwrap(), recorded.0);
    let collateral = Collateral::parse(&file.bytes).unwrap();
    assert!(verdict::tdx(&quote, &collateral, &Policy::default(), AT).is_accepted());
}

#[test]
fn what_a_service_does_and_what_comes_of_it() {
    let Some((quote, recorded)) = Recorded::load("what_a_service_does_and_what_comes_of_it") else { return };
    type Answer = fn(&Recorded) -> Reply;
    let table: &[(&str, &str, Answer, &str)] = &[
        ("missing", TCB, |_| Reply::Status(404, "", vec![]), "doesn't know the platform's fmspc"),
        ("down", IDENTITY, |_| Reply::Status(503, "Retry-After: 0\r\n", vec![]), "answered 503"),
        ("no list", PCK_LIST, |_| Reply::Status(404, "", vec![]), "doesn't know the issuer"),
        ("no root's list", ROOT_LIST, |_| Reply::Status(500, "", vec![]), "--intel-root-crl"),
        ("no chain", TCB, |r| Reply::Status(200, "", r.signed("tcbInfo", "tcb_info")), "TCB-Info-Issuer-Chain is missing"),
        (
            "no JSON",
            TCB,
            |r| with("TCB-Info-Issuer-Chain", r.text("tcb_info_issuer_chain"), b"<html>".to_vec()),
            "something else",
        ),
        ("no signature", TCB, |_| with("TCB-Info-Issuer-Chain", "", b"{\"tcbInfo\":{}}".to_vec()), "signature"),
        (
            "a bomb of brackets",
            TCB,
            |_| with("TCB-Info-Issuer-Chain", "", [b"{\"tcbInfo\":".as_slice(), &[b'['; 200_000]].concat()),
            "something else",
        ),
        (
            "the other statement",
            TCB,
            |r| with("TCB-Info-Issuer-Chain", r.text("tcb_info_issuer_chain"), r.signed("enclaveIdentity", "qe_identity")),
            "isn't a JSON object of tcbInfo and signature",
        ),
        (
            "the other statement under this one's name",
            TCB,
            |r| with("TCB-Info-Issuer-Chain", r.text("tcb_info_issuer_chain"), r.signed("tcbInfo", "qe_identity")),
            "tcb_info: missing field",
        ),
        (
            "a chain without a root",
            PCK_LIST,
            |r| {
                let chain = r.text("pck_crl_issuer_chain");
                with("SGX-PCK-CRL-Issuer-Chain", &chain[..chain.len() / 2], r.bytes("pck_crl"))
            },
            "pck_crl_issuer_chain",
        ),
        ("a certificate for a list", ROOT_LIST, |_| Reply::Status(200, "", vec![0x30, 0]), "root_ca_crl"),
        ("too much", TCB, |_| with("TCB-Info-Issuer-Chain", "", vec![b' '; (256 << 10) + 1]), "more than 262144 bytes"),
    ];
    for (what, at, answer, problem) in table {
        let (served, at, answer) = (recorded.clone(), *at, *answer);
        let server = Server::start(move |path, _| if path == at { answer(&served) } else { served.answer(path) });
        let error = fetch(&quote, &server).unwrap_err();
        assert!(error.to_string().contains(problem) && !error.is_input(), "{what}: {error}");
    }
}
