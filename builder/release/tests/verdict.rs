//! Verdicts on evidence recorded on real machines, under policies of every kind.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, reason = "tests read vectors")]

use std::path::PathBuf;

use sealstone_evidence::snp::Report;
use sealstone_evidence::tdx::{Collateral, Quote};
use sealstone_evidence::time;
use sealstone_evidence::x509::Certificate;
use sealstone_release::policy::Policy;
use sealstone_release::verdict::{self, Verdict};

/// Contents of a file of the vectors. They aren't part of the project: where the folder is absent, tests say so and pass.
fn vector(test: &str, name: &str) -> Option<Vec<u8>> {
    let folder = match std::env::var_os("SEALSTONE_VECTORS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    if !folder.is_dir() {
        println!("SKIPPED {test}: there are no vectors at {}", folder.display());
        return None;
    }
    Some(std::fs::read(folder.join("evidence").join(name)).expect("the vectors are complete"))
}

fn policy(text: &str) -> Policy {
    Policy::parse("test", &format!("schema: sealstone/policy/v1\n{text}")).unwrap()
}

fn refused(verdict: &Verdict) -> (u8, Vec<&'static str>) {
    let ids = verdict.checks().iter().filter(|check| check.refused()).map(|check| check.id).collect();
    (verdict.exit_code(), ids)
}

struct Snp {
    report: Vec<u8>,
    vcek: Certificate,
    chain: Vec<Certificate>,
}

impl Snp {
    fn load(test: &str) -> Option<Self> {
        Some(Self {
            report: vector(test, "snp/attestation.bin")?,
            vcek: Certificate::from_der("VCEK", &vector(test, "snp/vcek.testcer")?).unwrap(),
            chain: Certificate::list_from_pem("chain", &vector(test, "snp/milan.testcer")?).unwrap(),
        })
    }

    fn judge(&self, text: &str) -> (u8, Vec<&'static str>) {
        let report = Report::parse(&self.report).unwrap();
        refused(&verdict::snp(&report, &self.vcek, &self.chain, None, &policy(text), 1_704_067_200))
    }
}

/// What the recorded Milan report needs to be accepted.
const LENIENT: &str = "snp:\n  products: [Milan]\n  allow_debug: true\n";

#[test]
fn the_default_policy_refuses_a_debugged_guest_on_milan() {
    let Some(snp) = Snp::load("the_default_policy_refuses_a_debugged_guest_on_milan") else { return };
    assert_eq!(snp.judge(""), (12, vec!["snp.policy.debug", "snp.policy.product"]));
    assert_eq!(snp.judge(LENIENT), (0, vec![]));
}

#[test]
fn each_field_of_the_snp_policy_decides() {
    let Some(snp) = Snp::load("each_field_of_the_snp_policy_decides") else { return };
    let report = Report::parse(&snp.report).unwrap();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[0] ^= 1;
        hex(&bytes)
    };
    let pinned: [(&str, &str, &[u8], u8, bool); 6] = [
        ("measurements", "snp.measurement", &report.measurement, 11, true),
        ("report_data", "snp.report-data", &report.report_data, 12, false),
        ("host_data", "snp.host-data", &report.host_data, 12, false),
        ("id_key_digests", "snp.id-key", &report.id_key_digest, 12, true),
        ("author_key_digests", "snp.author-key", &report.author_key_digest, 12, true),
        ("chip_ids", "snp.chip-id", &report.chip_id, 12, true),
    ];
    for (field, id, value, code, is_list) in pinned {
        let say = |value: String| {
            if is_list { format!("{LENIENT}  {field}: ['{value}']\n") } else { format!("{LENIENT}  {field}: '{value}'\n") }
        };
        assert_eq!(snp.judge(&say(hex(value))), (0, vec![]), "{field}");
        assert_eq!(snp.judge(&say(flipped(value))), (code, vec![id]), "{field} off by one bit");
        if is_list {
            assert_eq!(snp.judge(&format!("{LENIENT}  {field}: []\n")), (code, vec![id]), "{field} empty");
        }
    }
    let switches = [
        ("allow_smt: false", "snp.policy.smt"),
        ("min_abi: [0, 1]", "snp.policy.abi"),
        ("min_tcb: {bootloader: 3}", "snp.policy.tcb"),
        ("min_tcb: {tee: 1}", "snp.policy.tcb"),
        ("min_tcb: {snp: 6}", "snp.policy.tcb"),
        ("min_tcb: {microcode: 69}", "snp.policy.tcb"),
        ("min_tcb: {fmc: 1}", "snp.policy.tcb"),
    ];
    for (line, id) in switches {
        assert_eq!(snp.judge(&format!("{LENIENT}  {line}\n")), (12, vec![id]), "{line}");
    }
    assert_eq!(snp.judge(&format!("{LENIENT}  min_tcb: {{bootloader: 2, snp: 5, microcode: 68}}\n")), (0, vec![]));
}

