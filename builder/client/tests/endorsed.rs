//! The exchange about the endorsement key: with a TPM in this program, with everything that isn't the right one, and with `swtpm`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/certified.rs"]
#[allow(unreachable_pub)]
mod certified;
#[allow(unreachable_pub, dead_code)]
mod support;
#[path = "../../../image/daemon/tests/support/swtpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod swtpm;
#[path = "../../../image/daemon/tests/support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certified::{certify, key, root};
use sealstone_client::{Client, ClientError, Trust};
use sealstone_config::Digest;
use sealstone_daemon::tpm::Transport;
use sealstone_evidence::testing::snp::keys;
use sealstone_evidence::testing::tpm::{EndorsementKey, endorsement};
use sealstone_evidence::testing::x509::{AT, Issuer, Made, YEAR, authority, purposes};
use sealstone_release::policy::Policy;
use sealstone_release::time::Moment;
use sealstone_release::verdict::{Check, Outcome};
use support::{LIMITS, MEASURED, Started, pin, start_with};
use swtpm::{Socket, Swtpm};
use tpm::{Endorsement, FakeTpm};

const OURS: u8 = 0x31;
const ROOT: u8 = 1;

/// A certificate for the TPM's key, and what the test wants to be wrong with it.
fn certificate(change: impl FnOnce(&mut Made)) -> Vec<u8> {
    let mut made = endorsement(EndorsementKey::P256(&key(OURS)), "Root");
    change(&mut made);
    made.der(Issuer::P256(&key(ROOT)))
}

const VALIDITY: (u64, u64) = (AT - YEAR, AT + YEAR);

/// A policy with the root of `holder`, and with no other way to trust a TPM.
fn policy(holder: u8) -> String {
    let pem: String = root(holder, VALIDITY).lines().map(|line| format!("    {line}\n")).collect();
    format!("schema: sealstone/policy/v1\ntpm:\n  endorsement_roots:\n  - |\n{pem}")
}

fn client(front: &Started, policy: &str) -> Client {
    let policy = Policy::parse("policy", policy).unwrap();
    let trust = Trust { pin: pin(), policy, clock: || Moment::from_unix(AT) };
    Client::new(format!("http://{}", front.address).parse().unwrap(), trust)
}

fn name(tpm: &FakeTpm) -> Vec<u8> {
    [&[0, 0x0b][..], Digest::of(&tpm.public()).as_bytes()].concat()
}

