//! Reports and chains made here, under roots that exist only here: what recorded evidence can't show, because each thing
//! that is wrong is signed as it should be.

use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::Duration;

use p384::ecdsa::signature::Signer as _;
use rand::SeedableRng as _;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
use rsa::traits::PublicKeyParts as _;
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{BitString, Ia5StringRef, ObjectIdentifier, OctetString};
use x509_cert::der::{Any, Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::roots::{Anchor, Root};
use super::verify::verify_under;
use super::{Product, Report, verify};
use crate::bytes::unhex;
use crate::check::Outcome;
use crate::x509::Certificate;

const AT: u64 = 1_700_000_000;
const YEAR: u64 = 31_536_000;
const PSS: [u8; 54] =
    unhex(b"3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130");

/// Root and intermediate keys: slow to make, so made once.
fn keys() -> &'static [rsa::RsaPrivateKey; 2] {
    static KEYS: OnceLock<[rsa::RsaPrivateKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut random = rand::rngs::StdRng::seed_from_u64(1);
        [(); 2].map(|()| rsa::RsaPrivateKey::new(&mut random, 2048).unwrap())
    })
}

fn chip_key() -> p384::ecdsa::SigningKey {
    p384::ecdsa::SigningKey::from_slice(&[9; 48]).unwrap()
}

fn roots(product: Product) -> Vec<Root> {
    let anchor = |name: String, key: &rsa::RsaPrivateKey| Anchor {
        name,
        modulus: key.n().to_bytes_be(),
        validity: (AT - YEAR, AT + YEAR),
    };
    vec![Root { product, ark: anchor(format!("ARK-{product}"), &keys()[0]), ask: anchor(format!("SEV-{product}"), &keys()[1]) }]
}

