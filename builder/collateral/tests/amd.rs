//! What AMD's service is asked, and what comes of its answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

mod common;

use std::time::Duration;

use common::{Recorder, Reply, Server, documents, ok, silent, vector};
use sealstone_collateral::service::{Addresses, Event, Vendors};
use sealstone_collateral::{FetchError, amd};
use sealstone_evidence::snp::{Product, REPORT_LENGTH, Report};
use sealstone_evidence::x509::{Certificate, RevocationList};
use sealstone_release::policy::Policy;
use sealstone_release::verdict;

/// Within the validity of the recorded certificates.
const AT: u64 = 1_704_067_200;

const LENIENT: &str = "schema: sealstone/policy/v1\nsnp: {products: [Milan], allow_debug: true}\n";

/// A report that says nothing but what decides whom to ask.
fn report(change: impl Fn(&mut [u8])) -> Report {
    let mut bytes = vec![0; REPORT_LENGTH];
    bytes[0] = 3;
    // CPUID of a Milan.
    bytes[0x188..0x18b].copy_from_slice(&[0x19, 0x01, 1]);
    for (byte, value) in bytes[0x1a0..0x1e0].iter_mut().zip(1..) {
        *byte = value;
    }
    bytes[0x180..0x188].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 255]);
    change(&mut bytes);
    Report::parse(&bytes).unwrap()
}

fn cpuid(family: u8, model: u8) -> impl Fn(&mut [u8]) {
    move |bytes| bytes[0x188..0x18a].copy_from_slice(&[family, model])
}

/// The paths that are asked for.
fn asked(report: &Report, product: Option<Product>) -> Result<Vec<String>, FetchError> {
    let recorder = Recorder::default();
    let vendors = Vendors::new(Addresses::default(), &recorder, &silent);
    match amd::fetch(report, &amd::Have::default(), product, &vendors) {
        Err(FetchError::Missing { .. }) => {}
        other => drop(other?),
    }
    Ok(recorder.seen())
}

#[test]
fn whom_to_ask_for_what() {
    let all: String = (1..=64_u8).map(|byte| format!("{byte:02x}")).collect();
    let front: String = (1..=8_u8).map(|byte| format!("{byte:02x}")).collect();
    let early = "blSPL=01&teeSPL=02&snpSPL=07&ucodeSPL=255";
    let host = "https://kdsintf.amd.com/vcek/v1";
    let table = [
        (report(|_| ()), None, format!("{host}/Milan/{all}?{early}")),
        (report(cpuid(0x19, 0x11)), None, format!("{host}/Genoa/{all}?{early}")),
        (report(cpuid(0x19, 0xa0)), Some(Product::Genoa), format!("{host}/Genoa/{all}?{early}")),
        (report(cpuid(0x1a, 0x02)), None, format!("{host}/Turin/{front}?fmcSPL=01&blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=255")),
        (report(|bytes| bytes[0] = 2), Some(Product::Milan), format!("{host}/Milan/{all}?{early}")),
    ];
    for (report, product, url) in table {
        assert_eq!(asked(&report, product).unwrap(), [url]);
    }
}

#[test]
fn reports_that_name_nobody() {
    type Is = fn(&FetchError) -> bool;
    let table: [(Report, Option<Product>, Is); 7] = [
        (report(|bytes| bytes[0] = 2), None, |e| matches!(e, FetchError::ProductUnknown)),
        (report(|_| ()), Some(Product::Turin), |e| {
            matches!(e, FetchError::ProductOther { said: Product::Milan, given: Product::Turin })
        }),
        (report(cpuid(0x17, 0x31)), None, |e| matches!(e, FetchError::Processor { family: 0x17, model: 0x31 })),
        (report(|bytes| bytes[0x1a0..0x1e0].fill(0)), None, |e| matches!(e, FetchError::Masked)),
        (report(|bytes| bytes[0x48] = 2), None, |e| matches!(e, FetchError::Masked)),
        (report(|bytes| bytes[0x48] = 7 << 2), None, |e| matches!(e, FetchError::Unsigned)),
        (report(|bytes| bytes[0x48] = 3 << 2), None, |e| matches!(e, FetchError::Unsigned)),
    ];
    for (report, product, is) in table {
        let error = asked(&report, product).unwrap_err();
        assert!(is(&error) && error.is_input(), "{error}");
    }
}

