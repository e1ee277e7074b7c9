//! The client against a front on a machine with SEV-SNP or TDX: the kernel's report entry is a test's, and so are the processor's keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[allow(unreachable_pub, dead_code)]
mod support;
#[path = "../../../image/daemon/tests/support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use sealstone_client::{Client, ClientError, Supplement};
use sealstone_config::MeasuredConfig;
use sealstone_daemon::channel::{Channel, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::evidence::document::{Challenge, Nonce};
use sealstone_daemon::evidence::reports::Reporter;
use sealstone_daemon::evidence::tsm::{Entry, Tee};
use sealstone_daemon::front::Front;
use sealstone_daemon::server;
use sealstone_evidence::snp::Product;
use sealstone_evidence::tdx::Collateral;
use sealstone_evidence::testing::snp::{authority, keys, report, sign, vcek};
use sealstone_evidence::testing::tdx::MadeTdx;
use sealstone_evidence::testing::x509::Issuer;
use sealstone_release::evidence::{Body, Evidence};
use sealstone_release::verdict::Outcome;
use support::{ANY_TPM, CONFIG, LIMITS, client, pin};

/// An entry as the kernel keeps it.
struct Fake {
    tee: Tee,
    generation: u64,
    asked: [u8; 64],
}

impl Entry for Fake {
    fn read(&mut self, file: &'static str, _: usize) -> io::Result<Vec<u8>> {
        Ok(match (file, self.tee) {
            ("generation", _) => format!("{}\n", self.generation).into_bytes(),
            ("auxblob", Tee::SevSnp) => table(),
            ("outblob", Tee::SevSnp) => {
                let mut bytes = report(Product::Milan, 3);
                bytes[0x50..0x90].copy_from_slice(&self.asked);
                sign(bytes)
            }
            ("outblob", Tee::Tdx) => {
                let mut made = MadeTdx::new(4);
                made.body[520..584].copy_from_slice(&self.asked);
                made.quote()
            }
            (other, _) => panic!("{other} is read"),
        })
    }

    fn write(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(file, "inblob");
        self.asked = bytes.try_into().unwrap();
        self.generation += 1;
        Ok(())
    }
}

/// A host's certificate table: the chip's, the signing key's, the root's. Source of its form: AMD 56421.
fn table() -> Vec<u8> {
    let [root, issuer] = keys();
    let all = [
        ("63da758de6644564adc5f4b93be8accd", vcek(Product::Milan).der(Issuer::Rsa(issuer))),
        ("4ab7b379bbac4fe4a02f05aef327c782", authority("SEV-Milan", "ARK-Milan", issuer).der(Issuer::Rsa(root))),
        ("c0b406a4a803495297433fb6014cd0ae", authority("ARK-Milan", "ARK-Milan", root).der(Issuer::Rsa(root))),
    ];
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (guid, der) in &all {
        entries.extend((0..16).map(|n| u8::from_str_radix(&guid[2 * n..2 * n + 2], 16).unwrap()));
        entries.extend(u32::try_from(24 * (all.len() + 1) + data.len()).unwrap().to_le_bytes());
        entries.extend(u32::try_from(der.len()).unwrap().to_le_bytes());
        data.extend(der);
    }
    entries.extend([0; 24]);
    [entries, data].concat()
}

fn start(tee: Tee, kind: Kind) -> SocketAddr {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        runtime.block_on(async move {
            let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
            let reports = Reporter::new(Fake { tee, generation: 0, asked: [0; 64] }, tee, &measured, b"").start().unwrap();
            let channel = Channel::new(Source::Tee(reports.clone()), LIMITS).unwrap();
            let front = Front::new(&measured, kind, Path::new("/nonexistent")).with_quotes(reports).with_channel(channel);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let _ = server::serve(listener, Arc::new(front), server::Limits::DEFAULT).await;
        });
    });
    receive.recv().unwrap()
}

/// The report belongs to this very session; what is refused is what these tests can't have: AMD's or Intel's signature, and a pin's
/// launch.
#[test]
fn evidence_is_bound_to_the_session() {
    for (tee, kind) in [(Tee::SevSnp, Kind::SevSnp), (Tee::Tdx, Kind::Tdx)] {
        let address = start(tee, kind);
        let error = sealstone_client::run(async move { client(address, pin(), ANY_TPM).connect().await.err().unwrap() }).unwrap();
        let verdict = error.verdict().unwrap_or_else(|| panic!("{error}"));
        let outcome = |id: &str| verdict.checks().iter().find(|check| check.id == id).map(|check| check.outcome);
        assert_eq!(outcome("binding"), Some(Outcome::Passed), "{}", verdict.to_text());
        assert!(!verdict.is_accepted());
    }
}

/// What is added to evidence is what is judged, of each connection anew; where it can't be had there is no session.
#[test]
fn what_the_vendors_say_is_added_to_each_connections_evidence() {
    let address = start(Tee::Tdx, Kind::Tdx);
    let (added, times) = (MadeTdx::new(4).collateral().to_string(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&times);
    let supplement = Supplement::new(move |evidence| {
        counted.fetch_add(1, Ordering::SeqCst);
        evidence.set_collateral(Collateral::parse(added.as_bytes()).map_err(|error| error.to_string())?);
        Ok(())
    });
    let judged = |client: Client| sealstone_client::run(async move { client.connect().await.err().unwrap() }).unwrap();
    let found = |error: &ClientError, id: &str| {
        let verdict = error.verdict().unwrap_or_else(|| panic!("{error}"));
        verdict.checks().iter().find(|check| check.id == id).map(|check| check.found.clone())
    };
    let bare = judged(client(address, pin(), ANY_TPM));
    let client = client(address, pin(), ANY_TPM).supplemented(supplement);
    for expected in 1..3 {
        let error = judged(client.clone());
        assert_ne!(found(&error, "tdx.crl"), found(&bare, "tdx.crl"), "{error}");
        assert_eq!(times.load(Ordering::SeqCst), expected);
    }
    let error = judged(client.supplemented(Supplement::new(|_| Err("no such file".to_owned()))));
    assert!(matches!(&error, ClientError::Supplement(problem) if problem == "no such file"), "{error}");
}

/// The whole way of an SEV-SNP document: what the host's table held is the chain that the verifier finds.
#[test]
fn documents_hold_what_the_machine_gave() {
    let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
    let ask = |tee| {
        let reports = Reporter::new(Fake { tee, generation: 7, asked: [0; 64] }, tee, &measured, b"").start().unwrap();
        let nonce = Challenge::Nonce(Nonce::parse(&"5a".repeat(32)).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let document = runtime.block_on(reports.document(nonce)).unwrap();
        Evidence::parse(&document).unwrap()
    };
    match ask(Tee::SevSnp).body {
        Body::Snp(body) => {
            assert!(body.endorsement.is_some());
            assert_eq!(body.chain.len(), 2);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(ask(Tee::Tdx).body, Body::Tdx(_)));
}
