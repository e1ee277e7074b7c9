//! The evidence document, `sealstone/evidence/v1`: what a machine hands out to prove what it runs, in one JSON text.
//!
//! Read strictly: the text must be its own canonical form, every member must be there and no other may, and everything in
//! it must parse to its last byte. Nothing that was read is believed before [`crate::verdict::appraise`] has judged it.

mod config;
mod document;

pub use config::{Attestation, Config, ConfigError, ConfigModel};

use ovmf_measure::eventlog::{EventLog, Flavour, LogError};
use sealstone_evidence::snp::{Report, ReportError};
use sealstone_evidence::tdx::{Collateral, CollateralError, Quote, QuoteError};
use sealstone_evidence::tpm::{Attest, AttestationKey, Signature, TpmError};
use sealstone_evidence::x509::{Certificate, CertificateError, RevocationList};

/// What `schema` says. Another layout gets another word; this one never changes its meaning.
pub const SCHEMA: &str = "sealstone/evidence/v1";

/// Longer texts are refused unread. The largest parts are an event log of 128 KiB and collateral of about 20 KiB.
pub const MAX_TEXT: usize = 1 << 20;

/// A machine's evidence, parsed; not judged.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The configuration that the machine says it has.
    pub config: Config,
    /// What its hardware says.
    pub body: Body,
}

/// Evidence of one technology, by `tee`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Body {
    /// `sev-snp`
    Snp(Box<SnpEvidence>),
    /// `tdx`
    Tdx(Box<TdxEvidence>),
    /// `tpm2`
    Tpm(Box<TpmEvidence>),
}

/// An SEV-SNP report with the certificates that the machine has.
#[derive(Clone, Debug)]
pub struct SnpEvidence {
    /// The report.
    pub report: Report,
    /// Certificate of the VCEK or VLEK, if the machine has it.
    pub endorsement: Option<Certificate>,
    /// All other certificates: the endorsement key's issuer, the root.
    pub chain: Vec<Certificate>,
    /// AMD's revocation list, if the machine has it.
    pub revocation: Option<RevocationList>,
}

/// A TDX quote with the collateral that the machine has.
#[derive(Clone, Debug)]
pub struct TdxEvidence {
    /// The quote.
    pub quote: Quote,
    /// What Intel says of the platform, if the machine has it.
    pub collateral: Option<Collateral>,
    /// The firmware's log, if it left one.
    pub event_log: Option<EventLog>,
}

/// A TPM's quote.
#[derive(Clone, Debug)]
pub struct TpmEvidence {
    /// What the TPM signed.
    pub attest: Attest,
    /// Its signature.
    pub signature: Signature,
    /// The key that signed, with its attributes.
    pub key: AttestationKey,
    /// The key's certificate and those above it, leaf first, if the machine has them.
    pub certificates: Vec<Certificate>,
    /// The firmware's log, if it left one.
    pub event_log: Option<EventLog>,
}

/// A text that is no evidence document. The far end is broken, speaks another version, or somebody altered it on the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Too long to be evidence at all.
    #[error("not evidence: {length} bytes, the most is {MAX_TEXT}")]
    TooLong {
        /// Bytes of the text.
        length: usize,
    },
    /// Not UTF-8, not JSON, or a member is missing, unknown, twice there or of the wrong type.
    #[error("not evidence: {0}")]
    Syntax(String),
    /// Another kind of document, or of a technology that this version doesn't know.
    #[error("not evidence that this version reads: {field} is {found}")]
    Kind {
        /// `schema` or `tee`.
        field: &'static str,
        /// What it says, in quotes, or `missing`.
        found: String,
    },
    /// The same could be said in another way; whoever wrote it isn't the daemon.
    #[error("the evidence is not in canonical form (RFC 8785); hand it on byte for byte")]
    Spelling,
    /// A member isn't base64 of RFC 4648 section 4, with padding and without anything else.
    #[error("{member}: not base64: {why}")]
    Base64 {
        /// The member.
        member: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// The configuration can't be read.
    #[error("config: {0}")]
    Config(#[from] ConfigError),
    /// The SEV-SNP report can't be read.
    #[error("report: {0}")]
    Report(#[from] ReportError),
    /// A certificate or revocation list can't be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificates don't hold exactly one of an endorsement key.
    #[error("certificates: {found} of a VCEK or VLEK, at most one is expected")]
    Endorsements {
        /// How many there are.
        found: usize,
    },
    /// The TDX quote can't be read.
    #[error("quote: {0}")]
    Quote(#[from] QuoteError),
    /// The collateral can't be read.
    #[error("collateral: {0}")]
    Collateral(#[from] CollateralError),
    /// A structure of the TPM can't be read.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The event log can't be read.
    #[error("event_log: {0}")]
    EventLog(#[from] LogError),
    /// The log is that of another technology than the rest.
    #[error("event_log: it is a log of {found:?} registers")]
    Flavour {
        /// What kind of log it is.
        found: Flavour,
    },
}

impl Evidence {
    /// Reads the document.
    ///
    /// # Errors
    /// [`EvidenceError`] for anything but the canonical text of one document whose every part can be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        document::parse(bytes)
    }

    /// The word for its technology, as pins have it.
    pub fn tee(&self) -> &'static str {
        match self.body {
            Body::Snp(_) => "sev-snp",
            Body::Tdx(_) => "tdx",
            Body::Tpm(_) => "tpm2",
        }
    }

    /// The machine's event log, if there is one.
    pub fn event_log(&self) -> Option<&EventLog> {
        match &self.body {
            Body::Snp(_) => None,
            Body::Tdx(tdx) => tdx.event_log.as_ref(),
            Body::Tpm(tpm) => tpm.event_log.as_ref(),
        }
    }

    /// Puts `collateral` in the place of what the machine sent. Does nothing for anything but TDX.
    pub fn set_collateral(&mut self, collateral: Collateral) {
        if let Body::Tdx(tdx) = &mut self.body {
            tdx.collateral = Some(collateral);
        }
    }

    /// Puts these certificates in the place of what the machine sent. Does nothing for anything but SEV-SNP.
    ///
    /// # Errors
    /// [`EvidenceError::Endorsements`] if there is more than one of an endorsement key among them.
    pub fn set_certificates(&mut self, certificates: Vec<Certificate>) -> Result<(), EvidenceError> {
        if let Body::Snp(snp) = &mut self.body {
            (snp.endorsement, snp.chain) = document::endorsement(certificates)?;
        }
        Ok(())
    }

    /// Puts `list` in the place of AMD's revocation list that the machine sent. Does nothing for anything but SEV-SNP.
    pub fn set_revocation(&mut self, list: RevocationList) {
        if let Body::Snp(snp) = &mut self.body {
            snp.revocation = Some(list);
        }
    }
}
