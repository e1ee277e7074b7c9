//! SEV-SNP: wrong in one thing, and signed as if it were right.

use sealstone_evidence::snp::Product;
use sealstone_evidence::testing::snp::{HARDWARE_ID, PRODUCT_NAME, PROVIDER_ID, text, vlek};
use sealstone_evidence::testing::x509::{AT, YEAR};

use super::snp::Snp;
use super::{Binding, Case, Expect, flip};

/// The identifiers of TCB levels in an endorsement certificate.
const LEVELS: [&str; 8] = [
    "1.3.6.1.4.1.3704.1.3.1",
    "1.3.6.1.4.1.3704.1.3.2",
    "1.3.6.1.4.1.3704.1.3.3",
    "1.3.6.1.4.1.3704.1.3.4",
    "1.3.6.1.4.1.3704.1.3.5",
    "1.3.6.1.4.1.3704.1.3.6",
    "1.3.6.1.4.1.3704.1.3.7",
    "1.3.6.1.4.1.3704.1.3.8",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    report(&mut cases);
    guest_policy(&mut cases);
    policy(&mut cases);
    certificates(&mut cases);
    chain(&mut cases);
    cases
}

fn case(cases: &mut Vec<Case>, name: impl Into<String>, check: &'static str, code: u8, change: impl Fn(&mut Snp)) {
    let mut sample = Snp::new(Product::Genoa, 5);
    change(&mut sample);
    cases.push(Case { name: name.into(), expect: Expect::Refused(check, code), found: sample.judge() });
}

fn report(cases: &mut Vec<Case>) {
    for version in [0_u8, 1, 6, 255] {
        case(cases, format!("version {version}"), "snp.report.version", 10, |s| s.report[0] = version);
    }
    case(cases, "version above 16 bits", "snp.report.version", 10, |s| s.report[2] = 1);
    let reserved = [0x40_usize, 0x41, 0x47, 0x49, 0x4b, 0x4c, 0x4f, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x208, 0x29f];
    for at in reserved {
        let bit = if at == 0x40 { 6 } else { 0 };
        case(cases, format!("reserved byte {at:#x}"), "snp.report.reserved", 10, |s| flip(&mut s.report, at, bit));
    }
    for bit in 5..8 {
        case(cases, format!("key information, bit {bit}"), "snp.report.reserved", 10, |s| flip(&mut s.report, 0x48, bit));
    }
    case(cases, "signature algorithm", "snp.signature", 10, |s| s.report[0x34] = 2);
    for key in [1, 2, 7] {
        case(cases, format!("signing key {key}"), "snp.signing-key", 10, |s| s.report[0x48] = key << 2);
    }
    for at in 0x180..0x188 {
        case(cases, format!("reported TCB, byte {}", at - 0x180), "snp.certificate.tcb", 10, |s| flip(&mut s.report, at, 0));
    }
    for at in [0x1a0, 0x1bf, 0x1df] {
        case(cases, format!("chip id, byte {at:#x}"), "snp.certificate.hardware-id", 10, |s| flip(&mut s.report, at, 7));
    }
    case(cases, "chip id masked", "snp.certificate.hardware-id", 10, |s| {
        s.report[0x1a0..0x1e0].fill(0);
        flip(&mut s.report, 0x48, 1);
    });
    case(cases, "CPUID of another generation", "snp.product", 10, |s| s.report[0x189] = 0x01);
    for (at, bit) in [(0x90, 0), (0x90, 7), (0xa8, 3), (0xbf, 0), (0xbf, 7)] {
        case(cases, format!("measurement, byte {at:#x}, bit {bit}"), "pin.launch", 11, |s| flip(&mut s.report, at, bit));
    }
    for (at, bit) in [(0x50, 0), (0x6f, 7), (0x70, 0), (0x8f, 7)] {
        case(cases, format!("report data, byte {at:#x}, bit {bit}"), "binding", 12, |s| flip(&mut s.report, at, bit));
    }
    for vmpl in [1_u32, 2, 3, u32::MAX] {
        let put = |s: &mut Snp| s.report[0x30..0x34].copy_from_slice(&vmpl.to_le_bytes());
        case(cases, format!("VMPL {vmpl:#x}"), "snp.policy.vmpl", 12, put);
    }
}

/// Every bit of the guest policy that may not be as it is.
fn guest_policy(cases: &mut Vec<Case>) {
    let bit = |s: &mut Snp, bit: usize| s.report[8 + bit / 8] ^= 1 << (bit % 8);
    case(cases, "guest policy, bit 17 clear", "snp.policy.reserved", 12, |s| bit(s, 17));
    for number in 26..64 {
        case(cases, format!("guest policy, bit {number}"), "snp.policy.reserved", 12, |s| bit(s, number));
    }
    case(cases, "debugging allowed", "snp.policy.debug", 12, |s| bit(s, 19));
    case(cases, "migration allowed", "snp.policy.migration", 12, |s| bit(s, 18));
    case(cases, "multithreading, which the policy forbids", "snp.policy.smt", 12, |s| s.policy.push_str("  allow_smt: false\n"));
}

