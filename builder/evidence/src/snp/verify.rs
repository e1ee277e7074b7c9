//! Is a report genuine? All checks are run; those that can't be, because what they look at is missing, refuse.

use rsa::signature::Verifier as _;

use crate::bytes::{hex, is_zero};
use crate::check::{Check, Refusal};
use crate::time;
use crate::x509::{Certificate, PublicKey, RevocationList};

use super::endorsement::{Endorsement, HardwareId};
use super::report::{ALGORITHM_P384, Report};
use super::roots::{self, Product, Root};
use super::tcb::Tcb;

/// Every check that [`verify`] makes. Evidence is accepted only if each of them is there and has passed.
pub const MANDATORY: [&str; 11] = [
    "snp.report.version",
    "snp.report.reserved",
    "snp.root",
    "snp.chain",
    "snp.validity",
    "snp.endorsement",
    "snp.signing-key",
    "snp.signature",
    "snp.certificate.tcb",
    "snp.certificate.hardware-id",
    "snp.product",
];

/// What came of checking that a report is genuine.
#[derive(Clone, Debug)]
pub struct Authenticity {
    /// One for each of [`MANDATORY`], in that order.
    pub checks: Vec<Check>,
    /// Whether AMD took back its word on the signing key. Not asked if there was no revocation list.
    pub revocation: Check,
    /// Whose root the chain leads to; only if it leads to one.
    pub product: Option<Product>,
    /// What the endorsement certificate says; only if it could be read.
    pub endorsement: Option<Endorsement>,
}

/// Checks that `report` was signed by a key that AMD endorsed.
///
/// `endorsement` is the certificate of the VCEK or VLEK. `chain` holds the certificate of its issuer (ASK or ASVK) and,
/// optionally, of the root, in any order; without it, the ASK that is compiled in is used, which does for VCEKs only.
/// `revocation` is AMD's revocation list for the product, signed by its root; it names issuers, so the issuer's certificate
/// must be in `chain` then. `at` is the time to check validity at, in seconds since 1970.
pub fn verify(
    report: &Report,
    endorsement: &Certificate,
    chain: &[Certificate],
    revocation: Option<&RevocationList>,
    at: u64,
) -> Authenticity {
    verify_under(&roots::amd(), report, endorsement, chain, revocation, at)
}

/// [`verify`] under roots of the caller's choosing; not public, so that only this crate's tests can choose others.
pub(crate) fn verify_under(
    roots: &[Root],
    report: &Report,
    certificate: &Certificate,
    chain: &[Certificate],
    revocation: Option<&RevocationList>,
    at: u64,
) -> Authenticity {
    let path = Path::find(roots, certificate, chain);
    let product = path.as_ref().ok().map(|path| path.root.product);
    let endorsement = match product {
        Some(product) => Endorsement::from_certificate(certificate, product).map_err(|e| e.to_string()),
        None => Err("not looked at: the chain leads to no root, so the product isn't known".to_owned()),
    };
    let claims = endorsement.as_ref().ok();
    let checks = vec![
        version(report),
        reserved(report),
        root(&path),
        signatures(&path, certificate),
        validity(&path, certificate, revocation, at),
        Check::genuine(
            "snp.endorsement",
            "a VCEK's or VLEK's certificate of the root's product",
            endorsement.as_ref().map(|e| e.product_name.clone()),
            "another certificate of AMD's must not vouch for reports",
        ),
        signing_key(report, claims),
        signature(report, certificate),
        certificate_tcb(report, product, claims),
        hardware_id(report, claims),
        cpuid(report, product),
    ];
    Authenticity { checks, revocation: revoked(&path, revocation), product, endorsement: endorsement.ok() }
}

/// From an endorsement certificate to a root. Names only: signatures are checked apart.
struct Path<'a> {
    root: &'a Root,
    /// The issuer's certificate, if the caller had one.
    issuer: Option<&'a Certificate>,
    issuer_key: PublicKey,
    root_key: PublicKey,
}