/// Everything about a certificate that a test may want to be wrong.
#[derive(Clone)]
struct Made {
    subject: String,
    issuer: String,
    validity: (u64, u64),
    spki: Vec<u8>,
    extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

impl Made {
    fn sign(&self, key: &rsa::RsaPrivateKey) -> Certificate {
        let algorithm = AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
            parameters: Some(Any::from_der(&PSS).unwrap()),
        };
        let time = |seconds| Time::try_from(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        let extension = |(oid, critical, value): &(&str, bool, Vec<u8>)| Extension {
            extn_id: ObjectIdentifier::new(oid).unwrap(),
            critical: *critical,
            extn_value: OctetString::new(value.clone()).unwrap(),
        };
        let tbs_certificate = TbsCertificate {
            version: x509_cert::Version::V3,
            serial_number: SerialNumber::new(&[1]).unwrap(),
            signature: algorithm.clone(),
            issuer: Name::from_str(&format!("CN={}", self.issuer)).unwrap(),
            validity: Validity { not_before: time(self.validity.0), not_after: time(self.validity.1) },
            subject: Name::from_str(&format!("CN={}", self.subject)).unwrap(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&self.spki).unwrap(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions.iter().map(extension).collect()),
        };
        let mut random = rand::rngs::StdRng::seed_from_u64(2);
        let signer = rsa::pss::SigningKey::<rsa::sha2::Sha384>::new(key.clone());
        let signature = signer.sign_with_rng(&mut random, &tbs_certificate.to_der().unwrap()).to_vec();
        let certificate = x509_cert::Certificate {
            tbs_certificate,
            signature_algorithm: algorithm,
            signature: BitString::from_bytes(&signature).unwrap(),
        };
        Certificate::from_der("made here", &certificate.to_der().unwrap()).unwrap()
    }
}

fn rsa_spki(key: &rsa::RsaPrivateKey) -> Vec<u8> {
    key.to_public_key().to_public_key_der().unwrap().as_bytes().to_vec()
}

fn authority(subject: &str, issuer: &str, key: &rsa::RsaPrivateKey) -> Made {
    let basic = BasicConstraints { ca: true, path_len_constraint: None }.to_der().unwrap();
    let oid = "2.5.29.19";
    Made {
        subject: subject.into(),
        issuer: issuer.into(),
        validity: (AT - YEAR, AT + YEAR),
        spki: rsa_spki(key),
        extensions: vec![(oid, true, basic)],
    }
}

const HARDWARE_ID: &str = "1.3.6.1.4.1.3704.1.4";
const PROVIDER_ID: &str = "1.3.6.1.4.1.3704.1.5";
const PRODUCT_NAME: &str = "1.3.6.1.4.1.3704.1.2";

fn text(value: &str) -> Vec<u8> {
    Ia5StringRef::new(value).unwrap().to_der().unwrap()
}

/// Levels of bootloader 1, tee 2, snp 3, microcode 200, and on Turin fmc 4.
fn vcek(product: Product) -> Made {
    let spki = p384::PublicKey::from(chip_key().verifying_key()).to_public_key_der().unwrap();
    let mut levels = vec![
        ("1.3.6.1.4.1.3704.1.3.1", 1_u8),
        ("1.3.6.1.4.1.3704.1.3.2", 2),
        ("1.3.6.1.4.1.3704.1.3.3", 3),
        ("1.3.6.1.4.1.3704.1.3.4", 0),
        ("1.3.6.1.4.1.3704.1.3.5", 0),
        ("1.3.6.1.4.1.3704.1.3.6", 0),
        ("1.3.6.1.4.1.3704.1.3.7", 0),
        ("1.3.6.1.4.1.3704.1.3.8", 200),
    ];
    if product == Product::Turin {
        levels.push(("1.3.6.1.4.1.3704.1.3.9", 4));
    }
    let mut extensions: Vec<_> = levels.into_iter().map(|(oid, level)| (oid, false, level.to_der().unwrap())).collect();
    extensions.push((PRODUCT_NAME, false, text(&format!("{product}-B1"))));
    extensions.push((HARDWARE_ID, false, vec![0xc1; if product == Product::Turin { 8 } else { 64 }]));
    Made {
        subject: "SEV-VCEK".into(),
        issuer: format!("SEV-{product}"),
        validity: (AT - YEAR, AT + YEAR),
        spki: spki.as_bytes().to_vec(),
        extensions,
    }
}

fn vlek(product: Product) -> Made {
    let mut made = vcek(product);
    made.subject = "SEV-VLEK".into();
    made.issuer = format!("SEV-VLEK-{product}");
    made.extensions.retain(|(oid, ..)| *oid != HARDWARE_ID);
    made.extensions.push((PROVIDER_ID, false, text("provider")));
    made
}

/// The unsigned part of a report that goes with [`vcek`].
fn report(product: Product, version: u32) -> Vec<u8> {
    let mut bytes = vec![0; 1184];
    bytes[0] = u8::try_from(version).unwrap();
    bytes[8..16].copy_from_slice(&0x3_0000_u64.to_le_bytes());
    bytes[0x34] = 1;
    let (tcb, chip): ([u8; 8], usize) = match product {
        Product::Milan | Product::Genoa => ([1, 2, 0, 0, 0, 0, 3, 200], 64),
        Product::Turin => ([4, 1, 2, 3, 0, 0, 0, 200], 8),
    };
    bytes[0x180..0x188].copy_from_slice(&tcb);
    bytes[0x1a0..0x1a0 + chip].fill(0xc1);
    if version >= 3 {
        bytes[0x188..0x18b].copy_from_slice(match product {
            Product::Milan => &[0x19, 0x01, 1],
            Product::Genoa => &[0x19, 0x11, 1],
            Product::Turin => &[0x1a, 0x02, 1],
        });
    }
    if version >= 5 {
        bytes[0x1f8] = 1;
        bytes[0x200] = 1;
    }
    bytes
}

fn sign(mut bytes: Vec<u8>) -> Report {
    let signature: p384::ecdsa::Signature = chip_key().sign(&bytes[..0x2a0]);
    let (mut r, mut s) = signature.split_bytes();
    r.reverse();
    s.reverse();
    bytes[0x2a0..0x2d0].copy_from_slice(&r);
    bytes[0x2e8..0x318].copy_from_slice(&s);
    Report::parse(&bytes).unwrap()
}

fn chain(product: Product) -> Vec<Certificate> {
    let [root, issuer] = keys();
    let (ark, ask) = (format!("ARK-{product}"), format!("SEV-{product}"));
    vec![authority(&ask, &ark, issuer).sign(root), authority(&ark, &ark, root).sign(root)]
}

fn refused(product: Product, report: &Report, certificate: &Certificate, chain: &[Certificate], at: u64) -> Vec<&'static str> {
    let result = verify_under(&roots(product), report, certificate, chain, at);
    result.checks.iter().filter(|check| check.outcome != Outcome::Passed).map(|check| check.id).collect()
}