/// What the client's policy asks for, one short of it.
fn policy(cases: &mut Vec<Case>) {
    let ask = |cases: &mut Vec<Case>, line: &str, check| case(cases, line, check, 12, |s| s.policy.push_str(line));
    ask(cases, "  min_abi: [0, 1]\n", "snp.policy.abi");
    // Each demand is met by its own bit alone.
    for (demand, check, bit) in
        [("alias_check", "snp.policy.alias-check", 5_u8), ("ciphertext_hiding", "snp.policy.ciphertext-hiding", 4)]
    {
        for others in [0, 0xbf & !(1 << bit)] {
            case(cases, format!("{demand} demanded of platform info {others:#x}"), check, 12, |s| {
                s.report[0x40] = others;
                s.policy.push_str(&format!("  require_{demand}: true\n"));
            });
        }
    }
    for part in ["bootloader: 2", "tee: 3", "snp: 4", "microcode: 201", "fmc: 1"] {
        ask(cases, &format!("  min_tcb: {{{part}}}\n"), "snp.policy.tcb");
    }
    // Committed, current and launch TCB are 0 in the sample; raised one by one, the lowest still counts.
    for lowest in [0x38_usize, 0x180, 0x1e0, 0x1f0] {
        case(cases, format!("TCB at {lowest:#x} below the floor"), "snp.policy.tcb", 12, |s| {
            for at in [0x38, 0x1e0, 0x1f0] {
                let reported = s.report[0x180..0x188].to_vec();
                s.report[at..at + 8].copy_from_slice(&reported);
            }
            s.policy.push_str("  min_tcb: {bootloader: 1, tee: 2, snp: 3, microcode: 200}\n");
            if lowest == 0x180 {
                s.policy = s.policy.replace("200", "201");
            } else {
                s.report[lowest + 7] -= 1;
            }
        });
    }
    let (digest, id) = ("ab".repeat(48), "ab".repeat(64));
    ask(cases, &format!("  host_data: '{}'\n", "ab".repeat(32)), "snp.host-data");
    ask(cases, &format!("  report_data: '{id}'\n"), "snp.report-data");
    ask(cases, &format!("  id_key_digests: ['{digest}']\n"), "snp.id-key");
    ask(cases, &format!("  author_key_digests: ['{digest}']\n"), "snp.author-key");
    ask(cases, &format!("  chip_ids: ['{id}']\n"), "snp.chip-id");
    ask(cases, "  chip_ids: []\n", "snp.chip-id");
    case(cases, "another measurement in the policy", "snp.measurement", 11, |s| {
        s.policy.push_str(&format!("  measurements: ['{digest}']\n"));
    });
    case(cases, "product not in the policy", "snp.policy.product", 12, |s| s.policy = "snp: {products: [Turin]}\n".into());
    case(cases, "no revocation list, which the policy demands", "snp.revocation", 12, |s| {
        s.list = None;
        s.policy.push_str("  require_revocation_list: true\n");
    });
    case(cases, "no nonce, which the policy demands", "binding", 12, |s| {
        s.binding = Binding::Offline;
        s.policy.push_str("require_binding: true\n");
    });
    case(cases, "another nonce", "binding", 12, |s| s.binding = Binding::Nonce([1; 32]));
    case(cases, "a channel in place of a nonce", "binding", 12, |s| {
        s.binding = Binding::Channel { handshake_hash: super::sample::NONCE, device: [0; 32] };
    });
    case(cases, "provider's key, which the policy forbids", "snp.policy.signer", 12, |s| {
        provider(s);
        s.policy.push_str("  allow_vlek: false\n");
    });
}

fn provider(s: &mut Snp) {
    s.leaf = vlek(s.product);
    s.issuer.subject = format!("SEV-VLEK-{}", s.product);
    s.report[0x48] = 1 << 2;
}

#[test]
fn protections_that_are_on_are_accepted() {
    let mut sample = Snp::new(Product::Genoa, 5);
    sample.report[0x40] = 0x30;
    sample.policy.push_str("  require_alias_check: true\n  require_ciphertext_hiding: true\n");
    let verdict = sample.judge().unwrap();
    assert!(verdict.is_accepted(), "{}", verdict.to_text());
}

#[test]
fn a_providers_key_is_accepted() {
    let mut sample = Snp::new(Product::Genoa, 5);
    provider(&mut sample);
    let verdict = sample.judge().unwrap();
    assert!(verdict.is_accepted(), "{}", verdict.to_text());
}

