//! `sealstone release`

mod log;
mod notice;
mod sigstore;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sealstone_pipeline::folder as output;
use sealstone_publish::log::LogFolder;
use sealstone_publish::{PublishError, folder, keys};
use sealstone_release::dsse::Envelope;
use sealstone_release::folder::cut::{self, Parts};
use sealstone_release::folder::judge::{self, Case};
use sealstone_release::folder::{DOCUMENTS, Files, PIN, STATEMENT};
use sealstone_release::key::{KeyKind, SigningKey, VerifierKey};
use sealstone_release::pin::{Pin, Validity};
use sealstone_release::policy::{Policy, ReleasePolicy};
use sealstone_release::statement::notice::Notice;
use sealstone_release::statement::release::Release as Statement;
use sealstone_release::time::Moment;
use sealstone_release::tlog::proof::Proof;
use sealstone_release::verdict::Verdict;

use crate::args::{AddArgs, KeygenArgs, Release, ReleaseArgs, SignArgs, VerifyReleaseArgs};
use crate::exit::{BAD_INPUT, DONE, FAILED, Failure, Outcome};
use crate::surroundings;

/// The publisher's policy, beside his releases.
const POLICY: &str = "policy.yaml";
/// His notices, beside his releases.
const NOTICES: &str = "notices";

const DAY: u64 = 86_400;

pub(crate) fn run(args: &ReleaseArgs) -> Outcome {
    match &args.what {
        Release::Keygen(args) => keygen(args),
        Release::Sign(args) => sign(args),
        Release::Add(args) => add(args),
        Release::Verify(args) => verify(args),
        Release::Notice(args) => notice::run(args),
        Release::Log(args) => log::run(args),
    }
}

fn keygen(args: &KeygenArgs) -> Outcome {
    let name = args.name.parse().map_err(Failure::bad_input)?;
    let kind = if args.witness { KeyKind::Cosignature } else { KeyKind::Plain };
    let key = SigningKey::from_seed(name, kind, &surroundings::random()?);
    let public = keys::write(&args.out, &key)?;
    println!("{}", key.verifier());
    eprintln!("private key: {} (keep it to yourself); public key: {}", args.out.display(), public.display());
    Ok(DONE)
}

fn sign(args: &SignArgs) -> Outcome {
    let key = keys::read_signing(&args.key)?;
    let log_key = args.log_key.as_deref().map(keys::read_signing).transpose()?;
    if args.out.exists() {
        return Err(PublishError::Exists { path: args.out.clone() }.into());
    }
    let older = args.supersedes.as_deref().map(pin_of).transpose()?;
    let (mut files, release) = cut::cut(parts(args, older.as_ref())?, &key).map_err(Failure::bad_input)?;
    if let (Some(dir), Some(log_key)) = (&args.log, &log_key) {
        let log = LogFolder::open(dir);
        let entry = cut::log_entry(&release, files.get(STATEMENT).map(Vec::as_slice).unwrap_or_default());
        let index = log.append(&entry, log_key)?;
        cut::put_proof(&mut files, &log.prove(index, log_key.verifier())?);
    }
    cut::seal(&mut files, &release, &key);
    folder::create(&args.out, &files)?;
    println!("pin {}", release.pin().id());
    if let Some(older) = older {
        let notice = Notice::Superseded { pin: older.id(), by: release.pin().id() };
        let file = beside(&args.out, NOTICES).join(format!("superseded-{:.16}.json", older.id()));
        notice::write(&file, &notice, &[&key])?;
    }
    Ok(DONE)
}

fn parts(args: &SignArgs, older: Option<&Pin>) -> Result<Parts, Failure> {
    let mut built = output::read(&args.dir)?;
    let text = built.get(PIN).ok_or_else(|| Failure::bad_input(format!("{} has no {PIN}", args.dir.display())))?;
    let pin = pin(&args.dir.join(PIN), text)?;
    let artefacts = cut::artefacts(&built);
    let documents = DOCUMENTS.iter().filter_map(|name| built.remove_entry(*name)).collect();
    let not_before = moment(args.not_before)?;
    let not_after = Moment::from_unix(not_before.unix().saturating_add(args.days.saturating_mul(DAY)))
        .ok_or_else(|| Failure::bad_input("the release would be valid beyond the year 9999; give fewer --days"))?;
    let validity = Validity { not_before, not_after };
    Ok(Parts { pin, validity, supersedes: older.map(Pin::id), artefacts, documents })
}

fn add(args: &AddArgs) -> Outcome {
    let key = keys::read_signing(&args.key)?;
    let before = folder::read(&args.dir)?;
    let release = statement(&args.dir, &before, key.verifier())?;
    let mut after = before.clone();
    for file in &args.rebuild {
        let bytes = fs::read(file).map_err(|e| Failure::bad_input(format!("reading {}: {e}", file.display())))?;
        let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("{}: {e}", file.display()));
        let envelope = Envelope::parse(&bytes).map_err(|e| bad(&e))?;
        println!("{}", cut::put_rebuild(&mut after, &release, &envelope).map_err(|e| bad(&e))?);
    }
    if let Some(file) = &args.proof {
        let text = text(file)?;
        let proof = Proof::parse(&text).map_err(|e| Failure::bad_input(format!("{}: {e}", file.display())))?;
        cut::put_proof(&mut after, &proof);
    }
    cut::seal(&mut after, &release, &key);
    folder::update(&args.dir, &before, &after)?;
    Ok(DONE)
}