/// The policy's bits in a report can't be altered without breaking its signature; that the policy sees them is shown by
/// its check refusing *too*.
#[test]
fn each_bit_of_the_guest_policy_is_looked_at() {
    let Some(mut snp) = Snp::load("each_bit_of_the_guest_policy_is_looked_at") else { return };
    let original = snp.report.clone();
    for bit in 0..64 {
        snp.report = original.clone();
        snp.report[8 + bit / 8] ^= 1 << (bit % 8);
        let (code, ids) = snp.judge("snp:\n  products: [Milan]\n  min_abi: [0, 0]\n");
        assert_eq!(code, 10, "bit {bit}");
        assert!(ids.contains(&"snp.signature"));
        assert_eq!(ids.contains(&"snp.policy.reserved"), bit == 17 || bit >= 26, "bit {bit}");
        assert_eq!(ids.contains(&"snp.policy.migration"), bit == 18, "bit {bit}");
        assert_eq!(ids.contains(&"snp.policy.debug"), bit != 19, "bit {bit}: the recorded report allows debugging");
    }
    for (value, refuses) in [(0_u32, false), (1, true), (0xffff_ffff, true)] {
        snp.report = original.clone();
        snp.report[0x30..0x34].copy_from_slice(&value.to_le_bytes());
        assert_eq!(snp.judge(LENIENT).1.contains(&"snp.policy.vmpl"), refuses, "vmpl {value}");
    }
}

struct Tdx {
    quote: Quote,
    collateral: Collateral,
    at: u64,
}

impl Tdx {
    fn load(test: &str, name: &str, at: &str) -> Option<Self> {
        Some(Self {
            quote: Quote::parse(&vector(test, name)?).unwrap(),
            collateral: Collateral::parse(&vector(test, &format!("{name}_collateral.json"))?).unwrap(),
            at: time::parse(at).unwrap(),
        })
    }

    fn judge(&self, text: &str) -> (u8, Vec<&'static str>) {
        refused(&verdict::tdx(&self.quote, &self.collateral, &policy(text), self.at))
    }
}

#[test]
fn each_field_of_the_tdx_policy_decides() {
    let Some(tdx) = Tdx::load("each_field_of_the_tdx_policy_decides", "tdx/tdx_quote", "2025-06-20T00:00:00Z") else { return };
    assert_eq!(tdx.judge(""), (0, vec![]));
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 0x80;
        hex(&bytes)
    };
    let body = &tdx.quote.body;
    let pinned: [(&str, &str, &[u8], u8, bool); 10] = [
        ("mr_td", "tdx.mrtd", &body.mr_td, 11, true),
        ("rtmr0", "tdx.rtmr0", &body.rtmr[0], 11, true),
        ("rtmr1", "tdx.rtmr1", &body.rtmr[1], 11, true),
        ("rtmr2", "tdx.rtmr2", &body.rtmr[2], 11, true),
        ("rtmr3", "tdx.rtmr3", &body.rtmr[3], 11, true),
        ("mr_seam", "tdx.policy.mrseam", &body.mr_seam, 12, true),
        ("mr_config_id", "tdx.mrconfigid", &body.mr_config_id, 12, false),
        ("mr_owner", "tdx.mrowner", &body.mr_owner, 12, false),
        ("mr_owner_config", "tdx.mrownerconfig", &body.mr_owner_config, 12, false),
        ("report_data", "tdx.report-data", &body.report_data, 12, false),
    ];
    for (field, id, value, code, is_list) in pinned {
        let say = |value: String| {
            if is_list { format!("tdx:\n  {field}: ['{value}']\n") } else { format!("tdx:\n  {field}: '{value}'\n") }
        };
        assert_eq!(tdx.judge(&say(hex(value))), (0, vec![]), "{field}");
        assert_eq!(tdx.judge(&say(flipped(value))), (code, vec![id]), "{field} off by one bit");
    }
    let switches = [
        ("accept_status: [SWHardeningNeeded]", "tdx.policy.tcb-status"),
        ("min_evaluation_number: 18", "tdx.policy.evaluation-number"),
        ("min_tcb_date: '2030-01-01T00:00:00Z'", "tdx.policy.tcb-date"),
    ];
    for (line, id) in switches {
        assert_eq!(tdx.judge(&format!("tdx:\n  {line}\n")), (12, vec![id]), "{line}");
    }
}