/// The endorsement certificate.
fn certificates(cases: &mut Vec<Case>) {
    let others = [PRODUCT_NAME, HARDWARE_ID];
    for oid in LEVELS.into_iter().chain(others) {
        case(cases, format!("certificate without {oid}"), "snp.endorsement", 10, |s| {
            s.leaf.extensions.retain(|(other, ..)| *other != oid);
        });
        case(cases, format!("certificate with an empty {oid}"), "snp.endorsement", 10, |s| {
            let found = s.leaf.extensions.iter_mut().find(|(other, ..)| *other == oid);
            found.unwrap().2.clear();
        });
    }
    for oid in LEVELS {
        case(cases, format!("certificate of another level {oid}"), "snp.certificate.tcb", 10, |s| {
            let found = s.leaf.extensions.iter_mut().find(|(other, ..)| *other == oid);
            // A DER INTEGER's last byte; 200 has a leading zero, all others are below 128.
            *found.unwrap().2.last_mut().unwrap() ^= 1;
        });
    }
    case(cases, "certificate of another chip", "snp.certificate.hardware-id", 10, |s| {
        let found = s.leaf.extensions.iter_mut().find(|(oid, ..)| *oid == HARDWARE_ID);
        flip(&mut found.unwrap().2, 63, 0);
    });
    case(cases, "certificate of chip and provider", "snp.endorsement", 10, |s| {
        s.leaf.extensions.push((PROVIDER_ID, false, text("provider")));
    });
    case(cases, "certificate with the FMC level of another product", "snp.endorsement", 10, |s| {
        s.leaf.extensions.push(("1.3.6.1.4.1.3704.1.3.9", false, vec![2, 1, 0]));
    });
    case(cases, "certificate of another product", "snp.endorsement", 10, |s| {
        s.leaf.extensions.retain(|(oid, ..)| *oid != PRODUCT_NAME);
        s.leaf.extensions.push((PRODUCT_NAME, false, text("Milan-B0")));
    });
    case(cases, "certificate expired", "snp.validity", 12, |s| s.leaf.validity = (AT - YEAR, AT - 1));
    case(cases, "certificate not yet valid", "snp.validity", 12, |s| s.leaf.validity = (AT + 1, AT + YEAR));
    case(cases, "judged a year too late", "snp.validity", 12, |s| s.at = AT + YEAR + 1);
    case(cases, "judged a year too early", "snp.validity", 12, |s| s.at = AT - YEAR - 1);
    let mut twice = Snp::new(Product::Genoa, 5);
    let extension = twice.leaf.extensions[0].clone();
    twice.leaf.extensions.push(extension);
    cases.push(Case { name: "an extension twice".into(), expect: Expect::Unreadable, found: twice.judge() });
    let mut critical = Snp::new(Product::Genoa, 5);
    critical.leaf.extensions.push(("1.2.3.4", true, vec![5, 0]));
    cases.push(Case { name: "an unknown critical extension".into(), expect: Expect::Unreadable, found: critical.judge() });
}

/// Issuers, roots, revocation.
fn chain(cases: &mut Vec<Case>) {
    case(cases, "certificate signed by the root", "snp.chain", 10, |s| s.signers[0] = 0);
    case(cases, "issuer signed by itself", "snp.chain", 10, |s| s.signers[1] = 1);
    case(cases, "issuer that is no authority", "snp.chain", 10, |s| s.issuer.extensions.clear());
    case(cases, "issuer expired", "snp.validity", 12, |s| s.issuer.validity = (AT - YEAR, AT - 1));
    case(cases, "issuer not yet valid", "snp.validity", 12, |s| s.issuer.validity = (AT + 1, AT + YEAR));
    case(cases, "issuer of another product's root", "snp.root", 10, |s| s.issuer.issuer = "ARK-Nobody".into());
    case(cases, "a root with another key", "snp.root", 10, |s| {
        s.root.spki = sealstone_evidence::testing::snp::rsa_spki(&sealstone_evidence::testing::snp::keys()[1]);
    });
    case(cases, "chip's key under the providers' issuer", "snp.chain", 10, |s| {
        s.leaf.issuer = "SEV-VLEK-Genoa".into();
        s.issuer.subject = "SEV-VLEK-Genoa".into();
    });
    case(cases, "issuer revoked", "snp.revocation", 10, |s| s.list.as_mut().unwrap().revoked = vec![9, 2]);
    case(cases, "list of another issuer", "snp.revocation", 10, |s| s.list.as_mut().unwrap().issuer = "ARK-Milan".into());
    case(cases, "list expired", "snp.validity", 12, |s| s.list.as_mut().unwrap().validity = (AT - YEAR, AT - 1));
    case(cases, "list not yet valid", "snp.validity", 12, |s| s.list.as_mut().unwrap().validity = (AT + 1, AT + YEAR));
    // The vendors' roots don't know these chains, whatever else is right.
    let sample = Snp::new(Product::Genoa, 5);
    let document = super::sample::text(&sample.document(&sample.parts()));
    let found = super::judge(super::Roots::Vendors, &sample.pin, document.as_bytes(), &sample.policy, &sample.binding, sample.at);
    cases.push(Case { name: "under AMD's roots".into(), expect: Expect::Refused("snp.chain", 10), found });
}
