//! TPM quotes: a sample with its log, and everything that may be wrong with it.

use data_encoding::BASE64;
use ovmf_measure::digest::{Algorithm, Digest};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::EncodePublicKey as _;
use sealstone_evidence::snp::Product;
use sealstone_evidence::testing::x509::{AT, Issuer, Made, YEAR, authority, authority_above, purposes, usage};
use sealstone_evidence::tpm::AttestationKey;
use serde_json::{Value, json};

use super::sample::{NONCE, config, pin, text};
use super::{Binding, Case, Endorsement, Expect, Roots, Verdict, flip, judge, judge_endorsed};
use crate::hex::Sha256;

/// Everything that a case may want to be wrong. Signed when it is judged.
#[derive(Clone)]
pub(super) struct Tpm {
    pub(super) pin: String,
    pub(super) policy: String,
    pub(super) config: Value,
    /// Register, what is measured.
    pub(super) events: Vec<(u8, &'static str)>,
    pub(super) attributes: u32,
    pub(super) magic: u32,
    pub(super) kind: u16,
    /// Selection bits of registers 0 to 23.
    pub(super) selection: [u8; 3],
    /// Overrides the digest that goes with the events.
    pub(super) digest: Option<Vec<u8>>,
    /// Certificates of the key, DER.
    pub(super) certificates: Option<Vec<Vec<u8>>>,
    pub(super) binding: Binding,
    /// What the quote was asked for with.
    pub(super) asked: Binding,
}

/// What is handed over, after everything is signed.
pub(super) struct Parts {
    pub(super) attest: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) log: Vec<u8>,
}

fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

impl Tpm {
    pub(super) fn new() -> Self {
        Self {
            pin: pin(),
            policy: "tpm:\n  allow_unendorsed_key: true\n".into(),
            config: config(),
            events: vec![(0, "firmware"), (7, "secure boot"), (4, "kernel"), (9, "cmdline"), (9, "initrd")],
            attributes: 0x0005_0472,
            magic: 0xff54_4347,
            kind: 0x8018,
            selection: [0xff, 0xff, 0],
            digest: None,
            certificates: None,
            binding: Binding::Nonce(NONCE),
            asked: Binding::Nonce(NONCE),
        }
    }

    /// The registers of the SHA-256 bank after the events.
    fn registers(&self) -> [Digest; 24] {
        let mut registers = [Algorithm::Sha256.zero(); 24];
        for (number, data) in &self.events {
            let value = &mut registers[usize::from(*number)];
            *value = value.extend(&Algorithm::Sha256.hash(data.as_bytes()));
        }
        registers
    }

