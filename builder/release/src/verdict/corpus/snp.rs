//! SEV-SNP: a sample, and damage that breaks signatures.

use data_encoding::BASE64;
use sealstone_evidence::snp::Product;
use sealstone_evidence::testing::snp::{self as make, keys};
use sealstone_evidence::testing::x509::{AT, Issuer, Made, MadeList, YEAR};
use serde_json::{Value, json};

use super::sample::{NONCE, config, launch, pin, text};
use super::{Binding, Case, Expect, Roots, Verdict, flip, judge};
use crate::hex::Sha256;

/// Everything that a case may want to be wrong. Signed when it is judged.
#[derive(Clone)]
pub(super) struct Snp {
    pub(super) product: Product,
    pub(super) pin: String,
    pub(super) policy: String,
    pub(super) config: Value,
    /// The report's 1184 bytes, unsigned.
    pub(super) report: Vec<u8>,
    pub(super) leaf: Made,
    pub(super) issuer: Made,
    pub(super) root: Made,
    /// Whose key signs leaf and issuer: 0 the root's, 1 the issuer's.
    pub(super) signers: [usize; 2],
    pub(super) list: Option<MadeList>,
    pub(super) binding: Binding,
    pub(super) at: u64,
}

/// Bytes that are handed over, after everything is signed.
pub(super) struct Parts {
    pub(super) report: Vec<u8>,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) list: Option<Vec<u8>>,
}

impl Snp {
    pub(super) fn new(product: Product, version: u32) -> Self {
        let config = config();
        let mut report = make::report(product, version);
        report[0x90..0xc0].copy_from_slice(&launch(4));
        let binding = Binding::Nonce(NONCE);
        let digest = Sha256::of(text(&config).as_bytes());
        report[0x50..0x90].copy_from_slice(&binding.report_data(digest.as_bytes()).unwrap());
        let (ark, ask) = (format!("ARK-{product}"), format!("SEV-{product}"));
        let [root, issuer] = keys();
        let list = MadeList { issuer: ark.clone(), validity: (AT - YEAR, AT + YEAR), revoked: Vec::new() };
        Self {
            product,
            pin: pin(),
            policy: "snp:\n  products: [Milan, Genoa, Turin]\n".into(),
            config,
            report,
            leaf: make::vcek(product),
            issuer: make::authority(&ask, &ark, issuer),
            root: make::authority(&ark, &ark, root),
            signers: [1, 0],
            list: Some(list),
            binding,
            at: AT,
        }
    }

    pub(super) fn parts(&self) -> Parts {
        let key = |index: usize| Issuer::Rsa(&keys()[index]);
        Parts {
            report: make::sign(self.report.clone()),
            certificates: vec![self.leaf.der(key(self.signers[0])), self.issuer.der(key(self.signers[1])), self.root.der(key(0))],
            list: self.list.as_ref().map(|list| list.der(key(0))),
        }
    }

    pub(super) fn document(&self, parts: &Parts) -> Value {
        let mut value = json!({
            "certificates": parts.certificates.iter().map(|der| BASE64.encode(der)).collect::<Vec<_>>(),
            "config": text(&self.config), "report": BASE64.encode(&parts.report), "schema": "sealstone/evidence/v1",
            "tee": "sev-snp"
        });
        if let Some(list) = &parts.list {
            value["revocation_list"] = BASE64.encode(list).into();
        }
        value
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::Tests(self.product)
    }

    pub(super) fn judge_parts(&self, parts: &Parts) -> Result<Verdict, String> {
        let document = text(&self.document(parts));
        judge(self.roots(), &self.pin, document.as_bytes(), &self.policy, &self.binding, self.at)
    }

    pub(super) fn judge(&self) -> Result<Verdict, String> {
        self.judge_parts(&self.parts())
    }
}

