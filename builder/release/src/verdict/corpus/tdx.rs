//! TDX: a sample, and damage that breaks signatures.

use data_encoding::BASE64;
use sealstone_evidence::snp::Product;
use sealstone_evidence::testing::tdx::MadeTdx;
use sealstone_evidence::testing::x509::AT;
use serde_json::{Value, json};

use super::sample::{NONCE, config, pin, td_registers, text};
use super::{Binding, Case, Expect, Roots, Verdict, flip, judge};
use crate::hex::Sha256;

/// Where registers stand in the body.
pub(super) const MRTD: usize = 136;
pub(super) const RTMR: usize = 328;
pub(super) const REPORT_DATA: usize = 520;

/// Everything that a case may want to be wrong. Signed when it is judged.
#[derive(Clone)]
pub(super) struct Tdx {
    pub(super) pin: String,
    pub(super) policy: String,
    pub(super) config: Value,
    pub(super) made: MadeTdx,
    pub(super) binding: Binding,
    pub(super) at: u64,
}

impl Tdx {
    pub(super) fn new(version: u16) -> Self {
        let config = config();
        let mut made = MadeTdx::new(version);
        let [mrtd, rtmr @ ..] = td_registers();
        made.body[MRTD..MRTD + 48].copy_from_slice(&mrtd);
        made.body[RTMR..RTMR + 192].copy_from_slice(&rtmr.concat());
        let binding = Binding::Nonce(NONCE);
        let digest = Sha256::of(text(&config).as_bytes());
        made.body[REPORT_DATA..REPORT_DATA + 64].copy_from_slice(&binding.report_data(digest.as_bytes()).unwrap());
        Self { pin: pin(), policy: "tdx:\n  min_evaluation_number: 17\n".into(), config, made, binding, at: AT }
    }

    pub(super) fn document(&self, quote: &[u8], collateral: Option<&str>) -> Value {
        let mut value = json!({
            "config": text(&self.config), "event_log": "", "quote": BASE64.encode(quote), "schema": "sealstone/evidence/v1",
            "tee": "tdx"
        });
        if let Some(collateral) = collateral {
            value["collateral"] = collateral.into();
        }
        value
    }

    pub(super) fn judge_parts(&self, quote: &[u8], collateral: Option<&str>) -> Result<Verdict, String> {
        let document = text(&self.document(quote, collateral));
        // The product is SNP's; any will do.
        let roots = Roots::Tests(Product::Genoa);
        judge(roots, &self.pin, document.as_bytes(), &self.policy, &self.binding, self.at)
    }

    pub(super) fn judge(&self) -> Result<Verdict, String> {
        self.judge_parts(&self.made.quote(), Some(&self.made.collateral().to_string()))
    }
}

#[test]
fn samples_of_both_versions_are_accepted() {
    for version in [4, 5] {
        let verdict = Tdx::new(version).judge().unwrap();
        assert_eq!(verdict.exit_code(), 0, "version {version}: {}", verdict.to_text());
    }
}

/// One bit in each part of the quote and of the collateral.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = quotes();
    collateral(&mut cases);
    cases
}

fn quotes() -> Vec<Case> {
    let sample = Tdx::new(4);
    let good = sample.made.collateral().to_string();
    let mut cases = Vec::new();
    let mut case = |name: String, expect: Expect, damage: &dyn Fn(&mut Vec<u8>)| {
        let mut quote = sample.made.quote();
        damage(&mut quote);
        cases.push(Case { name, expect, found: sample.judge_parts(&quote, Some(&good)) });
    };
    let signed = 48 + 584;
    for at in (0..signed).step_by(24) {
        let expect = if at == 0 { Expect::Either("tdx.signature", 10) } else { Expect::Refused("tdx.signature", 10) };
        case(format!("quote, byte {at}"), expect, &|quote| flip(quote, at, 0));
    }
    // What follows: length, signature, attestation key, type and length, report of the enclave, its signature, length and
    // data that it authenticates, type and length, certificates.
    let frame = [(0, "length"), (132, "type of the certification data"), (134, "its length")];
    for (at, name) in frame {
        case(format!("quote, {name}"), Expect::Unreadable, &|quote| flip(quote, signed + at, 0));
    }
    for at in [4, 35, 36, 67] {
        case(format!("quote, signature, byte {at}"), Expect::Refused("tdx.signature", 10), &|quote| flip(quote, signed + at, 0));
    }
    for at in [68, 99, 100, 131] {
        case(format!("quote, attestation key, byte {at}"), Expect::Refused("tdx.qe.binding", 10), &|quote| {
            flip(quote, signed + at, 0);
        });
    }
    let report = signed + 138;
    for at in (0..384).step_by(32) {
        case(format!("enclave's report, byte {at}"), Expect::Refused("tdx.qe.signature", 10), &|quote| {
            flip(quote, report + at, 0)
        });
    }
    for at in [384, 447] {
        case(format!("enclave's signature, byte {at}"), Expect::Refused("tdx.qe.signature", 10), &|quote| {
            flip(quote, report + at, 0);
        });
    }
    for at in [450, 481] {
        case(format!("enclave's data, byte {at}"), Expect::Refused("tdx.qe.binding", 10), &|quote| flip(quote, report + at, 0));
    }
    let certificates = report + 488;
    let length = sample.made.quote().len() - certificates;
    for at in (0..length).step_by(length / 24) {
        case(format!("quote's certificates, byte {at}"), Expect::Either("tdx.chain.pck", 10), &|quote| {
            flip(quote, certificates + at, 0);
        });
    }
    for version in [0_u8, 3, 6] {
        case(format!("quote of version {version}"), Expect::Unreadable, &|quote| quote[0] = version);
    }
    case("quote cut".into(), Expect::Unreadable, &|quote| quote.truncate(quote.len() - 1));
    case("quote cut within the body".into(), Expect::Unreadable, &|quote| quote.truncate(300));
    case("quote empty".into(), Expect::Unreadable, &|quote| quote.clear());
    case("quote with something behind".into(), Expect::Unreadable, &|quote| quote.push(1));
    case("quote twice".into(), Expect::Unreadable, &|quote| *quote = quote.repeat(2));
    cases
}