    /// A TCG 2.0 log (PC Client Platform Firmware Profile, 10.2) of the SHA-256 bank.
    fn log(&self) -> Vec<u8> {
        let mut header = b"Spec ID Event03\0".to_vec();
        header.extend([0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0b, 0, 32, 0, 0]);
        let mut log = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20], &u32::try_from(header.len()).unwrap().to_le_bytes()].concat();
        log.extend(header);
        for (number, data) in &self.events {
            log.extend([*number, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0]);
            log.extend(Algorithm::Sha256.hash(data.as_bytes()).as_bytes());
            log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            log.extend(data.as_bytes());
        }
        log
    }

    fn attest(&self) -> Vec<u8> {
        let selected = (0..24).filter(|number| self.selection[number / 8] >> (number % 8) & 1 == 1);
        let values: Vec<u8> = selected.flat_map(|number| self.registers()[number].as_bytes().to_vec()).collect();
        let digest = self.digest.clone().unwrap_or_else(|| Algorithm::Sha256.hash(&values).as_bytes().to_vec());
        let config = Sha256::of(text(&self.config).as_bytes());
        let extra = self.asked.extra_data(config.as_bytes()).unwrap();
        [
            &self.magic.to_be_bytes()[..],
            &self.kind.to_be_bytes(),
            &tpm2b(b"signer"),
            &tpm2b(&extra),
            &[0; 25],
            &1_u32.to_be_bytes(),
            &[0x00, 0x0b, 3],
            &self.selection,
            &tpm2b(&digest),
        ]
        .concat()
    }

    fn area(&self) -> Vec<u8> {
        let point = key().verifying_key().to_encoded_point(false);
        let area = [
            &[0x00, 0x23, 0x00, 0x0b][..],
            &self.attributes.to_be_bytes(),
            &tpm2b(&[]),
            &[0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10],
            &tpm2b(point.x().unwrap()),
            &tpm2b(point.y().unwrap()),
        ];
        area.concat()
    }

    pub(super) fn parts(&self) -> Parts {
        let attest = self.attest();
        let signature: p256::ecdsa::Signature = key().sign(&attest);
        let (r, s) = signature.split_bytes();
        let signature = [&[0x00, 0x18, 0x00, 0x0b][..], &tpm2b(&r), &tpm2b(&s)].concat();
        Parts { attest, signature, key: tpm2b(&self.area()), log: self.log() }
    }

    pub(super) fn document(&self, parts: &Parts) -> Value {
        let mut value = json!({
            "ak_public": BASE64.encode(&parts.key), "config": text(&self.config), "event_log": BASE64.encode(&parts.log),
            "quote": BASE64.encode(&parts.attest), "schema": "sealstone/evidence/v1",
            "signature": BASE64.encode(&parts.signature), "tee": "tpm2"
        });
        if let Some(list) = &self.certificates {
            value["ak_certificates"] = list.iter().map(|der| BASE64.encode(der)).collect::<Vec<_>>().into();
        }
        value
    }

    /// The key, as the evidence has it.
    pub(super) fn key(&self) -> AttestationKey {
        AttestationKey::parse_area(&tpm2b(&self.area())).unwrap()
    }

    pub(super) fn judge_endorsed(&self, endorsement: &Endorsement, at: u64) -> Result<Verdict, String> {
        let document = text(&self.document(&self.parts()));
        let roots = Roots::Tests(Product::Genoa);
        judge_endorsed(roots, &self.pin, document.as_bytes(), &self.policy, &self.binding, endorsement, at)
    }

    pub(super) fn judge_text(&self, document: &str) -> Result<Verdict, String> {
        let roots = Roots::Tests(Product::Genoa);
        judge(roots, &self.pin, document.as_bytes(), &self.policy, &self.binding, AT)
    }

    pub(super) fn judge_parts(&self, parts: &Parts) -> Result<Verdict, String> {
        self.judge_text(&text(&self.document(parts)))
    }

    pub(super) fn judge(&self) -> Result<Verdict, String> {
        self.judge_parts(&self.parts())
    }
}

#[test]
fn the_sample_is_accepted_with_a_key_that_is_pinned_or_allowed() {
    let mut sample = Tpm::new();
    let verdict = sample.judge().unwrap();
    assert_eq!(verdict.exit_code(), 0, "{}", verdict.to_text());
    sample.policy = format!("tpm:\n  attestation_keys: ['000b{}']\n", Sha256::of(&sample.area()));
    assert_eq!(sample.judge().unwrap().exit_code(), 0);
    // A session of the channel, and no binding at all, which the verdict says.
    let channel = Binding::Channel { handshake_hash: [3; 32], device: [0; 32] };
    (sample.asked, sample.binding) = (channel, channel);
    assert_eq!(sample.judge().unwrap().exit_code(), 0);
    sample.binding = Binding::Offline;
    let verdict = sample.judge().unwrap();
    assert!(verdict.is_accepted() && verdict.to_text().contains("not asked  binding"), "{}", verdict.to_text());
}

/// A certified attestation key: leaf, issuer, and the root that the policy names.
struct Certified {
    leaf: Made,
    issuer: Made,
    root: Made,
    /// Who signs the leaf and the issuer.
    signers: [u8; 2],
}

impl Certified {
    fn new() -> Self {
        let spki = |key: &p256::ecdsa::SigningKey| {
            p256::PublicKey::from(key.verifying_key()).to_public_key_der().unwrap().as_bytes().to_vec()
        };
        let made = |subject: &str, issuer: &str, spki, extensions| Made {
            subject: subject.into(),
            issuer: issuer.into(),
            serial: 1,
            validity: (AT - YEAR, AT + YEAR),
            spki,
            extensions,
        };
        Self {
            leaf: made("AK", "Cloud", spki(&key()), Vec::new()),
            issuer: made("Cloud", "Cloud root", spki(&other(2)), vec![authority()]),
            root: made("Cloud root", "Cloud root", spki(&other(1)), vec![authority()]),
            signers: [2, 1],
        }
    }

