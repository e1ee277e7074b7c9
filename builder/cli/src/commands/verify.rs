//! `sealstone verify`

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ovmf_measure::eventlog::EventLog;
use sealstone_evidence::snp::Report;
use sealstone_evidence::tdx::{Collateral, Quote};
use sealstone_evidence::tpm::{Attest, AttestationKey, Signature};
use sealstone_evidence::x509::Certificate;
use sealstone_release::policy::Policy;
use sealstone_release::verdict::{self, Verdict};

use crate::args::{JudgeArgs, Verify, VerifyArgs, VerifySnpArgs, VerifyTdxArgs, VerifyTpmArgs};
use crate::exit::{Failure, Outcome};

pub(crate) fn run(args: &VerifyArgs) -> Outcome {
    let (verdict, json) = match &args.what {
        Verify::Snp(args) => (snp(args)?, args.judge.json),
        Verify::Tdx(args) => (tdx(args)?, args.judge.json),
        Verify::Tpm(args) => (tpm(args)?, args.judge.json),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&verdict).map_err(Failure::failed)?);
    } else {
        print!("{}", verdict.to_text());
    }
    Ok(verdict.exit_code())
}

fn snp(args: &VerifySnpArgs) -> Result<Verdict, Failure> {
    let report = parse(&args.report, Report::parse)?;
    let endorsement = parse(&args.vcek, |bytes| Certificate::from_pem_or_der("the certificate", bytes))?;
    let chain = match &args.chain {
        Some(file) => parse(file, |bytes| Certificate::list_from_pem("the chain", bytes))?,
        None => Vec::new(),
    };
    let (policy, at) = (policy(&args.judge)?, at(&args.judge)?);
    Ok(verdict::snp(&report, &endorsement, &chain, &policy, at))
}

fn tdx(args: &VerifyTdxArgs) -> Result<Verdict, Failure> {
    let quote = parse(&args.quote, Quote::parse)?;
    let collateral = parse(&args.collateral, Collateral::parse)?;
    let (policy, at) = (policy(&args.judge)?, at(&args.judge)?);
    Ok(verdict::tdx(&quote, &collateral, &policy, at))
}

fn tpm(args: &VerifyTpmArgs) -> Result<Verdict, Failure> {
    let quote = parse(&args.quote, Attest::parse)?;
    let signature = parse(&args.sig, Signature::parse)?;
    let key = parse(&args.ak, AttestationKey::parse)?;
    let log = args.eventlog.as_deref().map(|file| parse(file, EventLog::parse)).transpose()?;
    let (policy, at) = (policy(&args.judge)?, at(&args.judge)?);
    verdict::tpm(&quote, &signature, &key, log.as_ref(), &policy, at)
        .map_err(|e| Failure::bad_input(format!("replaying the event log: {e}")))
}

/// Reads a file and parses it; errors name it.
fn parse<T, E: std::fmt::Display>(file: &Path, parser: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("reading {}: {e}", file.display()));
    let bytes = std::fs::read(file).map_err(|e| bad(&e))?;
    parser(&bytes).map_err(|e| bad(&e))
}

fn policy(args: &JudgeArgs) -> Result<Policy, Failure> {
    let Some(file) = &args.policy else {
        return Ok(Policy::default());
    };
    parse(file, |bytes| {
        let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
        Policy::parse(&file.display().to_string(), text).map_err(|e| e.to_string())
    })
}

fn at(args: &JudgeArgs) -> Result<u64, Failure> {
    match args.at {
        Some(at) => Ok(at),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs())
            .map_err(|_| Failure::failed("this machine's clock is before 1970; give the time with --at")),
    }
}
