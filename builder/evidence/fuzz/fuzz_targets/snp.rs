//! Any bytes as a report, followed by a certificate; nothing that can be read may be accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_evidence::snp::{REPORT_LENGTH, Report, verify};
use sealstone_evidence::x509::Certificate;

fuzz_target!(|data: &[u8]| {
    let (report, certificate) = data.split_at(data.len().min(REPORT_LENGTH));
    if let Ok(report) = Report::parse(report)
        && let Ok(certificate) = Certificate::from_pem_or_der("certificate", certificate)
    {
        let result = verify(&report, &certificate, std::slice::from_ref(&certificate), None, 1_700_000_000);
        assert!(result.checks.iter().any(|check| check.refused()), "the fuzzer has forged a report");
    }
});
