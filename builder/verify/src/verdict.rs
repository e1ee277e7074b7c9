//! The questions, and the answer.

use sealstone_evidence::snp::Report;
use sealstone_evidence::tdx::Quote;
use sealstone_evidence::x509::Certificate;
use sealstone_release::folder::judge::{self, Case};
use sealstone_release::verdict;

use crate::documents::{self, Evidence, Pin, Policy, Release, Time};
use crate::error::{Document, Error};

/// What the evidence was asked for with, so that it can't be yesterday's or another session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// A nonce of the caller's choice.
    Nonce([u8; 32]),
    /// A session of the attested channel.
    #[non_exhaustive]
    Channel {
        /// The final Noise handshake hash.
        handshake_hash: [u8; 32],
        /// SHA-256 of the evidence of devices; zeros without devices.
        device: [u8; 32],
    },
    /// Nothing: evidence from a file. That it is fresh isn't shown, and the verdict says so.
    Offline,
}

impl Binding {
    /// A session of the attested channel; `device` is zeros without devices.
    pub fn channel(handshake_hash: [u8; 32], device: [u8; 32]) -> Self {
        Self::Channel { handshake_hash, device }
    }

    fn inner(self) -> verdict::Binding {
        match self {
            Self::Nonce(nonce) => verdict::Binding::Nonce(nonce),
            Self::Channel { handshake_hash, device } => verdict::Binding::Channel { handshake_hash, device },
            Self::Offline => verdict::Binding::Offline,
        }
    }
}

/// The whole question: is `evidence` genuine, from a machine that runs what `pin` says, within `policy`, bound to `binding`,
/// at the moment `at`?
///
/// Every check is made, whatever the first of them says; a check that didn't run refuses. Registers are recomputed from the
/// pin's events; what the machine says of itself is only ever compared with them.
pub fn verify(pin: &Pin, evidence: &Evidence, policy: &Policy, binding: &Binding, at: Time) -> Verdict {
    Verdict(verdict::appraise(&pin.0, &evidence.0, &policy.0, &binding.inner(), at.0))
}

/// Is `release` whole, its publisher's, logged, rebuilt by whom `policy` names, and still good at the moment `at`?
///
/// For a machine and the release that it should run, ask both questions and join the answers with [`Verdict::and`].
pub fn verify_release(release: &Release, policy: &Policy, at: Time) -> Verdict {
    let case = Case { files: &release.files, notices: &release.notices };
    Verdict(judge::verdict(case, &policy.0.release, at.0))
}

/// A raw SEV-SNP report without a pin: is it genuine, and within `policy`? `endorsement` is the VCEK's or VLEK's certificate
/// (PEM or DER), `chain` PEM of those above it (empty: the compiled-in ones), `revocation_list` DER.
///
/// # Errors
/// If one of them can't be read.
pub fn verify_snp(
    report: &[u8],
    endorsement: &[u8],
    chain: &[u8],
    revocation_list: Option<&[u8]>,
    policy: &Policy,
    at: Time,
) -> Result<Verdict, Error> {
    let certificates = |e: &dyn std::fmt::Display| Error::new(Document::Certificates, e);
    let report = Report::parse(report).map_err(|e| Error::new(Document::Report, e))?;
    let endorsement = Certificate::from_pem_or_der("the certificate", endorsement).map_err(|e| certificates(&e))?;
    let chain = match chain {
        [] => Vec::new(),
        pem => Certificate::list_from_pem("the chain", pem).map_err(|e| certificates(&e))?,
    };
    let list = revocation_list.map(documents::revocation_list).transpose()?;
    Ok(Verdict(verdict::snp(&report, &endorsement, &chain, list.as_ref(), &policy.0, at.0.unix())))
}

/// A raw TDX quote (format 4 or 5) without a pin: is it genuine by `collateral` (JSON), and within `policy`?
///
/// # Errors
/// If one of them can't be read.
pub fn verify_tdx(quote: &[u8], collateral: &[u8], policy: &Policy, at: Time) -> Result<Verdict, Error> {
    let quote = Quote::parse(quote).map_err(|e| Error::new(Document::Quote, e))?;
    let collateral = documents::collateral(collateral)?;
    Ok(Verdict(verdict::tdx(&quote, &collateral, &policy.0, at.0.unix())))
}

/// Whether evidence is accepted, and every check that this rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict(pub(crate) verdict::Verdict);

impl Verdict {
    /// Whether nothing refuses.
    pub fn is_accepted(&self) -> bool {
        self.0.is_accepted()
    }

    /// The worst refusal, if there is one.
    pub fn refusal(&self) -> Option<Refusal> {
        self.0.refusal().map(Refusal::of)
    }

    /// Exit code of the command line: 0 accepted, 10 signature, 11 measurement, 12 policy, 13 transparency.
    pub fn exit_code(&self) -> u8 {
        self.0.exit_code()
    }

    /// Every check, worst first.
    pub fn checks(&self) -> impl Iterator<Item = Check<'_>> {
        self.0.checks().iter().map(Check::of)
    }

    /// The pin's profile that the machine fits, or fits best; none without a pin, or if the pin knows no such machine.
    pub fn profile(&self) -> Option<&str> {
        self.0.pinned()?.profile.as_deref()
    }

    /// Both verdicts in one: every check of either, and whatever either refuses is refused.
    #[must_use]
    pub fn and(self, other: Verdict) -> Self {
        Self(self.0.and(other.0))
    }

    /// The document `sealstone/verdict/v1`, indented: to the byte what `sealstone verify --json` prints, without the final
    /// newline.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists with string keys: there is nothing that could fail.
        serde_json::to_string_pretty(&self.0).unwrap_or_default()
    }

    /// One line a check, worst first; then what it comes to.
    pub fn to_text(&self) -> String {
        self.0.to_text()
    }
}

/// One check: what was looked at, what was expected, what was found, and why it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check<'a> {
    /// Stable name, dotted, such as `snp.signature`.
    pub id: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// What would have passed; for people.
    pub expected: &'a str,
    /// What was there; for people.
    pub found: &'a str,
    /// What it would mean if this check didn't hold, or what to do about it.
    pub why: &'a str,
}

impl<'a> Check<'a> {
    fn of(check: &'a verdict::Check) -> Self {
        let outcome = match check.outcome {
            verdict::Outcome::Refused(refusal) => Outcome::Refused(Refusal::of(refusal)),
            verdict::Outcome::NotAsked => Outcome::NotAsked,
            verdict::Outcome::Passed => Outcome::Passed,
        };
        Self { id: check.id, outcome, expected: &check.expected, found: &check.found, why: &check.why }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It refuses.
    Refused(Refusal),
    /// There was nothing to compare with: the caller named no expectation. Doesn't refuse, and proves nothing.
    NotAsked,
    /// It holds.
    Passed,
}

/// What a refusal means, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Not shown to come from genuine hardware: nothing else in the evidence means anything.
    Signature,
    /// Genuine, but something else is running than what was asked for.
    Measurement,
    /// Under conditions that the policy doesn't accept, or no longer.
    Policy,
    /// Nobody can see that it was published: no proof of a log, or a wrong one.
    Transparency,
}

impl Refusal {
    fn of(refusal: verdict::Refusal) -> Self {
        match refusal {
            verdict::Refusal::Signature => Self::Signature,
            verdict::Refusal::Measurement => Self::Measurement,
            verdict::Refusal::Policy => Self::Policy,
            verdict::Refusal::Transparency => Self::Transparency,
        }
    }

    /// Exit code of the command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Signature => 10,
            Self::Measurement => 11,
            Self::Policy => 12,
            Self::Transparency => 13,
        }
    }
}
