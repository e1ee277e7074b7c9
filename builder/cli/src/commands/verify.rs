//! `sealstone verify`

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ovmf_measure::eventlog::EventLog;
use sealstone_evidence::check::printable;
use sealstone_evidence::snp::Report;
use sealstone_evidence::tdx::{Collateral, Quote};
use sealstone_evidence::tpm::{Attest, AttestationKey, Signature};
use sealstone_evidence::x509::{Certificate, RevocationList};
use sealstone_release::evidence::Evidence;
use sealstone_release::hex::Sha256;
use sealstone_release::pin::{File, Pin};
use sealstone_release::policy::Policy;
use sealstone_release::time::Moment;
use sealstone_release::verdict::{self, Binding, Verdict};

use super::client::Statements;
use super::explain::load;
use super::measure::{emit, print_json};
use crate::args::{JudgeArgs, Verify, VerifyArgs, VerifyPinArgs, VerifySnpArgs, VerifyTdxArgs, VerifyTpmArgs};
use crate::exit::{Failure, Outcome, USAGE};

pub(crate) fn run(args: &VerifyArgs) -> Outcome {
    let (verdict, json) = match &args.what {
        None => (pinned(&args.pinned)?, args.pinned.judge.json),
        Some(Verify::Snp(args)) => (snp(args)?, args.judge.json),
        Some(Verify::Tdx(args)) => (tdx(args)?, args.judge.json),
        Some(Verify::Tpm(args)) => (tpm(args)?, args.judge.json),
    };
    if json {
        print_json(&verdict)?;
    } else {
        emit(verdict.to_text().trim_end())?;
    }
    Ok(verdict.exit_code())
}

/// `verify --pin P --evidence E`
fn pinned(args: &VerifyPinArgs) -> Result<Verdict, Failure> {
    let missing = |what| Failure::new(USAGE, anyhow::anyhow!("{what} is missing"));
    let pin = load(args.release.as_deref().or(args.pin.as_deref()).ok_or_else(|| missing("--pin"))?)?;
    let mut evidence = parse(args.evidence.as_deref().ok_or_else(|| missing("--evidence"))?, Evidence::parse)?;
    let unused = |option: &str| Failure::new(USAGE, anyhow::anyhow!("{option} doesn't go with {} evidence", evidence.tee()));
    if args.vendors.certificates.is_some() && evidence.tee() != "sev-snp" {
        return Err(unused("--certificates"));
    }
    if args.vendors.crl.is_some() && evidence.tee() != "sev-snp" {
        return Err(unused("--crl"));
    }
    if args.vendors.collateral.is_some() && evidence.tee() != "tdx" {
        return Err(unused("--collateral"));
    }
    Statements::read(&args.vendors)?.add(&mut evidence).map_err(Failure::bad_input)?;
    let binding = match &args.nonce {
        None => Binding::Offline,
        Some(text) => Binding::Nonce(
            *text.parse::<Sha256>().map_err(|e| Failure::bad_input(format!("the value of --nonce: {e}")))?.as_bytes(),
        ),
    };
    let (policy, at) = (policy(&args.judge)?, at(&args.judge)?);
    let at = Moment::from_unix(at).ok_or_else(|| Failure::bad_input("the value of --at is after the year 9999"))?;
    if let Some(dir) = &args.image {
        on_hand(&pin, dir)?;
    }
    let verdict = verdict::appraise(&pin, &evidence, &policy, &binding, at);
    match &args.release {
        // That the pin which was read is the released one is `release.contents`.
        Some(dir) => Ok(verdict.and(super::release::judged(dir, None, &policy.release, at)?)),
        None => Ok(verdict),
    }
}

/// Says on standard error which files in `dir` aren't those of the pin. It decides nothing: a file on this machine says
/// nothing on what another one runs, but it may be the reason.
fn on_hand(pin: &Pin, dir: &Path) -> Result<(), Failure> {
    let image = &pin.contents().image;
    let cmdline = File::of(image.cmdline.as_bytes());
    let files = [
        ("vmlinuz", image.kernel),
        ("initrd", image.initrd),
        ("cmdline", cmdline),
        ("uki.efi", image.uki),
        ("disk.raw", image.disk),
    ];
    let mut differing = 0_usize;
    for (name, pinned) in files {
        let path = dir.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("image on hand: {name} isn't there");
                continue;
            }
            Err(error) => return Err(Failure::failed(format!("reading {}: {error}", path.display()))),
        };
        let found = File::of(&bytes);
        if found != pinned {
            differing = differing.saturating_add(1);
            eprintln!(
                "image on hand: {name} differs from the pin: expected {} ({} bytes), found {} ({} bytes)",
                pinned.sha256, pinned.size, found.sha256, found.size
            );
        }
    }
    if differing == 0 {
        eprintln!("image on hand: every file that is there is the pinned one");
    }
    Ok(())
}

fn snp(args: &VerifySnpArgs) -> Result<Verdict, Failure> {
    let report = parse(&args.report, Report::parse)?;
    let endorsement = parse(&args.vcek, |bytes| Certificate::from_pem_or_der("the certificate", bytes))?;
    let chain = match &args.chain {
        Some(file) => parse(file, |bytes| Certificate::list_from_pem("the chain", bytes))?,
        None => Vec::new(),
    };
    let list = args.crl.as_deref().map(|file| parse(file, |bytes| RevocationList::from_der("the revocation list", bytes)));
    let list = list.transpose()?;
    let (policy, at) = (policy(&args.judge)?, at(&args.judge)?);
    Ok(verdict::snp(&report, &endorsement, &chain, list.as_ref(), &policy, at))
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

/// Reads a file and parses it; errors name it. What the file says itself, in an error, stays text.
pub(super) fn parse<T, E: std::fmt::Display>(file: &Path, parser: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, Failure> {
    let bad = |e: &dyn std::fmt::Display| {
        let lines: Vec<String> = e.to_string().lines().map(printable).collect();
        Failure::bad_input(format!("reading {}: {}", file.display(), lines.join("\n")))
    };
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
