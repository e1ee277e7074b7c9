//! A report of a Milan machine. Its firmware let the guest be debugged, which is policy's matter: it is genuine.

use sealstone_evidence::check::{Check, Outcome, Refusal};
use sealstone_evidence::snp::{self, Product, REPORT_LENGTH, Report, ReportError};
use sealstone_evidence::x509::Certificate;

use crate::vectors;

/// 2024-01-01, within the validity of all three certificates.
const AT: u64 = 1_704_067_200;

struct Sample {
    report: Vec<u8>,
    vcek: Vec<u8>,
    chain: Vec<u8>,
}

fn sample(test: &str) -> Option<Sample> {
    Some(Sample {
        report: vectors::read(test, "snp/attestation.bin")?,
        vcek: vectors::read(test, "snp/vcek.testcer")?,
        chain: vectors::read(test, "snp/milan.testcer")?,
    })
}

/// What the command line would do: an error to parse, or the checks.
fn verify(report: &[u8], vcek: &[u8], chain: &[u8], at: u64) -> Result<Vec<Check>, String> {
    let report = Report::parse(report).map_err(|e| e.to_string())?;
    let vcek = Certificate::from_pem_or_der("VCEK", vcek).map_err(|e| e.to_string())?;
    let chain = if chain.is_empty() { Ok(Vec::new()) } else { Certificate::list_from_pem("chain", chain) };
    Ok(snp::verify(&report, &vcek, &chain.map_err(|e| e.to_string())?, None, at).checks)
}

fn refused(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| check.outcome != Outcome::Passed).map(|check| check.id).collect()
}

#[test]
fn the_recorded_report_is_genuine() {
    let Some(s) = sample("the_recorded_report_is_genuine") else { return };
    for chain in [s.chain.as_slice(), &[]] {
        let report = Report::parse(&s.report).unwrap();
        let vcek = Certificate::from_der("VCEK", &s.vcek).unwrap();
        let list = if chain.is_empty() { Vec::new() } else { Certificate::list_from_pem("chain", chain).unwrap() };
        let result = snp::verify(&report, &vcek, &list, None, AT);
        assert_eq!(refused(&result.checks), [""; 0], "{:#?}", result.checks);
        assert_eq!(result.checks.iter().map(|check| check.id).collect::<Vec<_>>(), snp::MANDATORY);
        assert_eq!(result.product, Some(Product::Milan));
        assert_eq!(result.endorsement.unwrap().product_name, "Milan-B0");
        assert!(report.policy.debug() && report.policy.smt() && report.policy.reserved_are_right());
        assert_eq!(report.reported_tcb.decode(Product::Milan).to_string(), "bootloader 2, tee 0, snp 5, microcode 68");
    }
}

/// One bit in each region of the report; what must refuse, at the least.
#[test]
fn a_damaged_report_is_refused() {
    let Some(s) = sample("a_damaged_report_is_refused") else { return };
    let mut table: Vec<(usize, u8, Vec<&str>)> = vec![
        (0x00, 0x80, vec!["snp.report.version", "snp.signature", "snp.product"]),
        (0x34, 0x02, vec!["snp.signature"]),
        (0x40, 0x40, vec!["snp.report.reserved", "snp.signature"]),
        (0x41, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x48, 0x02, vec!["snp.signature", "snp.certificate.hardware-id"]),
        (0x48, 0x04, vec!["snp.signing-key", "snp.signature"]),
        (0x48, 0x1c, vec!["snp.signing-key", "snp.signature"]),
        (0x48, 0x20, vec!["snp.report.reserved", "snp.signature"]),
        (0x4c, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x188, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x18b, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x1eb, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x1ef, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x1f8, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x208, 0x01, vec!["snp.report.reserved", "snp.signature"]),
        (0x29f, 0x80, vec!["snp.report.reserved", "snp.signature"]),
        (0x2d0, 0x01, vec!["snp.report.reserved"]),
        (0x318, 0x01, vec!["snp.report.reserved"]),
        (0x49f, 0x80, vec!["snp.report.reserved"]),
    ];
    table.extend((0x180..0x188).map(|at| (at, 0x10, vec!["snp.signature", "snp.certificate.tcb"])));
    table.extend([0x1a0, 0x1df].map(|at| (at, 0x01, vec!["snp.signature", "snp.certificate.hardware-id"])));
    let plain = [
        0x04, 0x08, 0x0a, 0x10, 0x20, 0x30, 0x38, 0x3f, 0x50, 0x8f, 0x90, 0xbf, 0xc0, 0xe0, 0x110, 0x140, 0x160, 0x1e0, 0x1e8,
        0x1ec, 0x1f0, 0x2a0, 0x2cf, 0x2e8, 0x317,
    ];
    table.extend(plain.map(|at| (at, 0x01, vec!["snp.signature"])));
    for (at, bits, expected) in table {
        let mut report = s.report.clone();
        report[at] ^= bits;
        let checks = verify(&report, &s.vcek, &s.chain, AT).unwrap();
        assert_eq!(refused(&checks), expected, "byte {at:#x}");
        assert!(checks.iter().all(|check| !check.refused() || check.outcome == Outcome::Refused(Refusal::Signature)));
    }
}

