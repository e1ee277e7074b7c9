//! What makes an index be refused, and that nothing else does.

use pgp::packet::KeyFlags;
use pgp::types::{Duration, Tag};

use super::*;
use crate::debian::{Keyring, SignatureError};

fn archive(key: &TestKey) -> Archive {
    Archive::new().suite(key, "debian", "testing-suite", &deb("tool", "1.0", ""), "")
}

fn refused(spec: &Spec, key: &TestKey, archive: &Archive, old: Option<&Lock>) -> DebianError {
    match load(spec, key, archive, old) {
        Ok(_) => panic!("the index was taken"),
        Err(DebianError::Refused { refusal, .. }) => *refusal,
        Err(other) => other,
    }
}

fn plain() -> Spec {
    spec("tool", "", "package: tool", "")
}

const IN_RELEASE: &str = "debian/dists/testing-suite/InRelease";
const PACKAGES: &str = "debian/dists/testing-suite/main/binary-amd64/Packages.xz";

#[test]
fn a_good_index_is_taken_and_only_what_is_needed_is_fetched() {
    let key = TestKey::new(1);
    let archive = archive(&key);
    let indexes = load(&plain(), &key, &archive, None).unwrap_or_else(|error| panic!("{error}"));
    let suite = &indexes.archives[&"main".parse().unwrap()][0];
    assert_eq!(suite.locked.release_date.to_string(), "2026-07-11T10:16:37Z");
    assert_eq!(suite.locked.release_sha256, Sha256::of(&archive.files[IN_RELEASE]));
    assert_eq!(suite.packages.len(), 1);
    assert_eq!(*archive.asked.borrow(), [IN_RELEASE, PACKAGES]);
}

#[test]
fn a_changed_text_is_refused() {
    let key = TestKey::new(1);
    let mut archive = archive(&key);
    let text = String::from_utf8(archive.files[IN_RELEASE].clone()).unwrap();
    archive.files.insert(IN_RELEASE.into(), text.replace("Suite: stable", "Suite: stale").into_bytes());
    let error = refused(&plain(), &key, &archive, None);
    assert!(matches!(&error, DebianError::Signature { source: SignatureError::WrongSignature { .. }, .. }), "{error}");
}

#[test]
fn an_unknown_key_is_refused_and_named() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let error = refused(&plain(), &key, &archive(&stranger), None);
    let DebianError::Signature { source: SignatureError::UnknownSigner { signers }, .. } = &error else { panic!("{error}") };
    let fingerprint = stranger.0.secret_subkeys[0].key.fingerprint().to_string().to_uppercase();
    assert_eq!(*signers, [fingerprint]);
}

#[test]
fn something_else_than_a_signed_message_is_refused() {
    let key = TestKey::new(1);
    let mut archive = archive(&key);
    let good = archive.files[IN_RELEASE].clone();
    let text = String::from_utf8(good.clone()).unwrap();
    let bodies: [&[u8]; 6] = [
        b"",
        b"<html>not here</html>",
        &good[..good.len() / 2],
        &[&good[..], b"SHA256: more\n"].concat(),
        &[b"SHA256: more\n", &good[..]].concat(),
        &text.replace('S', "\u{1}").into_bytes(),
    ];
    for body in bodies {
        archive.files.insert(IN_RELEASE.into(), body.to_vec());
        let error = refused(&plain(), &key, &archive, None);
        assert!(matches!(&error, DebianError::Signature { source: SignatureError::NotSigned { .. }, .. }), "{error}");
    }
}

#[test]
fn other_digests_than_sha2_are_refused() {
    let key = TestKey::new(1);
    let ring = Keyring::parse("test.asc", &key.public()).unwrap();
    let good = key.sign_with_primary("Suite: a\n- dash\n", SignatureType::Text, HashAlgorithm::Sha512);
    assert_eq!(ring.verify(&good, now()), Ok("Suite: a\n- dash\n".to_owned()));
    let weak = key.sign_with_primary("Suite: a\n", SignatureType::Text, HashAlgorithm::Sha3_256);
    assert!(matches!(ring.verify(&weak, now()), Err(SignatureError::Unacceptable { .. })), "SHA3-256, which archives do not use");
}

#[test]
fn expired_keys_are_refused() {
    let mut key = TestKey::new(1);
    let primary = &key.0.primary_key;
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let mut config = SignatureConfig::v4(SignatureType::CertPositive, primary.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(1_700_000_001))).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(primary.fingerprint())).unwrap(),
        Subpacket::regular(SubpacketData::KeyExpirationTime(Duration::from_secs(86_400_000))).unwrap(),
        Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap(),
    ];
    let user = key.0.details.users[0].id.clone();
    let public = primary.public_key();
    let binding = config.sign_certification(primary, &public, &Password::empty(), Tag::UserId, &user).unwrap();
    key.0.details.users[0].signatures = vec![binding];
    let ring = Keyring::parse("test.asc", &key.public()).unwrap();
    let end = 1_700_000_000 + 86_400_000;
    let at = |seconds| UtcTime::from_unix(seconds).unwrap();
    for message in [key.sign("Suite: a\n"), key.sign_with_primary("Suite: a\n", SignatureType::Text, HashAlgorithm::Sha256)] {
        assert!(ring.verify(&message, at(end - 1)).is_ok(), "until the last second");
        let error = ring.verify(&message, at(end)).unwrap_err();
        assert!(error.to_string().contains("the key has expired"), "{error}");
    }
}

