//! Pin × evidence × policy × binding × time → verdict.

use sealstone_evidence::snp as snp_evidence;
use sealstone_evidence::tdx::{self as tdx_evidence, Collateral, Quote};
use sealstone_evidence::tpm as tpm_evidence;
use sealstone_evidence::x509::Certificate;

use super::{Binding, Check, Endorsement, Pinned, Refusal, Verdict, binding, endorsement, pinned, snp, tdx, tpm};
use crate::evidence::{Attestation, Body, Config, Evidence, SnpEvidence, TdxEvidence, TpmEvidence};
use crate::pin::Pin;
use crate::policy::Policy;
use crate::time::Moment;

/// Checks that every verdict with a pin must have decided.
const DECIDED: [&str; 4] = ["pin.profile", "config.image", "config.models", "config.attestation"];
/// Checks that it must have made, if only to say that there was nothing to compare with.
const MADE: [&str; 2] = ["pin.validity", "binding"];

/// The verdict on `evidence`: genuine, from a machine that runs what `pin` says, within `policy`, bound to `binding`, at
/// the moment `at`.
///
/// Expected registers are recomputed from the pin's events and small digests; what the machine says of itself is only ever
/// compared with them. All checks are made, whatever the first of them says.
pub fn appraise(pin: &Pin, evidence: &Evidence, policy: &Policy, binding: &Binding, at: Moment) -> Verdict {
    appraise_endorsed(pin, evidence, policy, binding, &Endorsement::NotAsked, at)
}

/// [`appraise`], with what the machine's TPM has shown of its endorsement key.
pub fn appraise_endorsed(
    pin: &Pin,
    evidence: &Evidence,
    policy: &Policy,
    binding: &Binding,
    endorsement: &Endorsement,
    at: Moment,
) -> Verdict {
    let list = collect(Roots::Vendors, pin, evidence, policy, binding, endorsement, at);
    list.verdict(pin, evidence, at)
}

/// Whose roots evidence is checked under. Outside tests there is one answer.
#[derive(Clone, Copy)]
pub(super) enum Roots {
    /// Those that are compiled in.
    Vendors,
    /// Those of evidence that tests make.
    #[cfg(test)]
    Tests(sealstone_evidence::snp::Product),
}

/// All the checks, and which there must be.
pub(super) fn collect(
    roots: Roots,
    pin: &Pin,
    evidence: &Evidence,
    policy: &Policy,
    binding: &Binding,
    endorsement: &Endorsement,
    at: Moment,
) -> List {
    let mut list = List { roots, decided: DECIDED.to_vec(), made: MADE.to_vec(), profile: None, checks: Vec::new() };
    // Where there is an expectation, that nothing was compared with it is no answer.
    list.decided.extend(pin.contents().validity.map(|_| "pin.validity"));
    list.decided.extend((*binding != Binding::Offline || policy.require_binding).then_some("binding"));
    list.profile = match &evidence.body {
        Body::Snp(body) => list.snp(pin, body, policy, at.unix()),
        Body::Tdx(body) => list.tdx(pin, body, policy, at.unix()),
        Body::Tpm(body) => list.tpm(pin, body, policy, endorsement, at.unix()),
    };
    list.checks.push(validity(pin, at));
    list.checks.push(binding::check(evidence, binding, policy));
    list.checks.extend(config(pin, &evidence.config, policy));
    list
}

/// Checks as they come in, and which there must be.
pub(super) struct List {
    roots: Roots,
    pub(super) decided: Vec<&'static str>,
    pub(super) made: Vec<&'static str>,
    profile: Option<String>,
    pub(super) checks: Vec<Check>,
}

impl List {
    pub(super) fn verdict(mut self, pin: &Pin, evidence: &Evidence, at: Moment) -> Verdict {
        self.made.retain(|id| !self.decided.contains(id));
        let mut verdict = Verdict::new(evidence.tee(), at.unix(), &self.decided, &self.made, self.checks);
        verdict.pinned = Some(Pinned { pin: pin.id(), profile: self.profile });
        verdict
    }

    fn snp(&mut self, pin: &Pin, body: &SnpEvidence, policy: &Policy, at: u64) -> Option<String> {
        let genuine = match &body.endorsement {
            Some(endorsement) => self.roots.verify_snp(body, endorsement, at),
            None => {
                let problem = "there is no certificate of the key that signed the report; give it with --vcek";
                let checks = not_checked(&snp_evidence::MANDATORY, problem);
                let revocation = Check::not_asked("snp.revocation", problem, "a list says nothing without a certificate");
                snp_evidence::Authenticity { checks, revocation, product: None, endorsement: None }
            }
        };
        self.decided.extend(snp_evidence::MANDATORY);
        self.decided.push("pin.launch");
        self.made.extend(snp::ASKED);
        let (profile, checks) = pinned::snp(pin, &body.report);
        self.checks.extend(checks);
        self.checks.extend(snp::judge(&body.report, &genuine, &policy.snp));
        self.checks.extend(genuine.checks);
        profile
    }

    fn tdx(&mut self, pin: &Pin, body: &TdxEvidence, policy: &Policy, at: u64) -> Option<String> {
        let genuine = match &body.collateral {
            Some(collateral) => self.roots.verify_tdx(&body.quote, collateral, at),
            None => {
                let problem = "there is no collateral; give it with --collateral";
                let checks = not_checked(&tdx_evidence::MANDATORY, problem);
                tdx_evidence::Authenticity { checks, tcb: Err(problem.to_owned()) }
            }
        };
        self.decided.extend(tdx_evidence::MANDATORY);
        self.made.extend(tdx::ASKED);
        self.made.extend(pinned::TDX);
        let found = pinned::tdx(pin, &body.quote.body, body.event_log.as_ref());
        self.decided.extend(found.decided);
        self.checks.extend(found.checks);
        self.checks.extend(tdx::judge(&body.quote.body, &genuine, body.collateral.as_ref(), &policy.tdx));
        self.checks.extend(genuine.checks);
        found.profile
    }