/// The recorded evidence, a chip of the Milan generation.
struct Recorded {
    report: Report,
    vcek: Vec<u8>,
    chain: Vec<u8>,
    /// Not AMD's: no list of AMD's was at hand. It is a list all the same, and nobody here is to believe it.
    list: Vec<u8>,
}

impl Recorded {
    fn load(test: &str) -> Option<Self> {
        let collateral = vector(test, "tdx/tdx_quote_collateral.json")?;
        let collateral: serde_json::Value = serde_json::from_slice(&collateral).unwrap();
        Some(Self {
            report: Report::parse(&vector(test, "snp/attestation.bin")?).unwrap(),
            vcek: vector(test, "snp/vcek.testcer")?,
            chain: vector(test, "snp/milan.testcer")?,
            list: data_encoding::HEXLOWER.decode(collateral["root_ca_crl"].as_str().unwrap().as_bytes()).unwrap(),
        })
    }

    /// AMD's service, which knows this chip alone; `answer` may say something else than it does.
    fn serve(&self, answer: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static) -> Server {
        let (vcek, chain, list) = (self.vcek.clone(), self.chain.clone(), self.list.clone());
        let chip = data_encoding::HEXLOWER.encode(&self.report.chip_id);
        Server::start(move |path, n| {
            answer(path, n).unwrap_or_else(|| match path.strip_prefix("/vcek/v1/Milan/") {
                Some("cert_chain") => ok(&chain),
                Some("crl") => ok(&list),
                Some(leaf) if leaf.starts_with(&chip) => ok(&vcek),
                _ => Reply::Status(404, "", vec![]),
            })
        })
    }

    fn fetch(&self, server: &Server, have: &amd::Have<'_>) -> Result<sealstone_collateral::Fetched, FetchError> {
        let addresses = Addresses::new(Some(&server.url), None, None).unwrap();
        amd::fetch(&self.report, have, Some(Product::Milan), &Vendors::new(addresses, &documents(3), &silent))
    }
}

#[test]
fn what_is_fetched_verifies() {
    let Some(recorded) = Recorded::load("what_is_fetched_verifies") else { return };
    let server = recorded.serve(|_, _| None);
    let fetched = recorded.fetch(&server, &amd::Have::default()).unwrap();
    let names: Vec<_> = fetched.files.iter().map(|file| file.name).collect();
    assert_eq!(names, ["vcek.pem", "certificates.pem", "chain.pem", "crl.der"]);

    let dir = tempfile::tempdir().unwrap();
    let paths = fetched.write(&dir.path().join("new/folder")).unwrap();
    let read = |name: &str| std::fs::read(paths.iter().find(|path| path.ends_with(name)).unwrap()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("new/folder")).unwrap().count(), 4, "nothing unfinished lies about");
    let vcek = Certificate::from_pem_or_der("vcek", &read("vcek.pem")).unwrap();
    let chain = Certificate::list_from_pem("chain", &read("chain.pem")).unwrap();
    assert_eq!(Certificate::list_from_pem("all", &read("certificates.pem")).unwrap(), [&[vcek.clone()][..], &chain].concat());

    let policy = Policy::parse("policy", LENIENT).unwrap();
    assert!(verdict::snp(&recorded.report, &vcek, &chain, None, &policy, AT).is_accepted());
    // The list isn't AMD's: fetching doesn't care, verifying does.
    let list = RevocationList::from_der("list", &read("crl.der")).unwrap();
    let verdict = verdict::snp(&recorded.report, &vcek, &chain, Some(&list), &policy, AT);
    assert!(verdict.checks().iter().any(|check| check.id == "snp.revocation" && check.refused()));
}