#[test]
fn samples_of_every_product_and_version_are_accepted() {
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        for version in 2..=5 {
            let verdict = Snp::new(product, version).judge().unwrap();
            assert_eq!(verdict.exit_code(), 0, "{product} {version}: {}", verdict.to_text());
        }
    }
    for vcpus in [1, 2, 3, 255, 512] {
        let mut sample = Snp::new(Product::Genoa, 5);
        sample.report[0x90..0xc0].copy_from_slice(&launch(vcpus));
        let verdict = sample.judge().unwrap();
        assert!(verdict.is_accepted() && verdict.to_text().contains(&format!("with {vcpus} vCPUs")), "{}", verdict.to_text());
    }
    let mut beyond = Snp::new(Product::Genoa, 5);
    beyond.report[0x90..0xc0].copy_from_slice(&launch(513));
    assert_eq!(beyond.judge().unwrap().exit_code(), 11);
}

/// One bit in each part of what is handed over.
pub(super) fn cases() -> Vec<Case> {
    let sample = Snp::new(Product::Genoa, 5);
    let mut cases = Vec::new();
    let mut case = |name: String, expect: Expect, damage: &dyn Fn(&mut Parts)| {
        let mut parts = sample.parts();
        damage(&mut parts);
        cases.push(Case { name, expect, found: sample.judge_parts(&parts) });
    };
    // The report: 32 bytes a step. r and s take 72 bytes each, of which the upper 24 are zero.
    for at in (0..1184).step_by(32) {
        let check = match at {
            0..0x2a0 | 0x2a0..0x2d0 | 0x2e8..0x318 => "snp.signature",
            _ => "snp.report.reserved",
        };
        case(format!("report, bit 3 of byte {at:#x}"), Expect::Refused(check, 10), &|parts| flip(&mut parts.report, at, 3));
    }
    for (which, name) in ["endorsement", "issuer's", "root's"].into_iter().enumerate() {
        let length = sample.parts().certificates[which].len();
        let check = if which == 2 { "snp.root" } else { "snp.chain" };
        for at in (0..length).step_by(length / 12) {
            case(format!("{name} certificate, byte {at}"), Expect::Either(check, 10), &|parts| {
                flip(&mut parts.certificates[which], at, 0);
            });
        }
    }
    let length = sample.parts().list.map_or(0, |list| list.len());
    for at in (0..length).step_by(length / 8) {
        case(format!("revocation list, byte {at}"), Expect::Either("snp.revocation", 10), &|parts| {
            flip(parts.list.as_mut().unwrap(), at, 0);
        });
    }
    case("report cut".into(), Expect::Unreadable, &|parts| parts.report.truncate(1183));
    case("report empty".into(), Expect::Unreadable, &|parts| parts.report.clear());
    case("report, one byte more".into(), Expect::Unreadable, &|parts| parts.report.push(0));
    case("report twice".into(), Expect::Unreadable, &|parts| parts.report = parts.report.repeat(2));
    case("report with a header of 32 bytes".into(), Expect::Unreadable, &|parts| {
        parts.report = [&[0; 32], parts.report.as_slice()].concat();
    });
    case("endorsement certificate cut".into(), Expect::Unreadable, &|parts| {
        parts.certificates[0].pop();
    });
    case("endorsement certificate, one byte more".into(), Expect::Unreadable, &|parts| parts.certificates[0].push(0));
    case("endorsement certificate twice".into(), Expect::Unreadable, &|parts| {
        let leaf = parts.certificates[0].clone();
        parts.certificates.push(leaf);
    });
    case("no certificate".into(), Expect::Refused("snp.signature", 10), &|parts| parts.certificates.clear());
    case("no endorsement certificate".into(), Expect::Refused("snp.chain", 10), &|parts| {
        parts.certificates.remove(0);
    });
    case("too many certificates".into(), Expect::Unreadable, &|parts| {
        parts.certificates.extend(vec![parts.certificates[1].clone(); 8]);
    });
    case("revocation list cut".into(), Expect::Unreadable, &|parts| {
        parts.list.as_mut().unwrap().pop();
    });
    case("signature of zeros".into(), Expect::Refused("snp.signature", 10), &|parts| parts.report[0x2a0..].fill(0));
    case("another report's signature".into(), Expect::Refused("snp.signature", 10), &|parts| {
        let mut other = sample.clone();
        other.report[0x50] ^= 1;
        parts.report[0x2a0..].copy_from_slice(&other.parts().report[0x2a0..]);
    });
    cases
}
