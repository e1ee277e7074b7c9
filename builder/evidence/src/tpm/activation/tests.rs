use p256::ecdsa::SigningKey;
use sha2::Digest as _;

use super::*;
use crate::testing::snp::{keys, rsa_spki};
use crate::testing::tpm::{EndorsementKey, endorsement};
use crate::testing::x509::{AT, Issuer, Made, YEAR, authority, purposes, usage};
use crate::tpm::HashAlgorithm;
use crate::x509::Certificate;

/// Of a key that was made for vector.py and thrown away.
const MODULUS: &str = "b20d84c472712115a7d0c4409c84a8ee9b4c00d16c3bd3885a1e812776d09998f0a4baa00ad9dc6f84760d8ed7574a865870d3390eeb4e\
     598acd5d6022e469707d3ff34ebe695c241e4bedcd1d6e91d962014842ba0579ea399bcd81525688e88e334a03589ceadef30e6c106222\
     6a41e4279382411f03edbc5b8300c439cc262ead27dfcc6c1cc2a2be411d1d9274a995c3f169fd2b35c2fa26c13a304a8bd0f739f6794a\
     319b37b97941957976ba9ffc55b51b56be9010d1aed0797c3c4adbfb79333fa62b982b72f20f00ddc1a3c9b1b2eac0c353260a3aabb9de\
     fb5276a726a94e6d8205a0216af295ff0c6ad3ec9db68cf20ded46935c1366aff287bc91";

/// By vector.py.
const ON_P256: &str = "00440020d6d8f6cdbd7ef8587fa13aa5968374311425cff11538fe621907566d4e37aa7dd1d51651593147e4578660044a6a8b73f3dfdb\
     0c220febfab0841e49d3459f01466f004400203ba894528d0198ba59ed272c62af33fc8a8848a04fb97ef16aac5fa06831afe50020f189\
     fd8cc12f1b36b2b0dc8d8e2b5933c25f569ddc92d1b4cec92cbd0f0ca89d";
const ON_RSA: &str = "4022304a80dac0ec0bd6f2701b533c49889884bdd3c1a434bab141c30fb6d4bf";

fn randomness() -> Randomness {
    Randomness { secret: [0x5e; 32], seed: [0x21; 32], padding: [0x17; 32] }
}

fn p256_key(holder: u8) -> SigningKey {
    SigningKey::from_slice(&[holder; 32]).unwrap()
}

/// An attestation key with this public area.
fn attestation_key(attributes: u32, holder: u8) -> AttestationKey {
    let point = p256_key(holder).verifying_key().to_encoded_point(false);
    let area = [&[0, 0x23, 0, 0x0b][..], &attributes.to_be_bytes(), &[0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10]].concat();
    let area = [area, tpm2b(point.x().unwrap()), tpm2b(point.y().unwrap())].concat();
    AttestationKey::parse_area(&tpm2b(&area)).unwrap()
}

const ATTESTING: u32 = 0x0005_0472;

/// The key of which vector.py only says the name.
fn named(name: Vec<u8>) -> AttestationKey {
    AttestationKey { name: Some(name), ..attestation_key(ATTESTING, 7) }
}

fn root_key() -> SigningKey {
    p256_key(1)
}

fn certified(made: &Made) -> EndorsementCertificate {
    EndorsementCertificate::from_der(&made.der(Issuer::P256(&root_key()))).unwrap()
}

fn root() -> Certificate {
    let made = Made { extensions: vec![authority()], ..endorsement(EndorsementKey::P256(&root_key()), "Root") };
    Certificate::from_der("root", &Made { subject: "Root".into(), ..made }.der(Issuer::P256(&root_key()))).unwrap()
}

/// The whole exchange with a TPM that has `endorsement_key`.
fn exchange(attestation: &AttestationKey, endorsement_key: EndorsementKey<'_>) -> Activated {
    let certificate = certified(&endorsement(endorsement_key, "Root"));
    let (challenge, credential) = Challenge::new(attestation, certificate, randomness()).unwrap();
    let secret = endorsement_key.activate(&credential, attestation.name.as_deref().unwrap()).unwrap();
    challenge.judge(&secret).unwrap()
}