/// The front of a machine whose TPM says what `activate` does, and how often that was asked.
fn machine(
    certificate: Vec<u8>,
    mut activate: impl FnMut(&[u8], &[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> (Started, Arc<AtomicUsize>) {
    let tpm = support::tpm();
    let (name, asked) = (name(&tpm), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&asked);
    let activate = Box::new(move |credential: &[u8]| {
        counter.fetch_add(1, Ordering::SeqCst);
        activate(credential, &name)
    });
    (start_with(LIMITS, FakeTpm { endorsement: Some(Endorsement { certificate, activate }), ..tpm }), asked)
}

/// What the right TPM does.
fn right(credential: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    EndorsementKey::P256(&key(OURS)).activate(credential, name)
}

fn connect(client: &Client) -> Result<Check, ClientError> {
    let attested = sealstone_client::run(client.connect()).unwrap()?;
    assert!(attested.verdict.is_accepted());
    Ok(attested.verdict.checks().iter().find(|check| check.id == "tpm.endorsement").unwrap().clone())
}

#[test]
fn a_certified_tpm_is_accepted_after_one_exchange() {
    let (front, asked) = machine(certificate(|_| {}), right);
    let client = client(&front, &policy(ROOT));
    for _ in 0..3 {
        let check = connect(&client).unwrap();
        assert_eq!(check.outcome, Outcome::Passed);
        assert!(check.found.ends_with("activated in the TPM whose endorsement key is `TPM`, number 09, certified under `Root`"));
    }
    assert_eq!((asked.load(Ordering::SeqCst), front.requests.load(Ordering::SeqCst)), (1, 0), "one exchange, no content");
    // Another client has to see for itself.
    let policy = policy(ROOT);
    connect(&self::client(&front, &policy)).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn whoever_allows_any_key_asks_for_nothing() {
    let (front, asked) = machine(certificate(|_| {}), right);
    let any = policy(ROOT).replace("tpm:\n", "tpm:\n  allow_unendorsed_key: true\n");
    connect(&client(&front, &any)).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

type Activate = fn(&[u8], &[u8]) -> Option<Vec<u8>>;

#[test]
fn everything_else_is_refused_and_told_nothing() {
    let rsa: Activate = |credential, name| EndorsementKey::Rsa(&keys()[1]).activate(credential, name);
    let of_rsa = Made { spki: EndorsementKey::Rsa(&keys()[0]).spki(), ..endorsement(EndorsementKey::P256(&key(OURS)), "Root") };
    let table: Vec<(&str, Vec<u8>, Activate, u8, &str)> = vec![
        ("another root", certificate(|_| {}), right, 2, "no root of the policy's"),
        ("a stranger's certificate", certificate(|made| made.issuer = "Other".into()), right, ROOT, "no root of the policy's"),
        ("expired", certificate(|made| made.validity = (AT - YEAR, AT - 1)), right, ROOT, "is valid from"),
        ("an authority's", certificate(|made| made.extensions.push(authority())), right, ROOT, "lets it issue others"),
        (
            "an attestation key's",
            certificate(|made| made.extensions = vec![purposes(&["2.23.133.8.3"])]),
            right,
            ROOT,
            "other purposes",
        ),
        ("nobody's", certificate(|made| made.extensions.clear()), right, ROOT, "other purposes"),
        (
            "another TPM's",
            certificate(|_| {}),
            |credential, name| EndorsementKey::P256(&key(0x32)).activate(credential, name),
            ROOT,
            "aren't in one TPM",
        ),
        ("another RSA key", of_rsa.der(Issuer::P256(&key(ROOT))), rsa, ROOT, "aren't in one TPM"),
        (
            "of which this key is not a part",
            certificate(|_| {}),
            |credential, name| right(credential, &[&name[..33], &[name[33] ^ 1]].concat()),
            ROOT,
            "aren't in one TPM",
        ),
        ("guessing", certificate(|_| {}), |_, _| Some(vec![0; 32]), ROOT, "doesn't know the secret"),
        ("short", certificate(|_| {}), |c, n| right(c, n).map(|secret| secret[..31].to_vec()), ROOT, "doesn't know the secret"),
        (
            "long",
            certificate(|_| {}),
            |c, n| right(c, n).map(|secret| [&secret[..], &[0]].concat()),
            ROOT,
            "doesn't know the secret",
        ),
        ("broken", certificate(|_| {}), |_, _| Some(Vec::new()), ROOT, "answers 503"),
        ("no certificate", [vec![0x30, 0x82, 1, 0], vec![0; 256]].concat(), right, ROOT, "DER"),
    ];
    for (what, certificate, activate, root, problem) in table {
        let (front, _) = machine(certificate, activate);
        refused(what, &front, &policy(root), problem);
    }
    refused("without", &support::start(LIMITS), &policy(ROOT), "has no certificate of an endorsement key");
}

fn refused(what: &str, front: &Started, policy: &str, problem: &str) {
    let error = connect(&client(front, policy)).unwrap_err();
    let verdict = error.verdict().unwrap_or_else(|| panic!("{what}: {error}"));
    let refusals: Vec<_> = verdict.checks().iter().filter(|check| check.refused()).collect();
    assert_eq!(refusals.iter().map(|check| check.id).collect::<Vec<_>>(), ["tpm.endorsement"], "{what}");
    assert!(refusals[0].found.contains(problem), "{what}: {}", refusals[0].found);
    assert_eq!((verdict.exit_code(), front.requests.load(Ordering::SeqCst)), (12, 0), "{what}");
}

/// An answer for one client is none for another: a machine in the middle that relays the exchange shows only whose TPM it asked.
#[test]
fn an_old_answer_is_no_answer() {
    let mut first = None;
    let (front, asked) = machine(certificate(|_| {}), move |credential, name| {
        let secret = right(credential, name)?;
        Some(first.get_or_insert(secret).clone())
    });
    connect(&client(&front, &policy(ROOT))).unwrap();
    refused("replayed", &front, &policy(ROOT), "doesn't know the secret");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Only the bank of which the tests' pin speaks.
struct OneBank(Socket);

impl Transport for OneBank {
    async fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        if command[6..10] == [0, 0, 1, 0x7a] {
            return Ok(
                [&[0x80, 1, 0, 0, 0, 25, 0, 0, 0, 0][..], &[0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff]].concat()
            );
        }
        self.0.transact(command).await
    }
}

/// swtpm with PCR 4 as the pin says, whose endorsement key is certified under the root of [`ROOT`].
fn certified(swtpm: &Swtpm, index: u32) -> Socket {
    let mut socket = swtpm.connect();
    sealstone_client::run(async {
        swtpm::extend(&mut socket, 4, &MEASURED).await;
        certify(&mut socket, index, ROOT, VALIDITY).await;
    })
    .unwrap();
    socket
}

/// The TPM that somebody else wrote, with the front's own commands and the client's own credential: everything but the kernel between.
#[test]
fn a_tpm_that_somebody_else_wrote() {
    for (kind, index) in [("p256", 0x01c0_000a), ("rsa", 0x01c0_0002)] {
        let Some(swtpm) = Swtpm::start(&format!("endorsed-{kind}")) else { return };
        let front = start_with(LIMITS, OneBank(certified(&swtpm, index)));
        let client = client(&front, &policy(ROOT));
        for _ in 0..2 {
            let found = connect(&client).unwrap().found;
            assert!(found.contains("activated in the TPM whose endorsement key is `TPM`"), "{kind}: {found}");
        }
        refused(kind, &front, &policy(2), "no root of the policy's");
    }
}