fn verify(args: &VerifyReleaseArgs) -> Outcome {
    let verdict = judged(&args.dir, args.notices.as_deref(), &policy(args)?, moment(args.at)?)?;
    let bundle = sigstore::judge(&args.dir, &args.sigstore)?;
    if args.json {
        let mut document = serde_json::to_value(&verdict).map_err(Failure::failed)?;
        if let (Some(bundle), Some(members)) = (&bundle, document.as_object_mut()) {
            members.insert("sigstore".into(), bundle.to_json());
        }
        println!("{}", serde_json::to_string_pretty(&document).map_err(Failure::failed)?);
    } else {
        bundle.iter().for_each(|bundle| println!("{}", bundle.to_text()));
        print!("{}", verdict.to_text());
    }
    // The release's own verdict says more; a bundle can only refuse what that accepts.
    let code = bundle.map_or(DONE, |bundle| bundle.exit_code());
    Ok(if verdict.exit_code() == DONE { code } else { verdict.exit_code() })
}

/// The verdict on the release in `dir`, with the notices that stand beside it unless others are given.
pub(crate) fn judged(dir: &Path, given: Option<&Path>, policy: &ReleasePolicy, at: Moment) -> Result<Verdict, Failure> {
    let (files, notices) = (folder::read(dir)?, notices(dir, given)?);
    Ok(judge::verdict(Case { files: &files, notices: &notices }, policy, at))
}

/// The policy that was given; or the publisher's own, which proves nothing about who the publisher is, and so is said.
fn policy(args: &VerifyReleaseArgs) -> Result<ReleasePolicy, Failure> {
    let publishers = beside(&args.dir, POLICY);
    let file = match &args.policy {
        Some(file) => file.clone(),
        None if publishers.is_file() => {
            let file = publishers.display();
            eprintln!("judged by {file}, the publisher's own policy: this shows that the release is whole, not whose it is;");
            eprintln!("give the keys that you trust with --policy");
            publishers
        }
        None => return Ok(ReleasePolicy::default()),
    };
    let name = file.display().to_string();
    Ok(Policy::parse(&name, &text(&file)?).map_err(Failure::bad_input)?.release)
}

fn notices(dir: &Path, given: Option<&Path>) -> Result<Files, Failure> {
    let beside = beside(dir, NOTICES);
    match given {
        Some(folder) => Ok(folder::read(folder)?),
        None if beside.is_dir() => Ok(folder::read(&beside)?),
        None => Ok(Files::new()),
    }
}

/// A file or folder in the folder that a release stands in.
fn beside(dir: &Path, name: &str) -> PathBuf {
    // `v1.0.0/` and `.` have to be made whole first; what can't be is left to whoever reads it.
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    whole.parent().unwrap_or(Path::new("")).join(name)
}

/// The statement of a release that `key` signed; for its holder's own use.
fn statement(dir: &Path, files: &Files, key: &VerifierKey) -> Result<Statement, Failure> {
    let policy = ReleasePolicy { keys: vec![key.clone()], ..ReleasePolicy::default() };
    let case = Case { files, notices: &Files::new() };
    judge::release(case, &policy).map_err(|e| Failure::bad_input(format!("{}: {e}", dir.display())))
}

/// The pin in a release's folder, unverified: whoever names the folder means it.
fn pin_of(dir: &Path) -> Result<Pin, Failure> {
    let file = dir.join(PIN);
    pin(&file, text(&file)?.as_bytes())
}

fn pin(file: &Path, bytes: &[u8]) -> Result<Pin, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("{}: {e}", file.display()));
    Pin::parse(std::str::from_utf8(bytes).map_err(|e| bad(&e))?).map_err(|e| bad(&e))
}

fn text(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|e| Failure::bad_input(format!("reading {}: {e}", file.display())))
}

/// A moment that was given, or now.
pub(super) fn moment(given: Option<u64>) -> Result<Moment, Failure> {
    let seconds = match given {
        Some(seconds) => seconds,
        None => now()?,
    };
    Moment::from_unix(seconds).ok_or_else(|| Failure::bad_input(format!("{seconds} seconds is after the year 9999")))
}

fn now() -> Result<u64, Failure> {
    let before = |_| Failure::failed("this machine's clock is before 1970; set it, or give the time");
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(before)
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let code = match error {
            PublishError::Key { .. } | PublishError::Folder { .. } | PublishError::Exists { .. } => BAD_INPUT,
            PublishError::Log { .. } => crate::exit::TRANSPARENCY,
            _ => FAILED,
        };
        Self::new(code, error)
    }
}