#[test]
fn every_product_and_version_is_accepted_under_the_tests_roots_only() {
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        let certificate = vcek(product).sign(&keys()[1]);
        for version in 2..=5 {
            let report = sign(report(product, version));
            for chain in [&chain(product)[..], &chain(product)[..1], &[]] {
                assert_eq!(refused(product, &report, &certificate, chain, AT), [""; 0], "{product} {version}");
            }
            let real = verify(&report, &certificate, &chain(product), AT);
            let ids: Vec<_> = real.checks.iter().filter(|c| c.refused()).map(|c| c.id).collect();
            assert!(ids.contains(&"snp.root") && ids.contains(&"snp.chain"), "AMD's roots aren't these: {ids:?}");
        }
    }
}

/// A rightly signed report that says what no report may say.
#[test]
fn each_check_of_the_report_refuses_on_its_own() {
    let product = Product::Genoa;
    let certificate = vcek(product).sign(&keys()[1]);
    let table: [(usize, u8, u32, &str); 19] = [
        (0x00, 0x04, 2, "snp.report.version"),
        (0x40, 0x40, 2, "snp.report.reserved"),
        (0x47, 0x80, 5, "snp.report.reserved"),
        (0x48, 0x20, 3, "snp.report.reserved"),
        (0x4f, 0x01, 3, "snp.report.reserved"),
        (0x188, 0x01, 2, "snp.report.reserved"),
        (0x18b, 0x01, 5, "snp.report.reserved"),
        (0x19f, 0x01, 5, "snp.report.reserved"),
        (0x1eb, 0x01, 5, "snp.report.reserved"),
        (0x1ef, 0x01, 5, "snp.report.reserved"),
        (0x1f8, 0x01, 4, "snp.report.reserved"),
        (0x208, 0x01, 5, "snp.report.reserved"),
        (0x29f, 0x01, 5, "snp.report.reserved"),
        (0x34, 0x02, 2, "snp.signature"),
        (0x48, 0x04, 2, "snp.signing-key"),
        (0x48, 0x08, 2, "snp.signing-key"),
        (0x180, 0x01, 2, "snp.certificate.tcb"),
        (0x182, 0x01, 2, "snp.certificate.tcb"),
        (0x1df, 0x01, 2, "snp.certificate.hardware-id"),
    ];
    for (at, bits, version, expected) in table {
        let mut bytes = report(product, version);
        bytes[at] ^= bits;
        let found = refused(product, &sign(bytes), &certificate, &chain(product), AT);
        let allowed = found.iter().all(|id| *id == expected || *id == "snp.product" && at == 0);
        assert!(found.contains(&expected) && allowed, "byte {at:#x}: {found:?}");
    }
    let mut milan = report(product, 3);
    milan[0x189] = 0x01;
    assert_eq!(refused(product, &sign(milan), &certificate, &chain(product), AT), ["snp.product"]);
    let mut masked = report(product, 3);
    masked[0x48] |= 2;
    assert_eq!(refused(product, &sign(masked), &certificate, &chain(product), AT), ["snp.certificate.hardware-id"]);
}

