//! Reports and chains made here, under roots that exist only here: what recorded evidence can't show, because each thing
//! that is wrong is signed as it should be.

use super::{Product, Report, verify};
use crate::check::{Check, Outcome, Refusal};
use crate::testing::snp::{self as make, PRODUCT_NAME, PROVIDER_ID, authority, chain, keys, report, text, vcek, vlek};
use crate::testing::x509::{AT, Issuer, Made, MadeList, YEAR};
use crate::x509::{Certificate, RevocationList};

fn sign(bytes: Vec<u8>) -> Report {
    Report::parse(&make::sign(bytes)).unwrap()
}

fn refused(product: Product, report: &Report, certificate: &Certificate, chain: &[Certificate], at: u64) -> Vec<&'static str> {
    let result = make::verify(&make::roots(product), report, certificate, chain, None, at);
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
            let real = verify(&report, &certificate, &chain(product), None, AT);
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

#[test]
fn a_revocation_list_takes_back_a_signing_key() {
    let product = Product::Genoa;
    let [root, issuer] = keys();
    let (report, certificate) = (sign(report(product, 5)), vcek(product).sign(issuer));
    let list = |issuer: &str, revoked: &[u8], key| {
        let made = MadeList { issuer: issuer.into(), validity: (AT - YEAR, AT + YEAR), revoked: revoked.into() };
        RevocationList::from_der("made here", &made.der(Issuer::Rsa(key))).unwrap()
    };
    let table = [
        ("nothing revoked", list("ARK-Genoa", &[], root), chain(product), Outcome::Passed),
        ("another serial number", list("ARK-Genoa", &[9], root), chain(product), Outcome::Passed),
        ("the signing key", list("ARK-Genoa", &[2], root), chain(product), Outcome::Refused(Refusal::Signature)),
        ("of another issuer", list("ARK-Milan", &[], root), chain(product), Outcome::Refused(Refusal::Signature)),
        ("not signed by the root", list("ARK-Genoa", &[], issuer), chain(product), Outcome::Refused(Refusal::Signature)),
        ("nothing to look up", list("ARK-Genoa", &[], root), Vec::new(), Outcome::Refused(Refusal::Signature)),
    ];
    for (name, list, chain, expected) in table {
        let result = make::verify(&make::roots(product), &report, &certificate, &chain, Some(&list), AT);
        assert_eq!(result.revocation.outcome, expected, "{name}: {:?}", result.revocation);
        assert!(result.checks.iter().all(Check::passed), "{name}");
        let late = make::verify(&make::roots(product), &report, &certificate, &chain, Some(&list), AT + YEAR + 1);
        assert!(late.checks.iter().any(|check| check.id == "snp.validity" && check.refused()), "{name}");
    }
    let none = make::verify(&make::roots(product), &report, &certificate, &chain(product), None, AT);
    assert_eq!(none.revocation.outcome, Outcome::NotAsked);
}

/// Levels 5 to 7 mean nothing yet. Should they, report and certificate are to be compared level by level.
#[test]
fn every_level_of_the_report_is_compared_with_its_own_in_the_certificate() {
    let prefix = "1.3.6.1.4.1.3704.1.3.";
    let places = |product| match product {
        Product::Milan | Product::Genoa => [(2, 4), (3, 5), (4, 6), (5, 7)].to_vec(),
        Product::Turin => [(4, 5), (5, 6), (6, 7)].to_vec(),
    };
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        for (byte, level) in places(product) {
            let mut bytes = report(product, 3);
            bytes[0x180 + byte] = 9;
            let report = sign(bytes);
            let certified = |level: usize| {
                let mut made = vcek(product);
                let extension = made.extensions.iter_mut().find(|(oid, ..)| *oid == format!("{prefix}{level}"));
                extension.unwrap().2 = vec![2, 1, 9];
                refused(product, &report, &made.sign(&keys()[1]), &chain(product), AT)
            };
            for other in 4..=7 {
                let expected = if other == level { vec![] } else { vec!["snp.certificate.tcb"] };
                assert_eq!(certified(other), expected, "{product}: byte {byte}, level {other}");
            }
        }
    }
}

/// Each extension is compared with all others: there must be a bound, and what is too much is said.
#[test]
fn a_certificate_has_as_many_extensions_as_anybody_needs() {
    let key = Issuer::Rsa(&keys()[1]);
    let with = |count: usize| {
        let mut made = vcek(Product::Genoa);
        let oids = (0..count - made.extensions.len()).map(|number| &*Box::leak(format!("1.2.3.{number}").into_boxed_str()));
        made.extensions.extend(oids.map(|oid| (oid, false, vec![5, 0])).collect::<Vec<_>>());
        Certificate::from_der("made here", &made.der(key))
    };
    assert!(with(64).is_ok());
    assert!(with(65).unwrap_err().to_string().contains("65 extensions"));
}
