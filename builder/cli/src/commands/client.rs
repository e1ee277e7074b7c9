//! What `chat` and `proxy` have in common: whom to trust, and how a verdict is shown.

use std::io::IsTerminal;
use std::path::Path;

use sealstone_client::{Client, Trust, now};
use sealstone_release::policy::Policy;
use sealstone_release::verdict::Verdict;

use super::explain::load;
use crate::args::TrustArgs;
use crate::exit::{Failure, USAGE};

/// The client that the arguments describe.
pub(crate) fn client(args: &TrustArgs) -> Result<Client, Failure> {
    let target = args.url.parse().map_err(|e| Failure::new(USAGE, anyhow::anyhow!("{}: {e}", args.url)))?;
    let policy = args.policy.as_deref().map(policy).transpose()?.unwrap_or_default();
    Ok(Client::new(target, Trust { pin: load(&args.pin)?, policy, clock: now }))
}

fn policy(file: &Path) -> Result<Policy, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::bad_input(format!("reading {}: {e}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| bad(&e))?;
    Policy::parse(&file.display().to_string(), &text).map_err(|e| bad(&e))
}

/// Says on standard error what a verdict comes to: one line if it accepts, the checks that refuse otherwise.
pub(crate) fn show(verdict: &Verdict) {
    let text = verdict.to_text();
    for line in text.lines().filter(|line| line.starts_with("REFUSED")) {
        eprintln!("{line}");
    }
    let last = text.lines().last().unwrap_or_default();
    match (std::io::stderr().is_terminal(), verdict.is_accepted()) {
        (false, _) => eprintln!("{last}"),
        (true, true) => eprintln!("\x1b[32m{last}\x1b[0m"),
        (true, false) => eprintln!("\x1b[31m{last}\x1b[0m"),
    }
}
