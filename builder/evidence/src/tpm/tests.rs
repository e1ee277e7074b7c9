//! Quotes made here, with keys made here: the recorded evidence has none of a TPM.

use p256::ecdsa::signature::Signer as _;

use super::{Attest, AttestationKey, HashAlgorithm, PcrValues, Signature, check_pcrs, verify};
use crate::check::{Check, Outcome, Refusal};

/// Fixed to the TPM, restricted, signing; and what TPMs set besides (fixedParent, sensitiveDataOrigin, userWithAuth).
const ATTRIBUTES: u32 = 0x0005_0072;

fn be(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn values() -> PcrValues {
    (0..24).map(|register| ((HashAlgorithm::Sha256, register), vec![register; 32])).collect()
}

/// Registers 4, 9 and 11 of the SHA-256 bank.
fn attest() -> Vec<u8> {
    let all: Vec<u8> = [4_u8, 9, 11].iter().flat_map(|register| [*register; 32]).collect();
    be(&[
        &0xff54_4347_u32.to_be_bytes(),
        &0x8018_u16.to_be_bytes(),
        &tpm2b(b"signer"),
        &tpm2b(b"nonce"),
        &[0; 17],
        &[0; 8],
        &1_u32.to_be_bytes(),
        &[0x00, 0x0b, 3, 0x10, 0x0a, 0x00],
        &tpm2b(&HashAlgorithm::Sha256.hash(&all)),
    ])
}

fn key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

fn public(attributes: u32) -> Vec<u8> {
    let point = key().verifying_key().to_encoded_point(false);
    tpm2b(&be(&[
        &[0x00, 0x23, 0x00, 0x0b],
        &attributes.to_be_bytes(),
        &tpm2b(&[]),
        // No symmetric algorithm; ECDSA with SHA-256; P-256; no key derivation.
        &[0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10],
        &tpm2b(point.x().unwrap()),
        &tpm2b(point.y().unwrap()),
    ]))
}

fn sign(message: &[u8]) -> Vec<u8> {
    let signature: p256::ecdsa::Signature = key().sign(message);
    let (r, s) = signature.split_bytes();
    be(&[&[0x00, 0x18, 0x00, 0x0b], &tpm2b(&r), &tpm2b(&s)])
}

fn checks(attest: &[u8], signature: &[u8], key: &[u8], values: &PcrValues) -> Vec<Check> {
    let (attest, signature) = (Attest::parse(attest).unwrap(), Signature::parse(signature).unwrap());
    let mut checks = verify(&attest, &signature, &AttestationKey::parse(key).unwrap());
    checks.push(check_pcrs(&attest, &signature, values));
    checks
}

fn refused(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| check.outcome != Outcome::Passed).map(|check| check.id).collect()
}

#[test]
fn a_quote_is_genuine_under_its_key() {
    let message = attest();
    let parsed = Attest::parse(&message).unwrap();
    assert_eq!((parsed.extra_data.as_slice(), parsed.selections[0].registers.as_slice()), (&b"nonce"[..], &[4, 9, 11][..]));
    let all = checks(&message, &sign(&message), &public(ATTRIBUTES), &values());
    assert_eq!(refused(&all), [""; 0], "{all:#?}");
    assert_eq!(all.iter().map(|check| check.id).collect::<Vec<_>>(), [&super::MANDATORY[..], &["tpm.pcrs"]].concat());
}

#[test]
fn a_key_may_come_as_pem_too() {
    use p256::pkcs8::EncodePublicKey as _;
    let der = p256::PublicKey::from(key().verifying_key()).to_public_key_der().unwrap();
    let pem = x509_cert::der::pem::encode_string("PUBLIC KEY", Default::default(), der.as_bytes()).unwrap();
    let message = attest();
    for form in [der.as_bytes(), pem.as_bytes()] {
        assert_eq!(refused(&checks(&message, &sign(&message), form, &values())), [""; 0]);
    }
    let private = pem.replace("PUBLIC", "PRIVATE");
    assert!(AttestationKey::parse(private.as_bytes()).is_err());
}

/// Signed as it should be, but saying something that no quote may say.
#[test]
fn each_check_refuses_on_its_own() {
    let with = |at: usize, bits: u8| {
        let mut message = attest();
        message[at] ^= bits;
        message
    };
    for (name, message, expected) in [
        ("magic", with(0, 0x01), vec!["tpm.attest"]),
        ("kind: certify", with(5, 0x0f), vec!["tpm.attest"]),
        ("other registers", with(51, 0x20), vec!["tpm.pcrs"]),
        ("digest", with(attest().len() - 1, 0x01), vec!["tpm.pcrs"]),
    ] {
        assert_eq!(refused(&checks(&message, &sign(&message), &public(ATTRIBUTES), &values())), expected, "{name}");
    }
    let (message, signature) = (attest(), sign(&attest()));
    for bit in [1, 4, 5, 16, 17, 18] {
        let found = checks(&message, &signature, &public(ATTRIBUTES ^ 1 << bit), &values());
        assert_eq!(refused(&found), ["tpm.key"], "attribute bit {bit}");
    }
    let mut moved = values();
    moved.insert((HashAlgorithm::Sha256, 11), vec![0; 32]);
    let found = checks(&message, &signature, &public(ATTRIBUTES), &moved);
    assert_eq!(refused(&found), ["tpm.pcrs"]);
    assert_eq!(found[3].outcome, Outcome::Refused(Refusal::Measurement));
    assert_eq!(refused(&checks(&message, &signature, &public(ATTRIBUTES), &PcrValues::new())), ["tpm.pcrs"]);
}

/// Every bit that is signed, and every bit of the signature.
#[test]
fn damage_anywhere_is_found() {
    let (message, signature) = (attest(), sign(&attest()));
    for at in 0..message.len() {
        let mut damaged = message.clone();
        damaged[at] ^= 0x01;
        if let Ok(attest) = Attest::parse(&damaged) {
            let key = AttestationKey::parse(&public(ATTRIBUTES)).unwrap();
            assert!(refused(&verify(&attest, &Signature::parse(&signature).unwrap(), &key)).contains(&"tpm.signature"), "{at}");
        }
    }
    for at in 0..signature.len() {
        let mut damaged = signature.clone();
        damaged[at] ^= 0x01;
        if Signature::parse(&damaged).is_ok() {
            assert_eq!(refused(&checks(&message, &damaged, &public(ATTRIBUTES), &values())), ["tpm.signature"], "{at}");
        }
    }
}

#[test]
fn what_is_cut_or_followed_by_something_is_not_read() {
    let (message, signature, key) = (attest(), sign(&attest()), public(ATTRIBUTES));
    for length in 0..message.len() {
        assert!(Attest::parse(&message[..length]).is_err(), "{length}");
    }
    for length in 0..signature.len() {
        assert!(Signature::parse(&signature[..length]).is_err(), "{length}");
    }
    for length in 0..key.len() {
        assert!(AttestationKey::parse(&key[..length]).is_err(), "{length}");
    }
    assert!(Attest::parse(&be(&[&message, &[0]])).is_err());
    assert!(Signature::parse(&be(&[&signature, &[0]])).is_err());
    assert!(AttestationKey::parse(&be(&[&key, &[0]])).is_err());
    // SHA-1, and a scheme that isn't for quotes.
    assert!(Signature::parse(&be(&[&[0x00, 0x18, 0x00, 0x04], &signature[4..]])).is_err());
    assert!(Signature::parse(&be(&[&[0x00, 0x1a, 0x00, 0x0b], &signature[4..]])).is_err());
}