#[test]
fn only_what_is_missing_is_fetched() {
    let Some(recorded) = Recorded::load("only_what_is_missing_is_fetched") else { return };
    let vcek = Certificate::from_pem_or_der("vcek", &recorded.vcek).unwrap();
    let chain = Certificate::list_from_pem("chain", &recorded.chain).unwrap();
    let everything = amd::Have { endorsement: Some(&vcek), chain: &chain, revocation: true };
    let table: [(amd::Have<'_>, &[&str]); 4] = [
        (everything, &[]),
        (amd::Have { revocation: false, ..everything }, &["crl.der"]),
        (amd::Have { chain: &[], ..everything }, &["certificates.pem", "chain.pem"]),
        (amd::Have { endorsement: None, ..everything }, &["vcek.pem", "certificates.pem", "chain.pem"]),
    ];
    for (have, files) in table {
        let server = recorded.serve(|_, _| None);
        let fetched = recorded.fetch(&server, &have).unwrap();
        assert_eq!(fetched.files.iter().map(|file| file.name).collect::<Vec<_>>(), files);
        assert_eq!(server.seen().is_empty(), files.is_empty());
    }
}

#[test]
fn a_vlek_comes_from_its_provider() {
    let Some(recorded) = Recorded::load("a_vlek_comes_from_its_provider") else { return };
    let (chain, list) = (recorded.chain.clone(), recorded.list.clone());
    let server = Server::start(move |path, _| match path {
        "/vlek/v1/Genoa/cert_chain" => ok(&chain),
        "/vlek/v1/Genoa/crl" => ok(&list),
        other => panic!("{other} was asked for"),
    });
    let vlek = report(|bytes| {
        cpuid(0x19, 0x11)(bytes);
        bytes[0x48] = 1 << 2;
        // A VLEK's report needn't name its chip.
        bytes[0x1a0..0x1e0].fill(0);
    });
    let addresses = Addresses::new(Some(&server.url), None, None).unwrap();
    let fetched = amd::fetch(&vlek, &amd::Have::default(), None, &Vendors::new(addresses, &documents(1), &silent)).unwrap();
    assert_eq!(fetched.files.iter().map(|file| file.name).collect::<Vec<_>>(), ["chain.pem", "crl.der"]);
    assert!(fetched.notes[0].contains("provider"), "{:?}", fetched.notes);
}

struct Case {
    what: &'static str,
    /// The answer to the request for the VCEK's certificate.
    answer: fn(&[u8], usize) -> Reply,
    /// How many such requests there are.
    requests: usize,
    /// What is said about it; nothing if all is well in the end.
    problem: &'static str,
}

fn raw(head: &str, body: &[u8]) -> Reply {
    Reply::Raw([head.as_bytes(), b"\r\n\r\n", body].concat())
}

const CASES: &[Case] = &[
    Case {
        what: "missing",
        answer: |_, _| Reply::Status(404, "", vec![]),
        requests: 1,
        problem: "doesn't know the chip at this TCB",
    },
    Case { what: "refused", answer: |_, _| Reply::Status(403, "", vec![]), requests: 1, problem: "answered 403" },
    Case {
        what: "busy, then good",
        answer: |vcek, n| if n < 2 { Reply::Status(429, "Retry-After: 0\r\n", vec![]) } else { ok(vcek) },
        requests: 3,
        problem: "",
    },
    Case { what: "always busy", answer: |_, _| Reply::Status(429, "", vec![]), requests: 3, problem: "answered 429" },
    Case {
        what: "down, then good",
        answer: |vcek, n| if n == 0 { Reply::Status(503, "", vec![]) } else { ok(vcek) },
        requests: 2,
        problem: "",
    },
    Case { what: "down", answer: |_, _| Reply::Status(503, "Retry-After: 0\r\n", vec![]), requests: 3, problem: "answered 503" },
    Case {
        what: "cut short",
        answer: |vcek, _| raw("HTTP/1.1 200 OK\r\nContent-Length: 5000", vcek),
        requests: 3,
        problem: "disconnected",
    },
    Case {
        what: "shorter than it is",
        answer: |vcek, _| raw("HTTP/1.1 200 OK\r\nContent-Length: 500", vcek),
        requests: 1,
        problem: "gave something else",
    },
    Case {
        what: "endless",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nConnection: close", &[b'x'; 1 << 20]),
        requests: 1,
        problem: "more than 16384 bytes",
    },
    Case {
        what: "huge",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nContent-Length: 1125899906842624", b"x"),
        requests: 1,
        problem: "more than 16384 bytes",
    },
    Case { what: "garbage", answer: |_, _| ok(b"<html>maintenance</html>"), requests: 1, problem: "gave something else" },
    Case { what: "nothing", answer: |_, _| ok(b""), requests: 1, problem: "gave something else" },
    Case { what: "a byte too many", answer: |vcek, _| ok(&[vcek, b"\0"].concat()), requests: 1, problem: "gave something else" },
    Case {
        what: "silent",
        answer: |_, _| Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1".to_vec()),
        requests: 3,
        problem: "time",
    },
    Case { what: "no HTTP", answer: |_, _| Reply::Raw(b"SSH-2.0-x\r\n".to_vec()), requests: 1, problem: "http" },
];

#[test]
fn what_a_service_does_and_what_comes_of_it() {
    let Some(recorded) = Recorded::load("what_a_service_does_and_what_comes_of_it") else { return };
    for case in CASES {
        let (answer, vcek) = (case.answer, recorded.vcek.clone());
        let server = recorded.serve(move |path, n| path.contains("SPL=").then(|| answer(&vcek, n)));
        let result = recorded.fetch(&server, &amd::Have { revocation: true, ..amd::Have::default() });
        let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_eq!(message.is_empty(), case.problem.is_empty(), "{}: {message}", case.what);
        assert!(message.contains(case.problem), "{}: no {:?} in {message}", case.what, case.problem);
        assert!(result.err().is_none_or(|error| !error.is_input()), "{}", case.what);
        let asked = server.seen().iter().filter(|path| path.contains("SPL=")).count();
        assert_eq!(asked, case.requests, "{}", case.what);
    }
}

#[test]
fn nobody_else_is_asked() {
    let Some(recorded) = Recorded::load("nobody_else_is_asked") else { return };
    let elsewhere = recorded.serve(|_, _| None);
    let location: &'static str = Box::leak(format!("Location: {}/vcek/v1/Milan/crl\r\n", elsewhere.url).into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let server = recorded.serve(move |_, _| Some(Reply::Status(status, location, vec![])));
        let error = recorded.fetch(&server, &amd::Have::default()).unwrap_err().to_string();
        assert!(error.contains("isn't followed"), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_service_that_says_when_to_come_again_is_obeyed() {
    let Some(recorded) = Recorded::load("a_service_that_says_when_to_come_again_is_obeyed") else { return };
    let server = recorded.serve(|_, n| (n == 0).then(|| Reply::Status(429, "Retry-After: 1\r\n", vec![])));
    let pauses = std::sync::Mutex::new(Vec::new());
    let watch = |event: Event<'_>| {
        if let Event::Pause { pause, .. } = event {
            pauses.lock().unwrap().push(pause);
        }
    };
    let addresses = Addresses::new(Some(&server.url), None, None).unwrap();
    let started = std::time::Instant::now();
    let service = documents(3);
    let vendors = Vendors::new(addresses, &service, &watch);
    amd::fetch(&recorded.report, &amd::Have::default(), Some(Product::Milan), &vendors).unwrap();
    assert_eq!(*pauses.lock().unwrap(), [Duration::from_secs(1)]);
    assert!(started.elapsed() >= Duration::from_secs(1));
}