#[test]
fn key_files_have_to_hold_keys() {
    for bad in
        [&b""[..], b"no key", b"\xff\xfe", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"]
    {
        assert!(matches!(Keyring::parse("test.asc", bad), Err(SignatureError::BadKeys { .. })), "{bad:?}");
    }
    let two = [TestKey::new(1).public(), TestKey::new(2).public()].concat();
    let ring = Keyring::parse("test.asc", &two).unwrap();
    assert!(ring.verify(&TestKey::new(2).sign("Suite: a\n"), now()).is_ok(), "a second block counts too");
}

#[test]
fn what_the_release_says_is_checked() {
    let key = TestKey::new(1);
    let name = "Suite: stable\nCodename: testing-suite\n";
    for (head, expected) in [
        (
            format!("Suite: stable\nCodename: other\nDate: {DATE}\n"),
            "asked for the suite testing-suite of main, got an index of suite `stable`, code name `other`",
        ),
        (
            format!("{name}Date: {DATE}\nValid-Until: Sat, 11 Jul 2026 23:59:59 UTC\n"),
            "the index of main was valid until 2026-07-11T23:59:59Z and it is 2026-07-12T00:00:00Z",
        ),
        (
            format!("{name}Date: Tue, 14 Jul 2026 00:00:00 UTC\n"),
            "the index of main is of 2026-07-14T00:00:00Z, which is in the future",
        ),
        (format!("{name}Date: yesterday\n"), "`Date`: `yesterday` isn't a date"),
    ] {
        let mut archive = Archive::new();
        archive.add_suite(&key, "debian", "testing-suite", &head, "", "");
        let error = refused(&plain(), &key, &archive, None).to_string();
        assert!(error.contains(expected), "{error}");
    }
    for head in [
        format!("Suite: testing-suite\nCodename: x\nDate: {DATE}\nValid-Until: Sun, 12 Jul 2026 00:00:00 UTC\n"),
        format!("{name}Date: Sun, 12 Jul 2026 12:00:00 UTC\n"),
    ] {
        let mut archive = Archive::new();
        archive.add_suite(&key, "debian", "testing-suite", &head, "", "");
        assert!(load(&plain(), &key, &archive, None).is_ok(), "{head}");
    }
}

#[test]
fn an_index_older_than_the_locks_is_refused() {
    let key = TestKey::new(1);
    let archive = archive(&key);
    let indexes = load(&plain(), &key, &archive, None).unwrap();
    let mut locked = indexes.archives[&"main".parse().unwrap()][0].locked.clone();
    let mut lock = Lock {
        spec_sha256: plain().lock_digest(),
        archives: vec![locked.clone()],
        packages: vec![],
        roots: vec![],
        sources: vec![],
        crates: vec![],
    };
    assert!(load(&plain(), &key, &archive, Some(&lock)).is_ok(), "an equally old one isn't older");
    locked.release_date = "2026-07-11T10:16:38Z".parse().unwrap();
    lock.archives = vec![locked.clone()];
    let error = refused(&plain(), &key, &archive, Some(&lock));
    assert!(matches!(&error, DebianError::Downgraded { .. }), "{error}");
    locked.suite = "another-suite".to_owned();
    lock.archives = vec![locked];
    assert!(load(&plain(), &key, &archive, Some(&lock)).is_ok(), "dates of another suite don't count");
}

#[test]
fn indexes_have_to_be_the_listed_ones() {
    let key = TestKey::new(1);
    let mut archive = archive(&key);
    archive.files.insert(PACKAGES.into(), xz(deb("tool", "6.6", "").as_bytes()));
    let error = refused(&plain(), &key, &archive, None);
    assert!(matches!(&error, DebianError::WrongFile { path, .. } if path == "main/binary-amd64/Packages.xz"), "{error}");
    archive.files.remove(PACKAGES);
    let error = refused(&plain(), &key, &archive, None);
    assert!(matches!(&error, DebianError::Fetch { .. }), "{error}");
    let mut archive = Archive::new();
    let release = format!("Suite: stable\nCodename: testing-suite\nDate: {DATE}\nSHA256:\n");
    archive.files.insert(IN_RELEASE.into(), key.sign(&(release + &format!(" {} 0 other\n", Sha256::of(b"")))));
    let error = refused(&plain(), &key, &archive, None);
    assert!(matches!(&error, DebianError::NotListed { .. }), "{error}");
}

#[test]
fn paths_that_lead_out_of_the_pool_are_refused() {
    let key = TestKey::new(1);
    for (from, to, expected) in [
        ("Filename: pool/", "Filename: ../pool/", "contains `..`"),
        ("Filename: pool/", "Filename: /pool/", "absolute path"),
        ("Filename: pool/", "Filename: pool/ /", "unusual characters"),
        ("Architecture: amd64", "Architecture: arm64", "`arm64`, not amd64 or all"),
        ("Version: 1.0", "Version: one", "isn't a Debian version"),
        ("Size: 10", "Size: -1", "`Size`"),
        ("Package: tool", "Package: ../../tool", "isn't the name"),
    ] {
        let archive = Archive::new().suite(&key, "debian", "testing-suite", &deb("tool", "1.0", "").replace(from, to), "");
        let error = refused(&plain(), &key, &archive, None).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let sources = spec("tool", "", "source: code", "");
    for name in ["../code.tar.xz", ".code.tar.xz", "a/b.tar.xz"] {
        let digest = Sha256::of(b"");
        let text = format!("Package: code\nVersion: 1\nDirectory: pool/c\nChecksums-Sha256:\n {digest} 1 {name}\n");
        let archive = Archive::new().suite(&key, "debian", "testing-suite", "", &text);
        let error = refused(&sources, &key, &archive, None);
        assert!(matches!(&error, DebianError::Malformed { .. }), "{error}");
    }
}
