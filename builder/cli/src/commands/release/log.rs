//! `sealstone release log`

use std::path::Path;

use sealstone_publish::log::LogFolder;
use sealstone_publish::{folder, keys};
use sealstone_release::dsse::Envelope;
use sealstone_release::folder::{STATEMENT, cut};
use sealstone_release::note::Note;
use sealstone_release::statement::release::Release;
use sealstone_release::tlog::checkpoint::Checkpoint;
use sealstone_release::tlog::proof::Proof;

use super::{now, text};
use crate::args::{Log, LogArgs};
use crate::exit::{DONE, Failure, Outcome};

pub(crate) fn run(args: &LogArgs) -> Outcome {
    match &args.what {
        Log::Init { log, key } => {
            let key = keys::read_signing(key)?;
            LogFolder::init(log, &key)?;
            eprintln!("the log {} begins", key.verifier().name());
        }
        Log::Append { log, release, key } => {
            println!("{}", LogFolder::open(log).append(&entry(release)?, &keys::read_signing(key)?)?);
        }
        Log::Prove { log, release, log_key } => {
            let (log, key) = (LogFolder::open(log), keys::read_verifier(log_key)?);
            let index = log.find(&entry(release)?, &key)?;
            let absent =
                || Failure::bad_input(format!("{} is not in the log; `release log append` enters it", release.display()));
            print!("{}", log.prove(index.ok_or_else(absent)?, &key)?.to_text());
        }
        Log::Check { log, log_key, since } => {
            let since = since.iter().map(|file| older(file)).collect::<Result<Vec<_>, _>>()?;
            say(&LogFolder::open(log).check(&keys::read_verifier(log_key)?, &since)?);
        }
        Log::Cosign { log, log_key, key, state } => {
            let (log_key, witness) = (keys::read_verifier(log_key)?, keys::read_signing(key)?);
            say(&LogFolder::open(log).cosign(&log_key, &witness, state, now()?)?);
        }
    }
    Ok(DONE)
}

fn say(checkpoint: &Checkpoint) {
    println!("{} {} {}", checkpoint.origin, checkpoint.size, checkpoint.root);
}

/// What a log lists of the release in `dir`. Who signed the release is for whoever reads the log to find out.
fn entry(dir: &Path) -> Result<Vec<u8>, Failure> {
    let files = folder::read(dir)?;
    let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("{}: {e}", dir.join(STATEMENT).display()));
    let bytes = files.get(STATEMENT).ok_or_else(|| bad(&"is missing"))?;
    let envelope = Envelope::parse(bytes).map_err(|e| bad(&e))?;
    let release = Release::unverified(&envelope).map_err(|e| bad(&e))?;
    Ok(cut::log_entry(&release, bytes))
}

/// The checkpoint in a file, be it by itself or in a proof.
fn older(file: &Path) -> Result<Note, Failure> {
    let text = text(file)?;
    let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("{}: {e}", file.display()));
    match Proof::parse(&text) {
        Ok(proof) => Ok(proof.checkpoint),
        Err(_) => Note::parse(&text).map_err(|e| bad(&e)),
    }
}
