//! Is a quote genuine? All checks are run; those that can't be, because what they look at is missing, refuse.

use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};

use crate::bytes::{hex, is_zero, unhex};
use crate::check::{Check, Refusal};
use crate::time;
use crate::x509::{Certificate, PublicKey};

use super::body::TdBody;
use super::collateral::{Collateral, IssuerChain, Signed};
use super::level::{self, Evaluation, LevelError};
use super::pck::{PckClaims, PckError};
use super::quote::Quote;

/// Intel SGX Root CA's public key, compiled in. Published at
/// `certificates.trustedservices.intel.com/IntelSGXRootCA.der`; taken from the crate `dcap-qvl` 0.7.1
/// (`src/TrustedRootCA.der`). Changing it means trusting somebody else: every verdict on TDX hangs on it.
const INTEL_ROOT: [u8; 64] = unhex(
    b"0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5\
      67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394",
);

/// Intel's quoting enclave, as quotes name it.
const INTEL_QE_VENDOR: [u8; 16] = unhex(b"939a7233f79c4ca9940a0db3957f0607");
/// Tee type of TDX.
const TDX: u32 = 0x81;
/// Attestation key type for ECDSA on P-256.
const ECDSA_P256: u16 = 2;

/// Every check that [`verify`] makes. Evidence is accepted only if each of them is there and has passed.
pub const MANDATORY: [&str; 16] = [
    "tdx.header",
    "tdx.signature",
    "tdx.qe.signature",
    "tdx.qe.binding",
    "tdx.chain.pck",
    "tdx.chain.crl",
    "tdx.chain.tcb-info",
    "tdx.chain.qe-identity",
    "tdx.crl",
    "tdx.revocation",
    "tdx.tcb-info.signature",
    "tdx.qe-identity.signature",
    "tdx.platform",
    "tdx.qe.identity",
    "tdx.module",
    "tdx.validity",
];

/// What came of checking that a quote is genuine.
#[derive(Clone, Debug)]
pub struct Authenticity {
    /// One for each of [`MANDATORY`], in that order.
    pub checks: Vec<Check>,
    /// The platform's TCB status. Means something only if every check has passed; whether the status is good enough is
    /// for a policy to say.
    pub tcb: Result<Evaluation, String>,
}

/// Checks that `quote` was made by a quoting enclave of Intel's on a platform of Intel's, and finds the platform's TCB
/// status. `at` is the time to check validity at, in seconds since 1970.
pub fn verify(quote: &Quote, collateral: &Collateral, at: u64) -> Authenticity {
    match PublicKey::p256(&INTEL_ROOT) {
        Ok(root) => verify_under(&root, quote, collateral, at),
        // Can't happen, as every test shows. With no checks at all nothing is accepted.
        Err(error) => Authenticity { checks: Vec::new(), tcb: Err(error.to_string()) },
    }
}

/// [`verify`] under a root of the caller's choosing; not public, so that only this crate's tests can choose another.
pub(crate) fn verify_under(root: &PublicKey, quote: &Quote, given: &Collateral, at: u64) -> Authenticity {
    let pck = quote.pck().ok_or(PckError("everything")).and_then(PckClaims::from_certificate);
    let checks = vec![
        header(quote),
        quote_signature(quote),
        qe_signature(quote),
        qe_binding(quote),
        pck_chain(root, quote),
        issuer_chain("tdx.chain.crl", root, &given.pck_crl_issuers),
        issuer_chain("tdx.chain.tcb-info", root, &given.tcb_info_issuers),
        issuer_chain("tdx.chain.qe-identity", root, &given.qe_identity_issuers),
        revocation_lists(root, quote, given),
        revocation(quote, given),
        document("tdx.tcb-info.signature", &given.tcb_info_issuers, &given.tcb_info_signed),
        document("tdx.qe-identity.signature", &given.qe_identity_issuers, &given.qe_identity_signed),
        platform(&pck, given),
        qe_identity(quote, given),
        module(&quote.body, given),
        validity(quote, given, at),
    ];
    let tcb = pck
        .map_err(|e| e.to_string())
        .and_then(|pck| level::evaluate(&quote.body, &quote.qe_report, &pck, given).map_err(|e: LevelError| e.to_string()));
    Authenticity { checks, tcb }
}

