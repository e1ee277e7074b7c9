//! Evidence from a TPM that somebody else wrote: `swtpm`, on a socket of its own, behind the front's HTTP.
//!
//! The signature is checked with `openssl`, and credentials are made with `tpm2_makecredential`. Where a program is missing, the test says
//! so and passes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/swtpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use sealstone_config::{Digest, MeasuredConfig};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::evidence::quotes::Quoter;
use sealstone_daemon::front::Front;
use sealstone_daemon::server::{self, Limits};
use sealstone_daemon::tpm::{Credential, Tpm, Transport};
use support::{Socket, Swtpm, public_area, write_nv};

const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;
const EVENT_LOG: &[u8] = b"what the firmware measured";

/// TPM2_PCR_Extend of PCR 9 in both banks.
async fn extend(socket: &mut Socket, sha256: &[u8; 32], sha384: &[u8; 48]) {
    let mut command = vec![0x80, 0x02, 0, 0, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 9];
    command.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
    command.extend([0, 0, 0, 2, 0, 0x0b]);
    command.extend(sha256);
    command.extend([0, 0x0c]);
    command.extend(sha384);
    let size = u32::try_from(command.len()).unwrap();
    command[2..6].copy_from_slice(&size.to_be_bytes());
    let answer = socket.transact(&command).await.unwrap();
    assert_eq!(answer[6..10], [0; 4], "TPM2_PCR_Extend");
}

/// Serves evidence of `swtpm` on the loopback interface until the test process ends.
fn serve(swtpm: &Swtpm, before: impl AsyncFnOnce(&mut Socket) + Send + 'static) -> SocketAddr {
    let mut socket = swtpm.connect();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            before(&mut socket).await;
            let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
            let quotes = Quoter::new(socket, &measured, EVENT_LOG).await.unwrap().start();
            let front = Front::new(&measured, Kind::Tpm2, Path::new("/nonexistent")).with_quotes(quotes);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let _ = server::serve(listener, Arc::new(front), Limits::DEFAULT).await;
        });
    });
    receive.recv().unwrap()
}

/// Head and body of the answer to a request for evidence.
fn ask(address: SocketAddr, nonce: &str) -> (String, String) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /v1/evidence?nonce={nonce} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn field(document: &serde_json::Value, name: &str) -> Vec<u8> {
    unbase64(document[name].as_str().unwrap())
}