fn collateral(cases: &mut Vec<Case>) {
    let sample = Tdx::new(4);
    let quote = sample.made.quote();
    let good = sample.made.collateral();
    let mut case = |name: String, expect: Expect, damage: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        damage(&mut value);
        cases.push(Case { name, expect, found: sample.judge_parts(&quote, Some(&value.to_string())) });
    };
    // One character of each text, at several places: a certificate, a list, a document, a signature.
    let regions = [
        ("pck_crl_issuer_chain", "tdx.chain.crl"),
        ("tcb_info_issuer_chain", "tdx.chain.tcb-info"),
        ("qe_identity_issuer_chain", "tdx.chain.qe-identity"),
        ("root_ca_crl", "tdx.crl"),
        ("pck_crl", "tdx.crl"),
        ("tcb_info", "tdx.tcb-info.signature"),
        ("tcb_info_signature", "tdx.tcb-info.signature"),
        ("qe_identity", "tdx.qe-identity.signature"),
        ("qe_identity_signature", "tdx.qe-identity.signature"),
    ];
    for (member, check) in regions {
        let length = good[member].as_str().unwrap().len();
        for at in (0..length).step_by((length / 6).max(1)) {
            case(format!("{member}, character {at}"), Expect::Either(check, 10), &|value| {
                let mut bytes = value[member].as_str().unwrap().as_bytes().to_vec();
                flip(&mut bytes, at, 0);
                value[member] = String::from_utf8(bytes).unwrap().into();
            });
        }
        case(format!("without {member}"), Expect::Unreadable, &|value| {
            value.as_object_mut().unwrap().remove(member);
        });
    }
    case("unknown member".into(), Expect::Unreadable, &|value| value["more"] = "".into());
    case("collateral that is a list".into(), Expect::Unreadable, &|value| *value = json!([value.clone()]));
    for (member, other) in [("tcb_info", "qe_identity"), ("root_ca_crl", "tcb_info_signature")] {
        case(format!("{other} in the place of {member}"), Expect::Unreadable, &|value| value[member] = value[other].clone());
    }
    case("the lists swapped".into(), Expect::Refused("tdx.crl", 10), &|value| {
        let list = value["pck_crl"].take();
        value["pck_crl"] = std::mem::replace(&mut value["root_ca_crl"], list);
    });
    case("a chain the wrong way round".into(), Expect::Refused("tdx.chain.tcb-info", 10), &|value| {
        let text = value["tcb_info_issuer_chain"].as_str().unwrap().to_owned();
        let (first, second) = text.split_at(text.rfind("-----BEGIN").unwrap());
        value["tcb_info_issuer_chain"] = format!("{second}{first}").into();
    });
    let text = good.to_string();
    let found = sample.judge_parts(&quote, Some(&format!("{text}{{}}")));
    cases.push(Case { name: "something behind the collateral".into(), expect: Expect::Unreadable, found });
    let twice = format!("{{\"pck_crl\":\"00\",{}", text.strip_prefix('{').unwrap());
    let found = sample.judge_parts(&quote, Some(&twice));
    cases.push(Case { name: "a member of the collateral twice".into(), expect: Expect::Unreadable, found });
    let found = sample.judge_parts(&quote, None);
    cases.push(Case { name: "no collateral".into(), expect: Expect::Refused("tdx.chain.pck", 10), found });
    let other = Tdx::new(5).made.quote();
    let found = sample.judge_parts(&other[..other.len() - 1], Some(&text));
    cases.push(Case { name: "quote of version 5, cut".into(), expect: Expect::Unreadable, found });
}
