//! A TPM that has shown in an exchange that the quote's key is beside a certified endorsement key, and everything that may be wrong with
//! that.

use p256::ecdsa::SigningKey;
use sealstone_evidence::testing::tpm::{EndorsementKey, endorsement};
use sealstone_evidence::testing::x509::{AT, Issuer, Made, YEAR, authority, purposes, usage};
use sealstone_evidence::tpm::{AttestationKey, Challenge, EndorsementCertificate, Randomness};
use sealstone_evidence::x509::Certificate;

use super::tpm::Tpm;
use super::{Case, Endorsement, Expect};

fn key(holder: u8) -> SigningKey {
    SigningKey::from_slice(&[holder; 32]).unwrap()
}

/// Who signs, and what.
struct Certified {
    certificate: Made,
    root: Made,
    signer: u8,
    at: u64,
}

impl Certified {
    fn new() -> Self {
        let root = Made { subject: "Maker".into(), ..endorsement(EndorsementKey::P256(&key(1)), "Maker") };
        Self {
            certificate: endorsement(EndorsementKey::P256(&key(0x31)), "Maker"),
            root: Made { extensions: vec![authority()], ..root },
            signer: 1,
            at: AT,
        }
    }

    /// A policy that has this root and nothing else.
    fn policy(&self) -> String {
        let root = Certificate::from_der("root", &self.root.der(Issuer::P256(&key(1)))).unwrap();
        let pem: String = root.to_pem().lines().map(|line| format!("    {line}\n")).collect();
        format!("tpm:\n  endorsement_roots:\n  - |\n{pem}")
    }

    /// What comes of a whole exchange about `attested` with the TPM that has the endorsement key.
    fn shown(&self, attested: &AttestationKey) -> Endorsement {
        let certificate = EndorsementCertificate::from_der(&self.certificate.der(Issuer::P256(&key(self.signer)))).unwrap();
        let randomness = Randomness { secret: [1; 32], seed: [2; 32], padding: [3; 32] };
        let (challenge, credential) = Challenge::new(attested, certificate, randomness).unwrap();
        let secret = EndorsementKey::P256(&key(0x31)).activate(&credential, attested.name.as_deref().unwrap()).unwrap();
        Endorsement::Shown(Box::new(challenge.judge(&secret).unwrap()))
    }

    fn sample(&self) -> Tpm {
        Tpm { policy: self.policy(), ..Tpm::new() }
    }
}

#[test]
fn a_key_beside_a_certified_one_is_accepted() {
    let certified = Certified::new();
    let sample = certified.sample();
    let verdict = sample.judge_endorsed(&certified.shown(&sample.key()), AT).unwrap();
    assert_eq!(verdict.exit_code(), 0, "{}", verdict.to_text());
    assert!(
        verdict.to_text().contains("activated in the TPM whose endorsement key is `TPM`, number 09, certified under `Maker`")
    );
}

/// Evidence from a file: what is missing, and who can get it.
#[test]
fn without_an_exchange_the_remedy_is_named() {
    let verdict = Certified::new().sample().judge().unwrap();
    assert_eq!(verdict.exit_code(), 12);
    assert!(verdict.to_text().contains("`sealstone chat`"), "{}", verdict.to_text());
}

type Change = fn(&mut Certified);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |name: &str, found| {
        cases.push(Case { name: name.to_owned(), expect: Expect::Refused("tpm.endorsement", 12), found });
    };
    let changes: [(&str, Change); 13] = [
        ("signed by somebody else", |c| c.signer = 2),
        ("names another issuer", |c| c.certificate.issuer = "Somebody".into()),
        ("root that is no authority", |c| c.root.extensions.clear()),
        ("without a purpose", |c| c.certificate.extensions.clear()),
        ("for anything", |c| c.certificate.extensions = vec![purposes(&["2.5.29.37.0"])]),
        ("an attestation key's", |c| c.certificate.extensions = vec![purposes(&["2.23.133.8.3"])]),
        ("for a web server", |c| c.certificate.extensions = vec![purposes(&["1.3.6.1.5.5.7.3.1"])]),
        ("for signatures", |c| c.certificate.extensions.push(usage(true))),
        ("an authority's", |c| c.certificate.extensions.push(authority())),
        ("expired", |c| c.certificate.validity.1 = AT - 1),
        ("not yet valid", |c| c.certificate.validity.0 = AT + 1),
        ("root expired", |c| c.root.validity.1 = AT - 1),
        // The exchange was then; the certificate has to hold now.
        ("expired since", |c| c.at = AT + 2 * YEAR),
    ];
    for (name, change) in changes {
        let mut certified = Certified::new();
        change(&mut certified);
        let sample = certified.sample();
        push(name, sample.judge_endorsed(&certified.shown(&sample.key()), certified.at));
    }
    let certified = Certified::new();
    let sample = certified.sample();
    push("no exchange", sample.judge());
    push("an exchange that failed", sample.judge_endorsed(&Endorsement::Failed("why".into()), AT));
    // Another key of the same TPM, and this key's point with another attribute (noDA).
    let mut other = Tpm::new();
    other.attributes ^= 1 << 10;
    push("an exchange about another key", sample.judge_endorsed(&certified.shown(&other.key()), AT));
    let mut elsewhere = Certified::new();
    elsewhere.root.subject = "Another".into();
    push("another root", elsewhere.sample().judge_endorsed(&certified.shown(&sample.key()), AT));
    // Roots for attestation keys are none for endorsement keys.
    let policy = sample.policy.replace("endorsement_roots", "attestation_roots");
    push("a root for attestation keys", Tpm { policy, ..Tpm::new() }.judge_endorsed(&certified.shown(&sample.key()), AT));
    push("no roots", Tpm { policy: String::new(), ..Tpm::new() }.judge_endorsed(&certified.shown(&sample.key()), AT));
    cases
}