impl<'a> Path<'a> {
    fn find(roots: &'a [Root], certificate: &Certificate, chain: &'a [Certificate]) -> Result<Self, String> {
        let issuer = chain.iter().find(|candidate| certificate.names_issuer(candidate));
        let (root, issuer_key) = match issuer {
            Some(issuer) => {
                let name = issuer.issuer_common_name();
                let root = roots.iter().find(|root| root.ark.name == name);
                (root.ok_or_else(|| format!("`{name}`, which isn't one of AMD's roots"))?, issuer.key().clone())
            }
            None => {
                let name = certificate.issuer_common_name();
                let root = roots.iter().find(|root| root.ask.name == name).ok_or_else(|| {
                    format!("`{name}`, whose certificate isn't there; give the chain that goes with the endorsement key")
                })?;
                (root, PublicKey::rsa(&root.ask.modulus).map_err(|e| e.to_string())?)
            }
        };
        // A root certificate in the chain isn't needed, but if there is one it must be the one that is compiled in.
        let root_key = PublicKey::rsa(&root.ark.modulus).map_err(|e| e.to_string())?;
        for other in chain.iter().filter(|other| issuer.is_none_or(|issuer| *other != issuer)) {
            if other.common_name() != root.ark.name || *other.key() != root_key || other.verify_signed_by(&root_key).is_err() {
                return Err(format!("a certificate of `{}` that isn't the root that is compiled in", other.common_name()));
            }
        }
        Ok(Self { root, issuer, issuer_key, root_key })
    }
}

fn version(report: &Report) -> Check {
    let known = (2..=5).contains(&report.version);
    Check::judge(
        "snp.report.version",
        Refusal::Signature,
        known,
        "2, 3, 4 or 5",
        report.version.to_string(),
        "fields of an unknown version may mean something else",
    )
}

fn reserved(report: &Report) -> Check {
    let found = if report.reserved_set.is_empty() { "all zero".to_owned() } else { report.reserved_set.join(", ") };
    Check::judge(
        "snp.report.reserved",
        Refusal::Signature,
        report.reserved_set.is_empty(),
        "all zero",
        found,
        "a reserved field that is set means something that this verifier doesn't know",
    )
}

fn root(path: &Result<Path<'_>, String>) -> Check {
    Check::genuine(
        "snp.root",
        "ARK-Milan, ARK-Genoa or ARK-Turin, as compiled in",
        path.as_ref().map(|path| path.root.ark.name.clone()),
        "anybody can make a certificate chain that ends in a root of his own",
    )
}

fn signatures(path: &Result<Path<'_>, String>, certificate: &Certificate) -> Check {
    let walk = || -> Result<String, String> {
        let path = path.as_ref().map_err(|_| "not checked: there is no path to a root".to_owned())?;
        certificate.verify_signed_by(&path.issuer_key).map_err(|e| format!("endorsement certificate: {e}"))?;
        let Some(issuer) = path.issuer else {
            if certificate.common_name() == "SEV-VLEK" {
                return Err(format!("a certificate of SEV-VLEK issued by {}", path.root.ask.name));
            }
            return Ok(format!("signed by {}, which is compiled in", path.root.ask.name));
        };
        issuer.verify_signed_by(&path.root_key).map_err(|e| format!("issuer's certificate: {e}"))?;
        if !issuer.is_authority() {
            return Err("the issuer's certificate doesn't allow it to sign certificates".into());
        }
        // A VCEK and a VLEK have issuers of their own; AMD gives neither the power of the other.
        let (leaf, name) = (certificate.common_name(), issuer.common_name());
        if (leaf == "SEV-VLEK") != name.starts_with("SEV-VLEK-") {
            return Err(format!("a certificate of {leaf} issued by {name}"));
        }
        Ok(format!("signed by {name}, signed by {}", path.root.ark.name))
    };
    Check::genuine(
        "snp.chain",
        "each certificate signed by the next (RSASSA-PSS, SHA-384)",
        walk(),
        "a certificate that AMD didn't sign says nothing on any chip",
    )
}

/// AMD's list speaks of signing keys (ASK, ASVK): the root issues it, and those are what the root issues.
fn revoked(path: &Result<Path<'_>, String>, list: Option<&RevocationList>) -> Check {
    const ID: &str = "snp.revocation";
    const WHY: &str = "AMD took back its word on this key, or the list isn't AMD's";
    let Some(list) = list else {
        return Check::not_asked(ID, "no revocation list", "without AMD's list nobody knows whether a signing key has leaked");
    };
    let walk = || -> Result<String, String> {
        let path = path.as_ref().map_err(|_| "not checked: there is no path to a root".to_owned())?;
        let issuer = path.issuer.ok_or("not checked: the chain lacks the issuer's certificate, whose serial number counts")?;
        list.verify_signed_by(&path.root_key).map_err(|e| format!("revocation list: {e}"))?;
        if !list.is_from_issuer_of(issuer) {
            return Err("the list isn't from the issuer of the signing key's certificate".into());
        }
        if list.revokes(issuer) {
            return Err(format!("{} with serial number {} is revoked", issuer.common_name(), hex(issuer.serial())));
        }
        Ok(format!("{} is not in the list of {}", issuer.common_name(), path.root.ark.name))
    };
    Check::genuine(ID, "a list signed by the root, without the signing key in it", walk(), WHY)
}