    fn apply(&self, sample: &mut Tpm) {
        let der = |made: &Made, signer| made.der(Issuer::P256(&other(signer)));
        let root = der(&self.root, 1);
        sample.certificates = Some(vec![der(&self.leaf, self.signers[0]), der(&self.issuer, self.signers[1]), root.clone()]);
        let pem = BASE64.encode(&root);
        let lines: Vec<&str> = pem.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let indent = "\n    ";
        sample.policy = format!(
            "tpm:\n  attestation_roots:\n  - |\n    -----BEGIN CERTIFICATE-----\n    {}\n    -----END CERTIFICATE-----\n",
            lines.join(indent)
        );
    }
}

fn other(holder: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[holder; 32]).unwrap()
}

#[test]
fn a_key_that_a_root_of_the_policys_certifies_is_accepted() {
    let mut sample = Tpm::new();
    Certified::new().apply(&mut sample);
    let verdict = sample.judge().unwrap();
    assert_eq!(verdict.exit_code(), 0, "{}", verdict.to_text());
    // The root itself needn't be sent.
    sample.certificates.as_mut().unwrap().pop();
    assert_eq!(sample.judge().unwrap().exit_code(), 0);
    // Certificates that say what they are for: one authority below the root, signatures, an attestation key's.
    let mut sample = Tpm::new();
    let mut strict = Certified::new();
    strict.root.extensions = vec![authority_above(1)];
    strict.issuer.extensions = vec![authority_above(0)];
    strict.leaf.extensions = vec![usage(true), purposes(&["1.3.6.1.5.5.7.3.2", "2.23.133.8.3"])];
    strict.apply(&mut sample);
    assert_eq!(sample.judge().unwrap().exit_code(), 0);
}

fn certified(cases: &mut Vec<Case>) {
    let mut case = |name: &str, change: &dyn Fn(&mut Certified), after: &dyn Fn(&mut Tpm)| {
        let (mut certified, mut sample) = (Certified::new(), Tpm::new());
        change(&mut certified);
        certified.apply(&mut sample);
        after(&mut sample);
        let name = format!("key's certificate: {name}");
        cases.push(Case { name, expect: Expect::Refused("tpm.endorsement", 12), found: sample.judge() });
    };
    let nothing = |_: &mut Tpm| {};
    case("of another key", &|c| c.leaf.spki = c.root.spki.clone(), &nothing);
    case("signed by somebody else", &|c| c.signers[0] = 3, &nothing);
    case("issuer signed by somebody else", &|c| c.signers[1] = 3, &nothing);
    case("issuer that is no authority", &|c| c.issuer.extensions.clear(), &nothing);
    case("root that is no authority", &|c| c.root.extensions.clear(), &nothing);
    case("for a web server", &|c| c.leaf.extensions.push(purposes(&["1.3.6.1.5.5.7.3.1"])), &nothing);
    case("for nothing", &|c| c.leaf.extensions.push(purposes(&[])), &nothing);
    case("not for signatures", &|c| c.leaf.extensions.push(usage(false)), &nothing);
    case("under a root that allows no authority below", &|c| c.root.extensions = vec![authority_above(0)], &nothing);
    case("an authority's", &|c| c.leaf.extensions.push(authority()), &nothing);
    case("expired", &|c| c.leaf.validity.1 = AT - 1, &nothing);
    case("not yet valid", &|c| c.leaf.validity.0 = AT + 1, &nothing);
    case("issuer expired", &|c| c.issuer.validity.1 = AT - 1, &nothing);
    case("root expired", &|c| c.root.validity.1 = AT - 1, &nothing);
    case("names another issuer", &|c| c.leaf.issuer = "Somebody".into(), &nothing);
    case("missing", &|_| {}, &|s| s.certificates = None);
    case("list empty", &|_| {}, &|s| s.certificates = Some(Vec::new()));
    case("issuer's missing", &|_| {}, &|s| {
        s.certificates.as_mut().unwrap().remove(1);
    });
    case("in another order", &|_| {}, &|s| s.certificates.as_mut().unwrap().swap(0, 1));
    case("the policy names another root", &|_| {}, &|s| {
        let mut else_where = Certified::new();
        else_where.root.subject = "Another root".into();
        let mut copy = Tpm::new();
        else_where.apply(&mut copy);
        s.policy = copy.policy;
    });
}