#[test]
fn a_report_of_another_length_is_not_read() {
    let Some(s) = sample("a_report_of_another_length_is_not_read") else { return };
    for length in [0, 1, 0x2a0, REPORT_LENGTH - 1, REPORT_LENGTH + 1, 2 * REPORT_LENGTH] {
        let mut report = s.report.clone();
        report.resize(length, 0);
        assert_eq!(Report::parse(&report), Err(ReportError::Length(length)));
    }
}

/// Every byte of the VCEK's certificate matters, whether the parser or a check finds the damage.
#[test]
fn a_damaged_certificate_is_refused() {
    let Some(s) = sample("a_damaged_certificate_is_refused") else { return };
    for at in (0..s.vcek.len()).step_by(7) {
        let mut vcek = s.vcek.clone();
        vcek[at] ^= 0x01;
        if let Ok(checks) = verify(&s.report, &vcek, &s.chain, AT) {
            let found = refused(&checks);
            assert!(found.contains(&"snp.chain"), "byte {at:#x}: {found:?}");
        }
    }
    for length in [0, 1, 100, s.vcek.len() - 1] {
        assert!(verify(&s.report, &s.vcek[..length], &s.chain, AT).is_err(), "{length}");
    }
    assert!(verify(&s.report, &[s.vcek.as_slice(), &[0]].concat(), &s.chain, AT).is_err(), "trailing byte");
}

#[test]
fn a_damaged_chain_is_refused() {
    let Some(s) = sample("a_damaged_chain_is_refused") else { return };
    for at in (40..s.chain.len()).step_by(97) {
        let mut chain = s.chain.clone();
        chain[at] = if chain[at] == b'A' { b'B' } else { b'A' };
        if let Ok(checks) = verify(&s.report, &s.vcek, &chain, AT) {
            let found = refused(&checks);
            assert!(found.iter().any(|id| ["snp.chain", "snp.root"].contains(id)), "byte {at}: {found:?}");
        }
    }
}

#[test]
fn the_wrong_chain_is_refused() {
    let Some(s) = sample("the_wrong_chain_is_refused") else { return };
    let vcek = Certificate::from_der("VCEK", &s.vcek).unwrap();
    let list = Certificate::list_from_pem("chain", &s.chain).unwrap();
    let report = Report::parse(&s.report).unwrap();
    // The VCEK's own certificate is neither the issuer nor the root; nor is a root an endorsement key.
    let extra = [list.clone(), vec![vcek.clone()]].concat();
    assert!(refused(&snp::verify(&report, &vcek, &extra, None, AT).checks).contains(&"snp.root"));
    let found = refused(&snp::verify(&report, &list[1], &list, None, AT).checks);
    assert!(found.contains(&"snp.endorsement") && found.contains(&"snp.signature"), "{found:?}");
}

#[test]
fn validity_is_at_the_given_time() {
    let Some(s) = sample("validity_is_at_the_given_time") else { return };
    let (start, end) = Certificate::from_der("VCEK", &s.vcek).unwrap().validity();
    for (at, valid) in [(0, false), (start - 1, false), (start, true), (end, true), (end + 1, false), (u64::MAX, false)] {
        let checks = verify(&s.report, &s.vcek, &s.chain, at).unwrap();
        let expected: &[&str] = if valid { &[] } else { &["snp.validity"] };
        assert_eq!(refused(&checks), expected, "{at}");
        assert!(checks.iter().all(|c| !c.refused() || c.outcome == Outcome::Refused(Refusal::Policy)));
    }
}