fn header(quote: &Quote) -> Check {
    let h = &quote.header;
    let holds =
        h.attestation_key_type == ECDSA_P256 && h.tee_type == TDX && is_zero(&h.reserved) && h.qe_vendor == INTEL_QE_VENDOR;
    let show = |kind, tee, reserved: &[u8], vendor: &[u8]| {
        format!("key type {kind}, tee type {tee:#x}, reserved {}, quoting enclave of {}", hex(reserved), hex(vendor))
    };
    Check::judge(
        "tdx.header",
        Refusal::Signature,
        holds,
        show(ECDSA_P256, TDX, &[0; 4], &INTEL_QE_VENDOR),
        show(h.attestation_key_type, h.tee_type, &h.reserved, &h.qe_vendor),
        "quotes of another kind are made and checked in another way",
    )
}

/// A raw signature: `r` and `s`, 32 bytes each, big-endian.
fn check_raw(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> Result<&'static str, String> {
    let PublicKey::P256(key) = key else {
        return Err(format!("a key of another kind: {}", key.kind()));
    };
    let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| "no valid signature".to_owned())?;
    key.verify(message, &signature).map_err(|_| "signature does not verify".to_owned())?;
    Ok("signature holds")
}

fn quote_signature(quote: &Quote) -> Check {
    let key = PublicKey::p256(&quote.attestation_key).map_err(|e| format!("attestation key: {e}"));
    Check::genuine(
        "tdx.signature",
        "header and body signed by the attestation key (ECDSA on P-256 with SHA-256)",
        key.and_then(|key| check_raw(&key, &quote.signed, &quote.signature)),
        "the quote was altered",
    )
}

fn qe_signature(quote: &Quote) -> Check {
    let pck = quote.pck().ok_or_else(|| "no PCK certificate".to_owned());
    Check::genuine(
        "tdx.qe.signature",
        "quoting enclave's report signed by the platform's key (PCK)",
        pck.and_then(|pck| check_raw(pck.key(), &quote.qe_signed, &quote.qe_signature)),
        "the quoting enclave doesn't run on the platform that the certificate names",
    )
}

fn qe_binding(quote: &Quote) -> Check {
    let digest = Sha256::new().chain_update(quote.attestation_key).chain_update(&quote.qe_authentication).finalize();
    let mut expected = [0; 64];
    expected[..32].copy_from_slice(&digest);
    Check::judge(
        "tdx.qe.binding",
        Refusal::Signature,
        quote.qe_report.report_data == expected,
        hex(&expected),
        hex(&quote.qe_report.report_data),
        "the attestation key must be the one that the quoting enclave vouches for",
    )
}

/// A root certificate as it stands in a chain must be the one whose key is compiled in.
fn check_root(root: &PublicKey, certificate: &Certificate) -> Result<(), String> {
    if certificate.key() != root {
        return Err(format!("the root certificate of `{}` isn't Intel's", certificate.common_name()));
    }
    certificate.verify_signed_by(root).map_err(|e| format!("root certificate: {e}"))
}

fn check_signed(what: &str, certificate: &Certificate, issuer: &Certificate) -> Result<(), String> {
    if !certificate.names_issuer(issuer) {
        return Err(format!("{what} names `{}` as its issuer, not `{}`", certificate.issuer_common_name(), issuer.common_name()));
    }
    if !issuer.is_authority() {
        return Err(format!("`{}` may not sign certificates", issuer.common_name()));
    }
    certificate.verify_signed_by(issuer.key()).map_err(|e| format!("{what}: {e}"))
}