    fn tpm(&mut self, pin: &Pin, body: &TpmEvidence, policy: &Policy, shown: &Endorsement, at: u64) -> Option<String> {
        self.decided.extend(tpm_evidence::MANDATORY);
        self.decided.push("tpm.endorsement");
        self.made.extend(tpm::ASKED);
        let replayed = body.event_log.as_ref().map(tpm::replay).transpose();
        let log = match &replayed {
            Ok(Some(values)) => tpm_evidence::check_pcrs(&body.attest, &body.signature, values),
            Ok(None) => {
                let found = "no event log: the registers' values are known as far as the pin says them";
                Check::not_asked("tpm.pcrs", found, "with the event log the registers' values are recomputed")
            }
            Err(error) => {
                let why = "a log that can't be replayed isn't one that firmware and kernel wrote";
                Check::judge("tpm.pcrs", Refusal::Measurement, false, "a log that can be replayed", error.to_string(), why)
            }
        };
        let values = replayed.ok().flatten();
        let found = pinned::tpm(pin, body, values.as_ref().map(|values| (values, log.passed())));
        self.decided.extend(found.decided);
        self.checks.extend(found.checks);
        self.checks.extend(tpm_evidence::verify(&body.attest, &body.signature, &body.key));
        self.checks.push(endorsement::check(body, policy, shown, at));
        self.checks.push(log);
        self.checks.push(tpm::measurement(&body.attest, values.as_ref(), &policy.tpm));
        self.checks.push(tpm::nonce(&body.attest, &policy.tpm));
        found.profile
    }
}

impl Roots {
    fn verify_snp(self, body: &SnpEvidence, endorsement: &Certificate, at: u64) -> snp_evidence::Authenticity {
        let (report, chain, list) = (&body.report, &body.chain, body.revocation.as_ref());
        match self {
            Self::Vendors => snp_evidence::verify(report, endorsement, chain, list, at),
            #[cfg(test)]
            Self::Tests(product) => {
                use sealstone_evidence::testing::snp::{roots, verify};
                verify(&roots(product), report, endorsement, chain, list, at)
            }
        }
    }

    fn verify_tdx(self, quote: &Quote, collateral: &Collateral, at: u64) -> tdx_evidence::Authenticity {
        match self {
            Self::Vendors => tdx_evidence::verify(quote, collateral, at),
            #[cfg(test)]
            Self::Tests(_) => sealstone_evidence::testing::tdx::verify(quote, collateral, at),
        }
    }
}

/// What is missing refuses every check that needs it.
fn not_checked(ids: &[&'static str], problem: &str) -> Vec<Check> {
    let refuse = |id: &&'static str| {
        let found = format!("not checked: {problem}");
        Check::judge(id, Refusal::Signature, false, "evidence that can be checked", found, "nothing is taken on trust")
    };
    ids.iter().map(refuse).collect()
}

fn validity(pin: &Pin, at: Moment) -> Check {
    const ID: &str = "pin.validity";
    const WHY: &str = "the pin's publisher stands behind it for this time only; get the current one";
    match pin.contents().validity {
        None => Check::not_asked(ID, "the pin is valid at any time: it is a build's, not a release's", WHY),
        Some(span) => Check::judge(
            ID,
            Refusal::Policy,
            (span.not_before..=span.not_after).contains(&at),
            format!("from {} to {}", span.not_before, span.not_after),
            at.to_string(),
            WHY,
        ),
    }
}

/// The configuration is measured, so these follow from the registers; they are looked at all the same, because they say in
/// words what a digest can't, and because a pin might leave open the register that holds them.
fn config(pin: &Pin, config: &Config, policy: &Policy) -> [Check; 3] {
    let contents = pin.contents();
    let models = |list: Vec<(&str, String, String)>| match list.as_slice() {
        [] => "none".to_owned(),
        list => list.iter().map(|(name, root, salt)| format!("{name} {root} {salt}")).collect::<Vec<_>>().join(", "),
    };
    let said = config.models.iter().map(|model| (model.name.as_str(), model.root.to_string(), model.salt.to_string()));
    let wanted = contents.models.iter().map(|model| (model.name.as_str(), model.root.to_string(), model.salt.to_string()));
    let (mut said, mut wanted): (Vec<_>, Vec<_>) = (said.collect(), wanted.collect());
    said.sort_unstable();
    wanted.sort_unstable();
    let image = format!("{} {}", contents.image.name, contents.image.version);
    let found = format!("{} {}", config.name, config.version);
    [
        Check::judge("config.image", Refusal::Measurement, image == found, image, found, "the machine runs another image"),
        Check::judge(
            "config.models",
            Refusal::Measurement,
            said == wanted,
            models(wanted),
            models(said),
            "the machine takes other models than the pin says",
        ),
        Check::judge(
            "config.attestation",
            Refusal::Policy,
            config.attestation == Attestation::Required || policy.allow_insecure,
            if policy.allow_insecure { "required or insecure" } else { "required" },
            match config.attestation {
                Attestation::Required => "required",
                Attestation::Insecure => "insecure",
            },
            "the image is a build for development, which serves without evidence, too",
        ),
    ]
}