/// Attributes and XFAM, bit by bit: the signature breaks, and the policy refuses too.
#[test]
fn each_attribute_is_looked_at() {
    let test = "each_attribute_is_looked_at";
    let Some(tdx) = Tdx::load(test, "tdx/tdx_quote", "2025-06-20T00:00:00Z") else { return };
    let Some(original) = vector(test, "tdx/tdx_quote") else { return };
    for bit in 0..128 {
        let mut quote = original.clone();
        quote[168 + bit / 8] ^= 1 << (bit % 8);
        let damaged = Tdx { quote: Quote::parse(&quote).unwrap(), collateral: tdx.collateral.clone(), at: tdx.at };
        let (code, ids) = damaged.judge("");
        assert_eq!(code, 10, "bit {bit}");
        let policy: Vec<_> = ids.into_iter().filter(|id| id.starts_with("tdx.policy")).collect();
        let expected: &[&str] = match bit {
            0 => &["tdx.policy.debug"],
            1..=7 => &["tdx.policy.reserved", "tdx.policy.debug"],
            28 => &["tdx.policy.sept-ve-disable"],
            29 => &["tdx.policy.migration"],
            30 | 31 => &[],
            63 => &["tdx.policy.perfmon"],
            8..=62 => &["tdx.policy.reserved"],
            // XFAM: x87 and SSE can't be off, bits with a meaning may be either way.
            64 | 65 => &["tdx.policy.xfam"],
            66 | 69..=73 | 75 | 76 | 78 | 79 | 81..=83 => &[],
            _ => &["tdx.policy.xfam"],
        };
        assert_eq!(policy, expected, "bit {bit}");
    }
}

#[test]
fn an_out_of_date_platform_is_the_policys_matter() {
    let test = "an_out_of_date_platform_is_the_policys_matter";
    let Some(tdx) = Tdx::load(test, "tdx/tdx_quote_outdated", "2026-03-01T00:00:00Z") else { return };
    assert_eq!(tdx.judge(""), (12, vec!["tdx.policy.tcb-status"]));
    assert_eq!(tdx.judge("tdx:\n  accept_status: [UpToDate, OutOfDate, Unlisted]\n"), (0, vec![]));
}

#[test]
fn a_verdict_in_json_says_everything() {
    let Some(snp) = Snp::load("a_verdict_in_json_says_everything") else { return };
    let report = Report::parse(&snp.report).unwrap();
    let verdict = verdict::snp(&report, &snp.vcek, &snp.chain, None, &Policy::default(), 1_704_067_200);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["schema"], "sealstone/verdict/v1");
    assert_eq!((&json["accepted"], &json["exit_code"], &json["tee"]), (&false.into(), &12.into(), &"sev-snp".into()));
    assert_eq!(json["checks"].as_array().unwrap().len(), verdict.checks().len());
    assert_eq!(json["checks"][0]["outcome"], "refused");
    assert_eq!(json["checks"][0]["refusal"], "policy");
    assert_eq!(json["checks"][0]["exit_code"], 12);
    assert!(json["checks"][0]["why"].as_str().unwrap().contains("memory"));
}