/// A rightly signed certificate that isn't what it should be.
#[test]
fn each_check_of_the_certificates_refuses_on_its_own() {
    let product = Product::Genoa;
    let [root, issuer] = keys();
    let signed = sign(report(product, 5));
    let found = |made: &Made, chain: &[Certificate]| refused(product, &signed, &made.sign(issuer), chain, AT);
    let without = |oid: &str| {
        let mut made = vcek(product);
        made.extensions.retain(|(other, ..)| *other != oid);
        made
    };
    let usual = chain(product);
    for oid in vcek(product).extensions.iter().map(|(oid, ..)| *oid) {
        assert!(found(&without(oid), &usual).contains(&"snp.endorsement"), "without {oid}");
    }
    let mut other = vcek(product);
    other.subject = "SEV-ASK".into();
    assert!(found(&other, &usual).contains(&"snp.endorsement"));
    let mut both = vcek(product);
    both.extensions.push((PROVIDER_ID, false, text("provider")));
    assert!(found(&both, &usual).contains(&"snp.endorsement"));
    let mut milan = without(PRODUCT_NAME);
    milan.extensions.push((PRODUCT_NAME, false, text("Milan-B0")));
    assert!(found(&milan, &usual).contains(&"snp.endorsement"));
    let mut old = vcek(product);
    old.validity = (AT - YEAR, AT - 1);
    assert_eq!(found(&old, &usual), ["snp.validity"]);
    old.validity = (AT + 1, AT + YEAR);
    assert_eq!(found(&old, &usual), ["snp.validity"]);
    // Signed by itself, by the root, and by an issuer that may not sign.
    assert_eq!(refused(product, &signed, &vcek(product).sign(root), &usual, AT), ["snp.chain"]);
    let mut powerless = authority("SEV-Genoa", "ARK-Genoa", issuer);
    powerless.extensions.clear();
    assert_eq!(found(&vcek(product), &[powerless.sign(root)]), ["snp.chain"]);
    assert_eq!(found(&vcek(product), &[authority("SEV-Genoa", "ARK-Genoa", issuer).sign(issuer)]), ["snp.chain"]);
    let mut late = authority("SEV-Genoa", "ARK-Genoa", issuer);
    late.validity = (AT + 1, AT + YEAR);
    assert_eq!(found(&vcek(product), &[late.sign(root)]), ["snp.validity"]);
    let own = authority("ARK-Genoa", "ARK-Genoa", issuer).sign(issuer);
    assert!(found(&vcek(product), &[usual[0].clone(), own]).contains(&"snp.root"), "a root of one's own");
}

#[test]
fn a_providers_key_is_accepted_with_its_own_issuer_only() {
    let product = Product::Milan;
    let [root, issuer] = keys();
    let mut bytes = report(product, 2);
    bytes[0x48] = 1 << 2;
    bytes[0x1a0..0x1e0].fill(0);
    let signed = sign(bytes);
    let asvk = authority("SEV-VLEK-Milan", "ARK-Milan", issuer).sign(root);
    assert_eq!(refused(product, &signed, &vlek(product).sign(issuer), std::slice::from_ref(&asvk), AT), [""; 0]);
    // Without its issuer's certificate there is no path; under the VCEKs' issuer, no power.
    assert!(refused(product, &signed, &vlek(product).sign(issuer), &[], AT).contains(&"snp.root"));
    let mut misplaced = vlek(product);
    misplaced.issuer = "SEV-Milan".into();
    assert_eq!(refused(product, &signed, &misplaced.sign(issuer), &chain(product), AT), ["snp.chain"]);
    assert_eq!(refused(product, &signed, &misplaced.sign(issuer), &[], AT), ["snp.chain"]);
    // And a chip's key under the providers' issuer.
    let mut chips = vcek(product);
    chips.issuer = "SEV-VLEK-Milan".into();
    assert_eq!(refused(product, &sign(report(product, 2)), &chips.sign(issuer), &[asvk], AT), ["snp.chain"]);
}