#[test]
fn known_answers() {
    let name = [vec![0, 0x0b], HashAlgorithm::Sha256.hash(b"an attestation key's public area")].concat();
    let made = |spki| certified(&Made { spki, ..endorsement(EndorsementKey::P256(&p256_key(0x31)), "Root") });
    let credential = |certificate| Challenge::new(&named(name.clone()), certificate, randomness()).unwrap().1;
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(hex(&credential(made(EndorsementKey::P256(&p256_key(0x31)).spki()))), ON_P256);
    let modulus = data_encoding::HEXLOWER.decode(MODULUS.as_bytes()).unwrap();
    let key = rsa::RsaPublicKey::new(rsa::BigUint::from_bytes_be(&modulus), rsa::BigUint::from(65_537_u32)).unwrap();
    let spki = rsa::pkcs8::EncodePublicKey::to_public_key_der(&key).unwrap();
    assert_eq!(hex(&sha2::Sha256::digest(credential(made(spki.as_bytes().to_vec())))), ON_RSA);
}

#[test]
fn a_tpm_with_both_keys_is_believed() {
    let (key, endorsement_key) = (attestation_key(ATTESTING, 7), p256_key(0x31));
    for endorsement_key in [EndorsementKey::P256(&endorsement_key), EndorsementKey::Rsa(&keys()[0])] {
        let activated = exchange(&key, endorsement_key);
        assert_eq!(activated.verify(&key, &[root()], AT).unwrap(), "`TPM`, number 09, certified under `Root`");
        let other = Made { subject: "Root".into(), ..endorsement(EndorsementKey::P256(&p256_key(2)), "Root") };
        let other =
            Certificate::from_der("root", &Made { extensions: vec![authority()], ..other }.der(Issuer::P256(&p256_key(2))));
        assert!(activated.verify(&key, &[other.unwrap()], AT).unwrap_err().contains("no root of the policy's"));
        assert!(activated.verify(&key, &[root()], AT + 2 * YEAR).unwrap_err().contains("is valid from"));
        assert!(activated.verify(&attestation_key(ATTESTING, 8), &[root()], AT).unwrap_err().contains("another attestation key"));
    }
}

/// Who hasn't both keys doesn't learn the secret, and nothing else is taken for it.
#[test]
fn another_tpm_does_not_answer() {
    let (key, ours) = (attestation_key(ATTESTING, 7), p256_key(0x31));
    let begin = |made: &Made| Challenge::new(&key, certified(made), randomness()).unwrap();
    let name = key.name.clone().unwrap();
    for (endorsement_key, stranger) in [
        (EndorsementKey::P256(&ours), EndorsementKey::P256(&p256_key(0x32))),
        (EndorsementKey::Rsa(&keys()[0]), EndorsementKey::Rsa(&keys()[1])),
    ] {
        let (_, credential) = begin(&endorsement(endorsement_key, "Root"));
        assert_eq!(endorsement_key.activate(&credential, &name), Some(vec![0x5e; 32]));
        assert_eq!(stranger.activate(&credential, &name), None, "another endorsement key");
        assert_eq!(endorsement_key.activate(&credential, attestation_key(ATTESTING, 8).name.as_deref().unwrap()), None);
        // The same point without `restricted`: attributes are in the name.
        assert_eq!(endorsement_key.activate(&credential, attestation_key(0x0004_0472, 7).name.as_deref().unwrap()), None);
        for at in 2..credential.len() {
            let mut damaged = credential.clone();
            damaged[at] ^= 1;
            assert_eq!(endorsement_key.activate(&damaged, &name), None, "{at}");
        }
    }
    let answers: [&[u8]; 5] = [b"", &[0x5e; 31], &[0x5e; 33], &[0; 32], &[&[0x5e; 31][..], &[0x5f]].concat()];
    for answer in answers {
        let (challenge, _) = begin(&endorsement(EndorsementKey::P256(&ours), "Root"));
        assert_eq!(challenge.judge(answer), None, "{answer:?}");
    }
}

