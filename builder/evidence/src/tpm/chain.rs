//! A certificate of the attestation key itself, as clouds issue them for their virtual TPMs.
//!
//! An endorsement key's certificate alone would not do: that key can't sign, and what binds an attestation key to it is an
//! exchange with the TPM (TPM2_MakeCredential, TPM2_ActivateCredential), which whoever certified the attestation key made.

use crate::time;
use crate::x509::{Certificate, PublicKey};

/// Checks that `certificates` (of the key `key` first, each by the next one's holder) lead to one of `roots` at the time
/// `at`. Returns the names of the certificate and of the root.
///
/// # Errors
/// What is wrong, in words.
pub fn verify_chain(key: &PublicKey, certificates: &[Certificate], roots: &[Certificate], at: u64) -> Result<String, String> {
    let leaf = certificates.first().ok_or("there is no certificate of the attestation key")?;
    if leaf.key() != key {
        return Err(format!("the first certificate, of `{}`, is of another key", leaf.common_name()));
    }
    if leaf.is_authority() {
        return Err("the attestation key's certificate lets it issue others".into());
    }
    let mut below = leaf;
    current(below, at)?;
    for issuer in certificates.iter().skip(1) {
        // A root may stand at the end of the list, too; what counts is the policy's.
        if roots.iter().any(|root| root == issuer) {
            break;
        }
        issued(below, issuer)?;
        current(issuer, at)?;
        below = issuer;
    }
    let root = roots.iter().find(|root| issued(below, root).is_ok());
    let root = root.ok_or_else(|| {
        format!("`{}` is issued by `{}`, which is no root of the policy's", below.common_name(), below.issuer_common_name())
    })?;
    current(root, at)?;
    Ok(format!("`{}`, certified under `{}`", leaf.common_name(), root.common_name()))
}

fn issued(certificate: &Certificate, issuer: &Certificate) -> Result<(), String> {
    let name = certificate.common_name();
    if !certificate.names_issuer(issuer) {
        return Err(format!(
            "`{name}` names `{}` as its issuer, not `{}`",
            certificate.issuer_common_name(),
            issuer.common_name()
        ));
    }
    if !issuer.is_authority() {
        return Err(format!("`{}` may not sign certificates", issuer.common_name()));
    }
    certificate.verify_signed_by_any(issuer.key()).map_err(|e| format!("certificate of `{name}`: {e}"))
}

fn current(certificate: &Certificate, at: u64) -> Result<(), String> {
    let (start, end) = certificate.validity();
    if (start..=end).contains(&at) {
        return Ok(());
    }
    Err(format!("the certificate of `{}` is valid from {} to {}", certificate.common_name(), time::show(start), time::show(end)))
}
