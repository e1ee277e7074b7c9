//! The documents that a verdict is about.

use std::collections::BTreeMap;

use sealstone_evidence::tdx::Collateral;
use sealstone_evidence::x509::{Certificate, RevocationList};
use sealstone_release::time::Moment;
use sealstone_release::{evidence, pin, policy};

use crate::chain::Profile;
use crate::error::{Document, Error};

/// What a client keeps of an image: every register that a machine running it must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin(pub(crate) pin::Pin);

impl Pin {
    /// Reads `pin.json`. Every register in it is recomputed from its events; one that doesn't follow from them is an error.
    ///
    /// # Errors
    /// If it isn't a pin, says something twice or in another way than its canonical form does, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = utf8(Document::Pin, bytes)?;
        pin::Pin::parse(text).map(Self).map_err(|e| Error::new(Document::Pin, e))
    }

    /// The SHA-256 of its canonical form, in lower-case hex.
    pub fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// The image's name and version.
    pub fn image(&self) -> (&str, &str) {
        let image = &self.0.contents().image;
        (&image.name, &image.version)
    }

    /// The machines that it speaks of, each with what its registers are made of.
    pub fn profiles(&self) -> impl Iterator<Item = Profile<'_>> {
        self.0.contents().profiles.iter().map(Profile::new)
    }

    /// The profile called `id`.
    ///
    /// # Errors
    /// If there is none; the error lists those that there are.
    pub fn profile(&self, id: &str) -> Result<Profile<'_>, Error> {
        self.0.profile(id).map(Profile::new).map_err(|e| Error::new(Document::Profile, e))
    }
}

/// A machine's evidence, parsed; nothing in it is believed yet.
#[derive(Clone, Debug)]
pub struct Evidence(pub(crate) evidence::Evidence);

impl Evidence {
    /// Reads an evidence document (`sealstone/evidence/v1`), byte for byte as the machine sent it.
    ///
    /// # Errors
    /// If it isn't the canonical text of one document whose every part can be read to its last byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        evidence::Evidence::parse(bytes).map(Self).map_err(|e| Error::new(Document::Evidence, e))
    }

    /// `sev-snp`, `tdx` or `tpm2`.
    pub fn tee(&self) -> &'static str {
        self.0.tee()
    }

    /// SEV-SNP: takes these certificates (PEM, the VCEK or VLEK and those above it) instead of the machine's own.
    ///
    /// # Errors
    /// If they can't be read, or the evidence is of another technology.
    pub fn with_certificates(mut self, pem: &[u8]) -> Result<Self, Error> {
        self.only("sev-snp", Document::Certificates)?;
        let bad = |e: &dyn std::fmt::Display| Error::new(Document::Certificates, e);
        let list = Certificate::list_from_pem("the certificates", pem).map_err(|e| bad(&e))?;
        self.0.set_certificates(list).map_err(|e| bad(&e))?;
        Ok(self)
    }

    /// SEV-SNP: takes this revocation list of AMD's (DER) instead of the machine's own.
    ///
    /// # Errors
    /// If it can't be read, or the evidence is of another technology.
    pub fn with_revocation_list(mut self, der: &[u8]) -> Result<Self, Error> {
        self.only("sev-snp", Document::RevocationList)?;
        self.0.set_revocation(revocation_list(der)?);
        Ok(self)
    }

    /// TDX: takes this collateral (JSON) instead of the machine's own.
    ///
    /// # Errors
    /// If it can't be read, or the evidence is of another technology.
    pub fn with_collateral(mut self, json: &[u8]) -> Result<Self, Error> {
        self.only("tdx", Document::Collateral)?;
        self.0.set_collateral(collateral(json)?);
        Ok(self)
    }

    fn only(&self, tee: &str, document: Document) -> Result<(), Error> {
        let problem = || Error::new(document, format!("it goes with {tee} evidence; this is {}", self.tee()));
        if self.tee() == tee { Ok(()) } else { Err(problem()) }
    }
}

pub(crate) fn revocation_list(der: &[u8]) -> Result<RevocationList, Error> {
    RevocationList::from_der("the revocation list", der).map_err(|e| Error::new(Document::RevocationList, e))
}

pub(crate) fn collateral(json: &[u8]) -> Result<Collateral, Error> {
    Collateral::parse(json).map_err(|e| Error::new(Document::Collateral, e))
}

/// What a client accepts besides genuine evidence. The default is the strictest that any machine can pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy(pub(crate) policy::Policy);

impl Policy {
    /// Reads a policy (YAML, `sealstone/policy/v1`); what it leaves out has a safe default.
    ///
    /// # Errors
    /// If it isn't YAML of the documented shape; the message has line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = utf8(Document::Policy, bytes)?;
        let named = policy::Policy::parse("policy", text);
        // The error's own words begin with the file's name, which `Error` says as well.
        named.map(Self).map_err(|e| Error::new(Document::Policy, e.to_string().trim_start_matches("policy: ")))
    }
}

/// A release: its files by their path in the release's folder, and its publisher's notices by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `pin.json`, `pin.sigs`, `tlog-proof`, `manifest.json`, `rebuilds/…` and so on: every file of the folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the publisher said of releases later: files of the folder `notices` beside it.
    pub notices: BTreeMap<String, Vec<u8>>,
}

impl Release {
    /// Its pin, not yet believed: [`crate::verify_release`] says whether it is the released one.
    ///
    /// # Errors
    /// If there is no pin among the files, or it can't be read.
    pub fn pin(&self) -> Result<Pin, Error> {
        let file = sealstone_release::folder::PIN;
        let bytes = self.files.get(file).ok_or_else(|| Error::new(Document::Release, format!("{file} is missing")))?;
        Pin::parse(bytes)
    }
}

/// A moment between 1970 and 9999, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub(crate) Moment);

impl Time {
    /// From seconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// From the year 10000 on.
    pub fn from_unix(seconds: u64) -> Result<Self, Error> {
        let problem = || Error::new(Document::Time, format!("{seconds} seconds is after the year 9999"));
        Moment::from_unix(seconds).map(Self).ok_or_else(problem)
    }
}

fn utf8(document: Document, bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|e| Error::new(document, format!("not UTF-8: {e}")))
}
