//! Whose TPM it is: the quote alone can't say.

use sealstone_evidence::tpm::{self as evidence, Activated};
use sealstone_evidence::x509::Certificate;

use super::{Check, Refusal};
use crate::evidence::TpmEvidence;
use crate::policy::{Policy, RootCertificate};

/// What the machine's TPM has shown of its endorsement key, in an exchange with whoever judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endorsement {
    /// Nothing: there was no exchange, as with evidence from a file.
    NotAsked,
    /// There was one, and it failed; in words.
    Failed(String),
    /// That an attestation key is beside it in one TPM.
    Shown(Box<Activated>),
}

/// The check `tpm.endorsement`.
pub(super) fn check(body: &TpmEvidence, policy: &Policy, shown: &Endorsement, at: u64) -> Check {
    const WHY: &str = "whoever runs a software TPM can make a perfect quote; say whose TPM to trust: `tpm: {attestation_keys: \
                       [NAME]}`, `attestation_roots` or `endorsement_roots` in the policy";
    let name = body.key.name.as_deref().unwrap_or_default();
    let policy = &policy.tpm;
    let is_listed = policy.attestation_keys.iter().any(|key| key.0 == name);
    let attested = under(&policy.attestation_roots, |roots| evidence::verify_chain(&body.key.key, &body.certificates, roots, at));
    let endorsed = under(&policy.endorsement_roots, |roots| match shown {
        Endorsement::NotAsked => {
            Err("that its TPM has a certified endorsement key takes an exchange with the machine, which a client in a \
                                      session makes (`sealstone chat`, `sealstone proxy`)"
                .to_owned())
        }
        Endorsement::Failed(problem) => Err(format!("no exchange about the endorsement key: {problem}")),
        Endorsement::Shown(activated) => {
            let names = activated.verify(&body.key, roots, at)?;
            Ok(format!("activated in the TPM whose endorsement key is {names}"))
        }
    });
    let mut found = format!("key {}", data_encoding::HEXLOWER.encode(name));
    let reasons = [&attested, &endorsed].into_iter().flatten();
    let accepted = reasons.clone().find_map(|reason| reason.as_ref().ok());
    match (is_listed, accepted) {
        (true, _) => {}
        (false, Some(names)) => found = format!("{found}, {names}"),
        (false, None) => reasons.filter_map(|reason| reason.as_ref().err()).for_each(|problem| {
            found = format!("{found}; {problem}");
        }),
    }
    let holds = is_listed || accepted.is_some() || policy.allow_unendorsed_key;
    Check::judge("tpm.endorsement", Refusal::Policy, holds, expected(policy), found, WHY)
}

/// What `verify` says, if there are any roots.
fn under(
    roots: &[RootCertificate],
    verify: impl FnOnce(&[Certificate]) -> Result<String, String>,
) -> Option<Result<String, String>> {
    let roots: Vec<Certificate> = roots.iter().map(|root| root.0.clone()).collect();
    (!roots.is_empty()).then(|| verify(&roots))
}

fn expected(policy: &crate::policy::TpmPolicy) -> String {
    if policy.allow_unendorsed_key {
        return "any key: the policy has allow_unendorsed_key".to_owned();
    }
    let (keys, roots, endorsement) =
        (policy.attestation_keys.len(), policy.attestation_roots.len(), policy.endorsement_roots.len());
    let mut ways = Vec::new();
    if keys + roots > 0 {
        ways.push(format!("one of {keys} keys that the policy lists, or a key certified under one of {roots} roots"));
    }
    if endorsement > 0 {
        ways.push(format!("a key in a TPM whose endorsement key is certified under one of {endorsement} roots"));
    }
    if ways.is_empty() {
        return "a key that the policy lists or a root that certifies it; it has neither".to_owned();
    }
    ways.join(", or ")
}