fn pck_chain(root: &PublicKey, quote: &Quote) -> Check {
    let walk = || -> Result<String, String> {
        let [pck, issuer, top] = quote.chain.as_slice() else {
            return Err(format!("{} certificates in the quote, not three", quote.chain.len()));
        };
        check_root(root, top)?;
        check_signed("issuer's certificate", issuer, top)?;
        check_signed("PCK certificate", pck, issuer)?;
        PckClaims::from_certificate(pck).map_err(|e| e.to_string())?;
        Ok(format!("signed by {}, signed by {}", issuer.common_name(), top.common_name()))
    };
    Check::genuine(
        "tdx.chain.pck",
        "PCK certificate signed by its issuer, signed by the root that is compiled in",
        walk(),
        "anybody can make a certificate chain that ends in a root of his own",
    )
}

fn issuer_chain(id: &'static str, root: &PublicKey, chain: &IssuerChain) -> Check {
    let walk = || -> Result<String, String> {
        check_root(root, &chain.root)?;
        check_signed("signer's certificate", &chain.signer, &chain.root)?;
        Ok(format!("{}, signed by {}", chain.signer.common_name(), chain.root.common_name()))
    };
    Check::genuine(
        id,
        "signer's certificate signed by the root that is compiled in",
        walk(),
        "collateral counts only if it comes from Intel",
    )
}

fn revocation_lists(root: &PublicKey, quote: &Quote, given: &Collateral) -> Check {
    let walk = || -> Result<&str, String> {
        let [pck, issuer, ..] = quote.chain.as_slice() else {
            return Err("no PCK certificate with its issuer".into());
        };
        given.root_crl.verify_signed_by(root).map_err(|e| format!("root's list: {e}"))?;
        if !given.root_crl.is_from_issuer_of(issuer) {
            return Err("the root's list isn't from the issuer of the PCK's issuer".into());
        }
        let signer = &given.pck_crl_issuers.signer;
        if signer.key() != issuer.key() {
            return Err(format!("PCK's list is from `{}`, which didn't issue the PCK certificate", signer.common_name()));
        }
        given.pck_crl.verify_signed_by(signer.key()).map_err(|e| format!("PCK's list: {e}"))?;
        if !given.pck_crl.is_from_issuer_of(pck) {
            return Err("the PCK's list isn't from the issuer of the PCK certificate".into());
        }
        Ok("both lists are genuine")
    };
    Check::genuine(
        "tdx.crl",
        "revocation lists signed by the root and by the PCK's issuer",
        walk(),
        "without genuine lists nobody knows whether a key has leaked",
    )
}

fn revocation(quote: &Quote, given: &Collateral) -> Check {
    let signers = [&given.pck_crl_issuers, &given.tcb_info_issuers, &given.qe_identity_issuers].map(|chain| &chain.signer);
    let revoked = quote.chain.iter().chain(signers).find(|c| given.root_crl.revokes(c) || given.pck_crl.revokes(c));
    let found = revoked.map_or("none is".to_owned(), |c| format!("{} with serial number {}", c.common_name(), hex(c.serial())));
    Check::judge(
        "tdx.revocation",
        Refusal::Signature,
        revoked.is_none(),
        "no certificate revoked",
        found,
        "Intel took back its word on this key",
    )
}

fn document(id: &'static str, issuers: &IssuerChain, signed: &Signed) -> Check {
    Check::genuine(
        id,
        "signed by the signer in its issuer chain, over the exact text",
        check_raw(issuers.signer.key(), signed.text.as_bytes(), &signed.signature),
        "the document was altered; it must be handed on byte for byte",
    )
}

fn platform(pck: &Result<PckClaims, PckError>, given: &Collateral) -> Check {
    let info = &given.tcb_info;
    let expected = format!("fmspc {}, pce id {}, tcb type 0", hex(&info.fmspc), hex(&info.pce_id));
    let (holds, found) = match pck {
        Ok(pck) => (
            pck.fmspc == info.fmspc && pck.pce_id == info.pce_id && info.tcb_type == 0,
            format!("fmspc {}, pce id {}, tcb type {}", hex(&pck.fmspc), hex(&pck.pce_id), info.tcb_type),
        ),
        Err(error) => (false, error.to_string()),
    };
    let why = "TCB info speaks of one family of platforms, and this must be it; fetch the one for the quote's fmspc";
    Check::judge("tdx.platform", Refusal::Signature, holds, expected, found, why)
}