fn unbase64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other}"),
    };
    assert_eq!(text.len() % 4, 0);
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(value).collect();
    let group = |g: &[u8]| {
        let bits = (0..4).fold(0u32, |bits, i| bits << 6 | u32::from(g.get(i).copied().unwrap_or(0)));
        bits.to_be_bytes()[1..g.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

/// The TPM2B at `at`, and where the next field begins.
fn sized(bytes: &[u8], at: usize) -> (&[u8], usize) {
    let end = at + 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    (&bytes[at + 2..end], end)
}

/// A DER integer.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|b| *b != 0).unwrap_or(number.len() - 1);
    let mut content = number[start..].to_vec();
    if content[0] & 0x80 != 0 {
        content.insert(0, 0);
    }
    [vec![2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// Whether `openssl` takes the document's signature over `attest`. `None` where there is no `openssl`.
fn openssl_verifies(swtpm: &Swtpm, document: &serde_json::Value, attest: &[u8]) -> Option<bool> {
    let public = field(document, "ak_public");
    // TPM2B size and TPMT_PUBLIC up to the point.
    let (x, next) = sized(&public, 2 + 20);
    let (y, end) = sized(&public, next);
    assert_eq!(end, public.len());
    // SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480).
    let spki: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    assert_eq!((x.len(), y.len()), (32, 32));
    let signature = field(document, "signature");
    let (r, next) = sized(&signature, 4);
    let (s, _) = sized(&signature, next);
    let numbers = [der_integer(r), der_integer(s)].concat();
    let der = [vec![0x30, u8::try_from(numbers.len()).unwrap()], numbers].concat();

    let path = |name: &str| swtpm.folder.join(name);
    std::fs::write(path("key"), [spki, x, y].concat()).unwrap();
    std::fs::write(path("signature"), der).unwrap();
    std::fs::write(path("quote"), attest).unwrap();
    let command = Command::new("openssl")
        .args(["dgst", "-sha256", "-keyform", "DER", "-verify"])
        .arg(path("key"))
        .arg("-signature")
        .arg(path("signature"))
        .arg(path("quote"))
        .output();
    Some(command.ok()?.status.success())
}

#[test]
fn a_quote_of_known_registers_verifies() {
    let Some(swtpm) = Swtpm::start("verifies") else { return };
    let address = serve(&swtpm, async |socket| extend(socket, &[0xab; 32], &[0xcd; 48]).await);
    let nonce = "00ff".repeat(16);
    let (head, body) = ask(address, &nonce);
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("no-store"), "{head}");
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["schema"], "sealstone/evidence/v1");
    assert_eq!(document["tee"], "tpm2");
    assert_eq!(document["config"], CONFIG);
    assert_eq!(field(&document, "event_log"), EVENT_LOG);

    // What docs/formats/evidence.md says about the qualifying data.
    let nonce_bytes: Vec<u8> = [0x00, 0xff].repeat(16);
    let config = Digest::of(CONFIG.as_bytes());
    let qualifying = Digest::of(&[b"sealstone/evidence/v1\0", &nonce_bytes[..], config.as_bytes()].concat());
    let attest = field(&document, "quote");
    let (_, extra) = sized(&attest, 6);
    assert_eq!(sized(&attest, extra).0, qualifying.as_bytes());

    // PCRs start at zero; the banks of a new swtpm are SHA-256 and SHA-384 among others. The SHA-384 of what PCR 9 became
    // was computed with coreutils: { head -c 48 /dev/zero; printf '\xcd%.0s' $(seq 48); } | sha384sum
    let mut pcrs = vec![0u8; 16 * 32 + 16 * 48];
    let extended = Digest::of(&[[0u8; 32], [0xab; 32]].concat());
    pcrs[9 * 32..10 * 32].copy_from_slice(extended.as_bytes());
    let sha384 = "7ffcc0a81dc6a20af674f83237e51cbf5d4bdaa41512790325408d417ea399fee5111e869331405497eee9b28e7fded3";
    let sha384: Vec<u8> = (0..48).map(|i| u8::from_str_radix(&sha384[2 * i..2 * i + 2], 16).unwrap()).collect();
    pcrs[512 + 9 * 48..512 + 10 * 48].copy_from_slice(&sha384);
    assert_eq!(attest[attest.len() - 32..], *Digest::of(&pcrs).as_bytes(), "the quoted registers");

    match openssl_verifies(&swtpm, &document, &attest) {
        None => println!("SKIPPED the signature: no openssl"),
        Some(good) => {
            assert!(good, "the signature");
            let mut other = attest;
            *other.last_mut().unwrap() ^= 1;
            assert_eq!(openssl_verifies(&swtpm, &document, &other), Some(false), "a flipped bit");
        }
    }
}

#[test]
fn each_nonce_has_its_own_quote_by_the_same_key() {
    let Some(swtpm) = Swtpm::start("nonces") else { return };
    let address = serve(&swtpm, async |_| {});
    let documents = ["00", "01"].map(|byte| ask(address, &byte.repeat(32)).1);
    let [first, second] = documents.map(|d| serde_json::from_str::<serde_json::Value>(&d).unwrap());
    assert_eq!(first["ak_public"], second["ak_public"]);
    assert_ne!(first["quote"], second["quote"]);
    // The quotes are good each for itself, so a mix of the two isn't.
    if openssl_verifies(&swtpm, &first, &field(&first, "quote")) == Some(true) {
        assert_eq!(openssl_verifies(&swtpm, &first, &field(&second, "quote")), Some(false));
    }
}

#[test]
fn a_crowd_is_answered_or_sent_away() {
    let Some(swtpm) = Swtpm::start("crowd") else { return };
    let address = serve(&swtpm, async |_| {});
    let threads: Vec<_> = (0..100).map(|n| std::thread::spawn(move || ask(address, &format!("{n:064x}")).0)).collect();
    let (mut served, mut busy) = (0, 0);
    for head in threads.into_iter().map(|t| t.join().unwrap()) {
        match &head {
            head if head.starts_with("HTTP/1.1 200 ") => served += 1,
            head if head.starts_with("HTTP/1.1 429 ") && head.contains("retry-after: 1") => busy += 1,
            head => panic!("{head}"),
        }
    }
    assert_eq!(served + busy, 100);
    assert!(served > 0);
    assert!(ask(address, &"7".repeat(64)).0.starts_with("HTTP/1.1 200 "), "it goes on");
}

#[test]
fn a_dead_tpm_is_said_to_be_dead() {
    let Some(swtpm) = Swtpm::start("dead") else { return };
    let address = serve(&swtpm, async |_| {});
    assert!(ask(address, &"7".repeat(64)).0.starts_with("HTTP/1.1 200 "));
    drop(swtpm);
    let (head, body) = ask(address, &"7".repeat(64));
    assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("tpm_failed"), "{head} {body}");
}

/// DER only by its head, which is all that the daemon looks at.
fn certificate(filler: u8) -> Vec<u8> {
    [vec![0x30, 0x82, 4, 0], vec![filler; 1024]].concat()
}

/// A credential for the key with this public area, in software, by somebody else's program. `None` where there is none.
fn made_by_tpm2_tools(swtpm: &Swtpm, public: &[u8], name: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let path = |name: &str| swtpm.folder.join(name);
    std::fs::write(path("ek"), public).unwrap();
    std::fs::write(path("secret"), secret).unwrap();
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("tpm2_makecredential");
    command.args(["-T", "none", "-n", &name]).arg("-u").arg(path("ek")).arg("-s").arg(path("secret"));
    let made = command.arg("-o").arg(path("credential")).output().ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Its own magic and version stand before what a TPM takes.
    Some(std::fs::read(path("credential")).unwrap().split_off(8))
}

#[test]
fn a_credential_for_both_keys_is_activated_and_no_other() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (name, index) in [("p256", 0x01c0_000a), ("rsa", 0x01c0_0002)] {
        let Some(swtpm) = Swtpm::start(&format!("activate-{name}")) else { return };
        let mut socket = swtpm.connect();
        let skipped = runtime.block_on(async {
            // Longer than the certificate, and written in more than one piece.
            write_nv(&mut socket, index, &[certificate(0x5a), vec![0xff; 700]].concat()).await;
            let mut tpm = Tpm::new(&mut socket);
            let key = tpm.create_attestation_key().await.unwrap();
            let found = tpm.endorsement_certificate().await.unwrap().unwrap();
            assert_eq!(found.der(), certificate(0x5a));
            let endorsement = tpm.create_endorsement_key(&found).await.unwrap();
            // The second transient object.
            let public = public_area(&mut socket, 0x8000_0001).await;
            let ours = [&[0, 0x0b][..], Digest::of(&key.public()[2..]).as_bytes()].concat();
            let mut others = ours.clone();
            others[33] ^= 1;
            let Some(good) = made_by_tpm2_tools(&swtpm, &public, &ours, &[0x5e; 32]) else { return true };
            let other = made_by_tpm2_tools(&swtpm, &public, &others, &[0x5e; 32]).unwrap();
            let mut tpm = Tpm::new(&mut socket);
            // More often than a TPM has sessions, so that none is left behind by success or failure.
            for _ in 0..4 {
                let mut damaged = good.clone();
                damaged[40] ^= 1;
                for (bytes, expected) in [(&good, Some(vec![0x5e; 32])), (&other, None), (&damaged, None)] {
                    let credential = Credential::parse(bytes).unwrap();
                    assert_eq!(tpm.activate(&key, endorsement, &credential).await.unwrap(), expected, "{name}");
                }
            }
            false
        });
        if skipped {
            println!("SKIPPED a_credential_for_both_keys_is_activated_and_no_other: no tpm2_makecredential");
        }
    }
}