#[test]
fn keys_about_which_nothing_would_follow_are_refused() {
    let ours = p256_key(0x31);
    let begin = |key: &AttestationKey, spki| {
        let made = Made { spki, ..endorsement(EndorsementKey::P256(&ours), "Root") };
        Challenge::new(key, certified(&made), randomness()).err()
    };
    let spki = || EndorsementKey::P256(&ours).spki();
    // One bit of fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign missing, or decrypt besides.
    for bit in [1, 4, 5, 16, 18, 17] {
        let key = attestation_key(ATTESTING ^ 1 << bit, 7);
        assert_eq!(begin(&key, spki()), Some(ChallengeError::NotAttesting), "{bit}");
    }
    let vouched = AttestationKey { attributes: None, ..attestation_key(ATTESTING, 7) };
    assert_eq!(begin(&vouched, spki()), Some(ChallengeError::NotAttesting));
    let nameless = AttestationKey { name: None, ..attestation_key(ATTESTING, 7) };
    assert_eq!(begin(&nameless, spki()), Some(ChallengeError::Nameless));
    let p384 = p384::ecdsa::SigningKey::from_slice(&[1; 48]).unwrap();
    let p384 = p384::PublicKey::from(p384.verifying_key());
    let p384 = p256::pkcs8::EncodePublicKey::to_public_key_der(&p384).unwrap().as_bytes().to_vec();
    assert_eq!(begin(&attestation_key(ATTESTING, 7), p384), Some(ChallengeError::Endorsement));
}

#[test]
fn certificates_that_are_not_an_endorsement_keys_are_refused() {
    let key = p256_key(0x31);
    let good = || endorsement(EndorsementKey::P256(&key), "Root");
    let ek = || purposes(&["2.23.133.8.1"]);
    let critical = |(oid, _, value): (&'static str, bool, Vec<u8>)| (oid, true, value);
    let exponent =
        rsa::RsaPublicKey::new(rsa::traits::PublicKeyParts::n(&keys()[0].to_public_key()).clone(), 3_u32.into()).unwrap();
    let exponent = rsa::pkcs8::EncodePublicKey::to_public_key_der(&exponent).unwrap().as_bytes().to_vec();
    let other = "for other purposes";
    let table: Vec<(&str, Made, &str)> = vec![
        ("for nothing in particular", Made { extensions: vec![], ..good() }, other),
        ("for anything", Made { extensions: vec![purposes(&["2.5.29.37.0"])], ..good() }, other),
        ("an attestation key's", Made { extensions: vec![purposes(&["2.23.133.8.3"])], ..good() }, other),
        ("a server's", Made { extensions: vec![purposes(&["1.3.6.1.5.5.7.3.1"])], ..good() }, other),
        ("for signatures", Made { extensions: vec![ek(), usage(true)], ..good() }, other),
        ("an authority's", Made { extensions: vec![ek(), authority()], ..good() }, "lets it issue others"),
        ("expired", Made { validity: (AT - YEAR, AT - 1), ..good() }, "is valid from"),
        ("of tomorrow", Made { validity: (AT + 1, AT + YEAR), ..good() }, "is valid from"),
        ("another issuer's", Made { issuer: "Other".into(), ..good() }, "no root of the policy's"),
        ("of a small exponent", Made { spki: exponent, ..good() }, "not RSA 2048 or P-256"),
    ];
    for (what, made, problem) in table {
        let error = certified(&made).verify(&[root()], AT).unwrap_err();
        assert!(error.contains(problem), "{what}: {error}");
    }
    let forged = EndorsementCertificate::from_der(&good().der(Issuer::P256(&p256_key(2)))).unwrap();
    assert!(forged.verify(&[root()], AT).unwrap_err().contains("no root of the policy's"));
    assert!(certified(&good()).verify(&[], AT).is_err());
    // As makers write them: purpose and alternative name critical, key usage, no subject.
    let name = ("2.5.29.17", true, vec![0x30, 0x04, 0x82, 0x02, b'a', b'b']);
    let made = Made { extensions: vec![critical(ek()), name, usage(false)], ..good() };
    assert_eq!(certified(&made).verify(&[root()], AT).unwrap(), "`TPM`, number 09, certified under `Root`");
    assert!(Certificate::from_der("an attestation key's", &made.der(Issuer::P256(&root_key()))).is_err());
    let rsa = Made { spki: rsa_spki(&keys()[1]), ..good() };
    assert!(certified(&rsa).verify(&[root()], AT).is_ok());
}
