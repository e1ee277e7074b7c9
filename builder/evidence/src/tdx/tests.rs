//! What the public face can't show: another root, and the rules by which statuses combine.

#![allow(clippy::disallowed_methods, reason = "tests read vectors")]

use std::path::Path;

use super::verify::verify_under;
use super::{Collateral, Quote, TcbStatus};
use crate::x509::PublicKey;

#[test]
fn another_root_refuses_every_chain() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/evidence/tdx");
    if !folder.is_dir() {
        println!("SKIPPED another_root_refuses_every_chain: there are no vectors at {}", folder.display());
        return;
    }
    let quote = Quote::parse(&std::fs::read(folder.join("tdx_quote")).unwrap()).unwrap();
    let collateral = Collateral::parse(&std::fs::read(folder.join("tdx_quote_collateral.json")).unwrap()).unwrap();
    let other = PublicKey::P256(*p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap().verifying_key());
    let checks = verify_under(&other, &quote, &collateral, 1_750_377_600).checks;
    let refused: Vec<_> = checks.iter().filter(|check| check.refused()).map(|check| check.id).collect();
    let expected = ["tdx.chain.pck", "tdx.chain.crl", "tdx.chain.tcb-info", "tdx.chain.qe-identity", "tdx.crl"];
    assert_eq!(refused, expected);
}

/// The table of Intel's verification library, and that the order of the two doesn't matter.
#[test]
fn a_whole_has_the_faults_of_its_parts() {
    use TcbStatus::{
        ConfigurationAndSwHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded, Revoked,
        SwHardeningNeeded, UpToDate,
    };
    let table = [
        (UpToDate, UpToDate, UpToDate),
        (UpToDate, OutOfDate, OutOfDate),
        (UpToDate, SwHardeningNeeded, SwHardeningNeeded),
        (UpToDate, ConfigurationNeeded, ConfigurationNeeded),
        (SwHardeningNeeded, OutOfDate, OutOfDate),
        (SwHardeningNeeded, ConfigurationNeeded, ConfigurationAndSwHardeningNeeded),
        (ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded),
        (ConfigurationAndSwHardeningNeeded, UpToDate, ConfigurationAndSwHardeningNeeded),
        (ConfigurationAndSwHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded),
        (OutOfDate, OutOfDate, OutOfDate),
        (OutOfDateConfigurationNeeded, UpToDate, OutOfDateConfigurationNeeded),
        (OutOfDateConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded),
        (UpToDate, Revoked, Revoked),
        (OutOfDateConfigurationNeeded, Revoked, Revoked),
    ];
    for (a, b, whole) in table {
        assert_eq!((a.with(b), b.with(a)), (whole, whole), "{a} with {b}");
    }
}

/// A quote made here is accepted in every version, which makes every refusal of its variations mean something.
#[test]
fn what_tests_make_is_accepted_under_the_tests_root_only() {
    use crate::testing::tdx::{MadeTdx, verify};
    use crate::testing::x509::AT;
    for version in [4, 5] {
        let made = MadeTdx::new(version);
        let (quote, text) = (Quote::parse(&made.quote()).unwrap(), made.collateral().to_string());
        let collateral = Collateral::parse(text.as_bytes()).unwrap();
        let result = verify(&quote, &collateral, AT);
        let refused: Vec<_> = result.checks.iter().filter(|check| !check.passed()).collect();
        assert!(refused.is_empty(), "version {version}: {refused:#?}");
        assert_eq!(result.tcb.unwrap().status, TcbStatus::UpToDate);
        let real = super::verify(&quote, &collateral, AT);
        assert!(real.checks.iter().any(|check| check.id == "tdx.chain.pck" && check.refused()), "Intel's root isn't this");
    }
}
