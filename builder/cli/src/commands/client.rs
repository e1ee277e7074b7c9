//! What `chat` and `proxy` have in common: whom to trust, and how a verdict is shown.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use sealstone_client::{Client, Supplement, Trust, now};
use sealstone_evidence::tdx::Collateral;
use sealstone_evidence::x509::{Certificate, RevocationList};
use sealstone_release::evidence::Evidence;
use sealstone_release::policy::Policy;
use sealstone_release::verdict::Verdict;

use super::explain::load;
use super::verify::parse;
use crate::args::{TrustArgs, VendorArgs};
use crate::exit::{Failure, USAGE};

/// The client that the arguments describe.
pub(crate) fn client(args: &TrustArgs) -> Result<Client, Failure> {
    let target = args.url.parse().map_err(|e| Failure::new(USAGE, anyhow::anyhow!("{}: {e}", args.url)))?;
    let policy = args.policy.as_deref().map(policy).transpose()?.unwrap_or_default();
    let files = args.vendors.clone();
    // A file that isn't there, or isn't what it is given as, is found before anybody is asked anything.
    Statements::read(&files)?;
    let client = Client::new(target, Trust { pin: load(&args.pin)?, policy, clock: now });
    Ok(client.supplemented(Supplement::new(move |evidence| {
        Statements::read(&files).map_err(|failure| failure.error.to_string())?.add(evidence)
    })))
}

/// What the vendors say, as read from files.
pub(super) struct Statements {
    /// With the file's name, for an error that only the evidence brings out.
    certificates: Option<(PathBuf, Vec<Certificate>)>,
    crl: Option<RevocationList>,
    collateral: Option<Collateral>,
}

impl Statements {
    pub(super) fn read(files: &VendorArgs) -> Result<Self, Failure> {
        let list = |bytes: &[u8]| Certificate::list_from_pem("the certificates", bytes);
        let crl = |bytes: &[u8]| RevocationList::from_der("the revocation list", bytes);
        Ok(Self {
            certificates: files
                .certificates
                .as_ref()
                .map(|file| Ok::<_, Failure>((file.clone(), parse(file, list)?)))
                .transpose()?,
            crl: files.crl.as_deref().map(|file| parse(file, crl)).transpose()?,
            collateral: files.collateral.as_deref().map(|file| parse(file, Collateral::parse)).transpose()?,
        })
    }

    /// To evidence that they are about; what they say of another vendor's machines is passed over.
    pub(super) fn add(self, evidence: &mut Evidence) -> Result<(), String> {
        if let Some((file, list)) = self.certificates {
            evidence.set_certificates(list).map_err(|error| format!("reading {}: {error}", file.display()))?;
        }
        if let Some(list) = self.crl {
            evidence.set_revocation(list);
        }
        if let Some(collateral) = self.collateral {
            evidence.set_collateral(collateral);
        }
        Ok(())
    }
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
