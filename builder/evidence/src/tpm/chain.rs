//! A certificate of the attestation key itself, as clouds issue them for their virtual TPMs.
//!
//! An endorsement key's certificate alone would not do: that key can't sign, and what binds an attestation key to it is an
//! exchange with the TPM. Whoever certified the attestation key made it, or the client makes it ([`super::Activated`]).

use x509_cert::der::asn1::ObjectIdentifier;

use crate::time;
use crate::x509::{Certificate, PublicKey};

/// Purposes of TPMs' keys (TCG EK Credential Profile, 3.2.16; TCG OID Registry): tcg-kp-EKCertificate, tcg-kp-AIKCertificate.
/// Clouds put either of them on an attestation key's. A certificate that is for something else, such as a web server, says
/// nothing on where its key is.
const PURPOSES: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.23.133.8.1"), ObjectIdentifier::new_unwrap("2.23.133.8.3")];

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
    if !leaf.may_sign() || !leaf.is_for(&PURPOSES) {
        return Err("the attestation key's certificate is for other purposes than attestation".into());
    }
    let root = lead(leaf, certificates.get(1..).unwrap_or_default(), roots, at)?;
    Ok(format!("`{}`, certified under `{}`", leaf.common_name(), root.common_name()))
}

/// The root to which `leaf` leads at the time `at`, by the issuers in between, whose first is its own.
pub(super) fn lead<'a>(
    leaf: &Certificate,
    issuers: &[Certificate],
    roots: &'a [Certificate],
    at: u64,
) -> Result<&'a Certificate, String> {
    let (mut below, mut between) = (leaf, 0);
    current(below, at)?;
    for issuer in issuers {
        // A root may stand at the end of the list, too; what counts is the policy's.
        if roots.iter().any(|root| root == issuer) {
            break;
        }
        issued(below, issuer, between)?;
        current(issuer, at)?;
        below = issuer;
        between = u8::saturating_add(between, 1);
    }
    let root = roots.iter().find(|root| issued(below, root, between).is_ok());
    let root = root.ok_or_else(|| {
        format!("`{}` is issued by `{}`, which is no root of the policy's", below.common_name(), below.issuer_common_name())
    })?;
    current(root, at)?;
    Ok(root)
}

/// `between` authorities stand between the issuer and the leaf.
fn issued(certificate: &Certificate, issuer: &Certificate, between: u8) -> Result<(), String> {
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
    if issuer.path_length().is_some_and(|most| between > most) {
        return Err(format!("`{}` may not stand so far above the key", issuer.common_name()));
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

#[cfg(test)]
mod tests {
    use p256::pkcs8::EncodePublicKey as _;

    use super::*;
    use crate::testing::snp::{keys, rsa_spki};
    use crate::testing::x509::{AT, Issuer, Made, YEAR, authority};

    fn p256(holder: u8) -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[holder; 32]).unwrap()
    }

    fn p384(holder: u8) -> p384::ecdsa::SigningKey {
        p384::ecdsa::SigningKey::from_slice(&[holder; 48]).unwrap()
    }

    fn spki(signer: Issuer<'_>) -> Vec<u8> {
        let ecdsa = match signer {
            Issuer::P256(key) => p256::PublicKey::from(key.verifying_key()).to_public_key_der(),
            Issuer::P384(key) => p384::PublicKey::from(key.verifying_key()).to_public_key_der(),
            Issuer::Rsa(key) | Issuer::RsaSha256(key) | Issuer::RsaSha384(key) => return rsa_spki(key),
        };
        ecdsa.unwrap().as_bytes().to_vec()
    }

    fn made(subject: &str, issuer: &str, holder: Issuer<'_>, signer: Issuer<'_>, is_authority: bool) -> Certificate {
        let made = Made {
            subject: subject.into(),
            issuer: issuer.into(),
            serial: 1,
            validity: (AT - YEAR, AT + YEAR),
            spki: spki(holder),
            extensions: if is_authority { vec![authority()] } else { Vec::new() },
        };
        Certificate::from_der("made here", &made.der(signer)).unwrap()
    }

    /// Every kind of key at every place, and no other key's signature in its stead.
    #[test]
    fn chains_of_all_kinds_of_keys() {
        let (small, large, [first, second]) = (p256(1), p384(1), keys());
        let (other_small, other_large) = (p256(2), p384(2));
        let kinds = |rsa, p256, p384| {
            [Issuer::P256(p256), Issuer::P384(p384), Issuer::Rsa(rsa), Issuer::RsaSha256(rsa), Issuer::RsaSha384(rsa)]
        };
        let ours = kinds(first, &small, &large);
        let strangers = kinds(second, &other_small, &other_large);
        let leaf_key = p256(7);
        for (root_key, stranger) in ours.into_iter().zip(strangers) {
            let root = made("Root", "Root", root_key, root_key, true);
            for issuer_key in ours {
                let leaf = made("AK", "Issuer", Issuer::P256(&leaf_key), issuer_key, false);
                let verify = |signer| {
                    let issuer = made("Issuer", "Root", issuer_key, signer, true);
                    verify_chain(leaf.key(), &[leaf.clone(), issuer], std::slice::from_ref(&root), AT)
                };
                assert_eq!(verify(root_key).unwrap(), "`AK`, certified under `Root`");
                let error = verify(stranger).unwrap_err();
                assert!(error.contains("no root of the policy's"), "{error}");
            }
        }
    }

    /// SHA-1 can be forged; nothing that is signed so is read as signed.
    #[test]
    fn a_chain_with_sha_1_is_refused() {
        let key = p256(1);
        let root = made("Root", "Root", Issuer::P256(&key), Issuer::P256(&key), true);
        let leaf = made("AK", "Root", Issuer::P256(&p256(7)), Issuer::RsaSha256(&keys()[0]), false);
        // sha256WithRSAEncryption to sha1WithRSAEncryption, inside and outside of the signed part.
        let pem = leaf.to_pem();
        let (_, mut der) = x509_cert::der::pem::decode_vec(pem.as_bytes()).unwrap();
        let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
        let places: Vec<usize> = (0..der.len() - 9).filter(|at| der[*at..*at + 9] == oid).collect();
        assert_eq!(places.len(), 2);
        places.iter().for_each(|at| der[at + 8] = 0x05);
        let leaf = Certificate::from_der("SHA-1", &der).unwrap();
        let error = leaf.verify_signed_by_any(root.key()).unwrap_err();
        assert!(error.to_string().contains("1.2.840.113549.1.1.5"), "{error}");
    }
}