/// Whether two values are equal where the mask has ones.
fn equal_under(mask: &[u8], a: &[u8], b: &[u8]) -> bool {
    a.len() == mask.len() && b.len() == mask.len() && mask.iter().zip(a).zip(b).all(|((mask, a), b)| mask & a == mask & b)
}

fn qe_identity(quote: &Quote, given: &Collateral) -> Check {
    let (qe, identity) = (&quote.qe_report, &given.qe_identity);
    let holds = equal_under(&identity.miscselect_mask, &qe.misc_select, &identity.miscselect)
        && equal_under(&identity.attributes_mask, &qe.attributes, &identity.attributes)
        && qe.mr_signer == identity.mrsigner
        && qe.isv_prod_id == identity.isvprodid;
    let show = |misc: &[u8], attributes: &[u8], signer: &[u8], product| {
        format!("miscselect {}, attributes {}, signer {}, product {product}", hex(misc), hex(attributes), hex(signer))
    };
    Check::judge(
        "tdx.qe.identity",
        Refusal::Signature,
        holds,
        show(&identity.miscselect, &identity.attributes, &identity.mrsigner, identity.isvprodid),
        show(&qe.misc_select, &qe.attributes, &qe.mr_signer, qe.isv_prod_id),
        "any enclave on the platform could sign quotes, if it needn't be Intel's quoting enclave",
    )
}

fn module(body: &TdBody, given: &Collateral) -> Check {
    let expected = level::expected_module(body, given);
    let holds = expected.is_some_and(|module| {
        body.mr_signer_seam == module.mrsigner && equal_under(&module.attributes_mask, &body.seam_attributes, &module.attributes)
    });
    let show = |signer: &[u8], attributes: &[u8]| format!("signer {}, attributes {}", hex(signer), hex(attributes));
    let listed = expected.map_or("a TDX module of a version that Intel lists".to_owned(), |m| show(&m.mrsigner, &m.attributes));
    Check::judge(
        "tdx.module",
        Refusal::Signature,
        holds,
        listed,
        format!("version {}.{}, {}", body.tee_tcb_svn[1], body.tee_tcb_svn[0], show(&body.mr_signer_seam, &body.seam_attributes)),
        "the TDX module keeps the host out of the TD; it must be one of Intel's, not a debug version",
    )
}

fn validity(quote: &Quote, given: &Collateral, at: u64) -> Check {
    let mut spans: Vec<(&str, (u64, u64))> = quote.chain.iter().map(|c| ("a certificate in the quote", c.validity())).collect();
    for chain in [&given.pck_crl_issuers, &given.tcb_info_issuers, &given.qe_identity_issuers] {
        spans.extend([("a signer of collateral", chain.signer.validity()), ("a root in the collateral", chain.root.validity())]);
    }
    spans.push(("the root's revocation list", given.root_crl.validity()));
    spans.push(("the PCK's revocation list", given.pck_crl.validity()));
    spans.push(("TCB info", (given.tcb_info.issue_date, given.tcb_info.next_update)));
    spans.push(("QE identity", (given.qe_identity.issue_date, given.qe_identity.next_update)));
    let outside = spans.iter().find(|(_, (start, end))| at < *start || at > *end);
    let expected = match outside {
        Some((name, (start, end))) => format!("{name} valid from {} to {}", time::show(*start), time::show(*end)),
        None => {
            let start = spans.iter().map(|(_, (start, _))| *start).max().unwrap_or(u64::MAX);
            let end = spans.iter().map(|(_, (_, end))| *end).min().unwrap_or(0);
            format!("all of it valid from {} to {}", time::show(start), time::show(end))
        }
    };
    Check::judge(
        "tdx.validity",
        Refusal::Policy,
        outside.is_none(),
        expected,
        time::show(at),
        "Intel vouches for each piece only for its time; renew the collateral, or give --at if the evidence is old on purpose",
    )
}