fn validity(path: &Result<Path<'_>, String>, certificate: &Certificate, revocation: Option<&RevocationList>, at: u64) -> Check {
    let mut spans = vec![("endorsement certificate", certificate.validity())];
    if let Ok(path) = path {
        spans.push(("issuer", path.issuer.map_or(path.root.ask.validity, Certificate::validity)));
        spans.push(("root", path.root.ark.validity));
    }
    spans.extend(revocation.map(|list| ("revocation list", list.validity())));
    let outside = spans.iter().find(|(_, (start, end))| at < *start || at > *end);
    let (name, (start, end)) = outside.or(spans.first()).copied().unwrap_or(("endorsement certificate", (1, 0)));
    Check::judge(
        "snp.validity",
        Refusal::Policy,
        outside.is_none(),
        format!("{name} valid from {} to {}", time::show(start), time::show(end)),
        time::show(at),
        "AMD vouches for its certificates only for their time; give the time with --at if the evidence is old on purpose",
    )
}

fn signing_key(report: &Report, claims: Option<&Endorsement>) -> Check {
    let expected = claims.map_or("the certificate's kind of key".to_owned(), |claims| format!("{:?}", claims.key));
    Check::judge(
        "snp.signing-key",
        Refusal::Signature,
        claims.is_some_and(|claims| claims.key == report.signing_key),
        expected,
        format!("{:?}", report.signing_key),
        "the report says which key signed it, and the certificate must be of that key",
    )
}

fn signature(report: &Report, certificate: &Certificate) -> Check {
    let verify = || -> Result<&str, String> {
        if report.signature_algorithm != ALGORITHM_P384 {
            return Err(format!("signature algorithm {}", report.signature_algorithm));
        }
        let PublicKey::P384(key) = certificate.key() else {
            return Err(format!("a key of another kind: {}", certificate.key().kind()));
        };
        let signature = p384::ecdsa::Signature::from_slice(report.signature()).map_err(|_| "no valid signature".to_owned())?;
        key.verify(report.signed(), &signature).map_err(|_| "signature does not verify".to_owned())?;
        Ok("signature holds")
    };
    Check::genuine(
        "snp.signature",
        "ECDSA on P-384 with SHA-384 under the endorsement key",
        verify(),
        "the report was altered, or comes from another chip or TCB than the certificate",
    )
}

fn certificate_tcb(report: &Report, product: Option<Product>, claims: Option<&Endorsement>) -> Check {
    let reported = product.map(|product| report.reported_tcb.decode(product));
    let equal = match (&reported, claims) {
        (Some(reported), Some(claims)) => *reported == claims.tcb,
        _ => false,
    };
    let shown = |tcb: Option<&Tcb>| tcb.map_or("not known: no usable certificate".to_owned(), Tcb::to_string);
    Check::judge(
        "snp.certificate.tcb",
        Refusal::Signature,
        equal,
        shown(claims.map(|claims| &claims.tcb)),
        shown(reported.as_ref()),
        "the endorsement key is derived from the TCB: a certificate for another TCB isn't this key's",
    )
}

fn hardware_id(report: &Report, claims: Option<&Endorsement>) -> Check {
    let (holds, expected) = match claims.map(|claims| &claims.hardware) {
        Some(HardwareId::Chip(id)) => {
            let (front, rest) = report.chip_id.split_at(id.len().min(report.chip_id.len()));
            (front == id.as_slice() && is_zero(rest) && !is_zero(id) && !report.chip_key_masked, hex(id))
        }
        // A VLEK belongs to a provider, not to a chip, and the report needn't name one.
        Some(HardwareId::Provider(name)) => (true, format!("any chip of provider `{name}`")),
        None => (false, "not known: no usable certificate".to_owned()),
    };
    let masked = if report.chip_key_masked { " (masked by the host's firmware settings)" } else { "" };
    Check::judge(
        "snp.certificate.hardware-id",
        Refusal::Signature,
        holds,
        expected,
        format!("{}{masked}", hex(&report.chip_id)),
        "a VCEK belongs to one chip: the certificate must name the chip that the report names",
    )
}

fn cpuid(report: &Report, product: Option<Product>) -> Check {
    let (holds, found) = match (product, report.cpuid) {
        (Some(product), Some([family, model, stepping])) => {
            (product.has_cpuid(family, model), format!("family {family:#04x}, model {model:#04x}, stepping {stepping}"))
        }
        (Some(_), None) => (true, "the report's version doesn't say".to_owned()),
        (None, _) => (false, "not known: the chain leads to no root".to_owned()),
    };
    let expected = product.map_or("a product of AMD's".to_owned(), |product| format!("a {product}"));
    let why = "root and processor must be of the same generation, because the root decides how the TCB is read";
    Check::judge("snp.product", Refusal::Signature, holds, expected, found, why)
}