/// A quote of pinned registers alone needs no log: the pin has all that is hashed.
#[test]
fn without_a_log_the_pin_decides() {
    let mut sample = Tpm::new();
    sample.selection = [0x10, 0x03, 0];
    let mut parts = sample.parts();
    parts.log.clear();
    let verdict = sample.judge_parts(&parts).unwrap();
    assert_eq!(verdict.exit_code(), 0, "{}", verdict.to_text());
    sample.events[4].1 = "another initrd";
    let mut parts = sample.parts();
    parts.log.clear();
    assert_eq!(sample.judge_parts(&parts).unwrap().exit_code(), 11);
}

/// What changed is said by name.
#[test]
fn a_changed_file_is_named() {
    for (event, file) in [(2, "vmlinuz"), (3, "cmdline"), (4, "initrd")] {
        let mut sample = Tpm::new();
        sample.events[event].1 = "another";
        let text = sample.judge().unwrap().to_text();
        assert!(text.contains(&format!("changed: {file};")) && text.contains("first difference: pcr"), "{text}");
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    damaged(&mut cases);
    signed(&mut cases);
    certified(&mut cases);
    cases
}

fn damaged(cases: &mut Vec<Case>) {
    let sample = Tpm::new();
    let mut case = |name: String, expect: Expect, damage: &dyn Fn(&mut Parts)| {
        let mut parts = sample.parts();
        damage(&mut parts);
        cases.push(Case { name, expect, found: sample.judge_parts(&parts) });
    };
    let length = sample.parts().attest.len();
    for at in (0..length).step_by(6) {
        case(format!("quote, byte {at}"), Expect::Either("tpm.signature", 10), &|parts| flip(&mut parts.attest, at, 0));
    }
    for at in [6, 37, 40, 71] {
        case(format!("signature, byte {at}"), Expect::Refused("tpm.signature", 10), &|parts| flip(&mut parts.signature, at, 0));
    }
    for at in [0, 1, 2, 3, 5] {
        case(format!("signature's frame, byte {at}"), Expect::Unreadable, &|parts| flip(&mut parts.signature, at, 4));
    }
    for at in (26..90).step_by(9) {
        case(format!("key, byte {at}"), Expect::Either("tpm.signature", 10), &|parts| flip(&mut parts.key, at, 0));
    }
    for (name, part) in [("quote", 0), ("signature", 1), ("key", 2), ("log", 3)] {
        let change = |parts: &mut Parts, with: &dyn Fn(&mut Vec<u8>)| match part {
            0 => with(&mut parts.attest),
            1 => with(&mut parts.signature),
            2 => with(&mut parts.key),
            _ => with(&mut parts.log),
        };
        case(format!("{name} cut"), Expect::Unreadable, &|parts| change(parts, &|bytes| bytes.truncate(bytes.len() - 1)));
        if part < 3 {
            case(format!("{name}, one byte more"), Expect::Unreadable, &|parts| change(parts, &|bytes| bytes.push(0)));
            case(format!("{name} empty"), Expect::Unreadable, &|parts| change(parts, &|bytes| bytes.clear()));
        }
    }
    case("log of another boot".into(), Expect::Refused("tpm.pcrs", 11), &|parts| {
        let mut other = Tpm::new();
        other.events[0].1 = "another firmware";
        parts.log = other.log();
    });
    case("log with a digest altered".into(), Expect::Refused("tpm.pcrs", 11), &|parts| {
        let at = parts.log.len() - 20;
        flip(&mut parts.log, at, 0);
    });
    case("log with an event twice".into(), Expect::Refused("tpm.pcrs", 11), &|parts| {
        let mut other = Tpm::new();
        other.events.push(other.events[4]);
        parts.log = other.log();
    });
    case("no log, where the pin leaves registers to the platform".into(), Expect::Refused("pin.pcr-digest", 11), &|parts| {
        parts.log.clear();
    });
}

fn signed(cases: &mut Vec<Case>) {
    let mut case = |name: &str, check, code, change: &dyn Fn(&mut Tpm)| {
        let mut sample = Tpm::new();
        change(&mut sample);
        cases.push(Case { name: name.to_owned(), expect: Expect::Refused(check, code), found: sample.judge() });
    };
    case("not made by a TPM", "tpm.attest", 10, &|s| s.magic ^= 1);
    case("a certification, no quote", "tpm.attest", 10, &|s| s.kind = 0x8017);
    for bit in [1, 4, 5, 16, 17, 18] {
        case(&format!("key attribute {bit}"), "tpm.key", 10, &|s| s.attributes ^= 1 << bit);
    }
    case("a key that nobody vouches for", "tpm.endorsement", 12, &|s| s.policy.clear());
    case("a key that isn't in the list", "tpm.endorsement", 12, &|s| {
        s.policy = format!("tpm:\n  attestation_keys: ['000b{}']\n", "0".repeat(64));
    });
    case("a listed key with other attributes", "tpm.endorsement", 12, &|s| {
        s.policy = format!("tpm:\n  attestation_keys: ['000b{}']\n", Sha256::of(&s.area()));
        s.attributes ^= 1 << 10;
    });
    case("another nonce", "binding", 12, &|s| s.binding = Binding::Nonce([1; 32]));
    case("a quote for a channel in place of a nonce", "binding", 12, &|s| {
        s.asked = Binding::Channel { handshake_hash: NONCE, device: [0; 32] };
    });
    case("another channel", "binding", 12, &|s| {
        s.asked = Binding::Channel { handshake_hash: [1; 32], device: [0; 32] };
        s.binding = Binding::Channel { handshake_hash: [2; 32], device: [0; 32] };
    });
    case("another device", "binding", 12, &|s| {
        s.asked = Binding::Channel { handshake_hash: [1; 32], device: [0; 32] };
        s.binding = Binding::Channel { handshake_hash: [1; 32], device: [1; 32] };
    });
    case("policy: another nonce", "tpm.nonce", 12, &|s| s.policy.push_str("  nonce: '00'\n"));
    case("policy: another register", "tpm.measurement", 11, &|s| {
        s.policy.push_str(&format!("  pcrs: {{4: ['{}']}}\n", "0".repeat(64)));
    });
    for (event, check) in [(2, "pin.pcr4"), (3, "pin.pcr9"), (4, "pin.pcr9")] {
        case(&format!("event {event} differs"), check, 11, &|s| s.events[event].1 = "another");
        case(&format!("event {event} missing"), check, 11, &|s| {
            s.events.remove(event);
        });
        case(&format!("event {event} twice"), check, 11, &|s| s.events.push(s.events[event]));
    }
    case("events in another order", "pin.pcr9", 11, &|s| s.events.swap(3, 4));
    case("a register that must be untouched", "pin.pcr8", 11, &|s| s.events.push((8, "more")));
    for number in [1, 2, 3, 5, 6, 10, 11, 12, 13, 14, 15] {
        case(&format!("register {number}, of which the pin doesn't speak"), "pin.other-pcrs", 11, &|s| {
            s.events.push((number, "more"));
        });
    }
    for (register, check) in [(4, "pin.pcr4"), (8, "pin.pcr8"), (9, "pin.pcr9")] {
        case(&format!("quote doesn't cover register {register}"), check, 11, &|s| {
            s.selection[register / 8] ^= 1 << (register % 8);
        });
    }
    case("quote covers nothing", "pin.pcr-digest", 11, &|s| s.selection = [0; 3]);
    case("digest of other registers", "pin.pcr-digest", 11, &|s| s.digest = Some(vec![0; 32]));
    case("digest cut", "pin.pcr-digest", 11, &|s| s.digest = Some(vec![0; 31]));
}
