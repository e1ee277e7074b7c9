//! Releases from outside: a whole one is accepted; every change of every file, and every reason of a policy, refuses.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

use sealstone_release::dsse::Envelope;
use sealstone_release::folder::cut::{Parts, cut, log_leaf, put_proof, put_rebuild, seal};
use sealstone_release::folder::judge::{Case, verdict};
use sealstone_release::folder::{Files, MANIFEST, PROOF, STATEMENT};
use sealstone_release::hex::Sha256;
use sealstone_release::key::{KeyKind, SigningKey};
use sealstone_release::note::Note;
use sealstone_release::pin::{Contents, File, Image, Pin, SCHEMA, Source, Validity};
use sealstone_release::policy::{Policy, ReleasePolicy};
use sealstone_release::statement::Digests;
use sealstone_release::statement::notice::Notice;
use sealstone_release::statement::rebuild::rebuild;
use sealstone_release::statement::release::Release;
use sealstone_release::time::Moment;
use sealstone_release::tlog::checkpoint::Checkpoint;
use sealstone_release::tlog::merkle::{leaf, node};
use sealstone_release::tlog::proof::Proof;

const NOW: &str = "2026-11-21T12:00:00Z";

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

fn key(name: &str, kind: KeyKind) -> SigningKey {
    // A seed of its own for every name.
    SigningKey::from_seed(name.parse().unwrap(), kind, Sha256::of(name.as_bytes()).as_bytes())
}

fn plain(name: &str) -> SigningKey {
    key(name, KeyKind::Plain)
}

fn pin() -> Pin {
    let file = |name: &str| File::of(name.as_bytes());
    let image = Image {
        name: "inference".into(),
        version: "1.2.3".into(),
        kernel: file("vmlinuz"),
        initrd: file("initrd"),
        cmdline: "quiet".into(),
        uki: file("uki.efi"),
        disk: file("disk.raw"),
    };
    let source = Source { spec_sha256: Sha256::of(b"spec"), lock_sha256: Sha256::of(b"lock") };
    let contents =
        Contents { schema: SCHEMA.into(), image, source, models: vec![], profiles: vec![], validity: None, supersedes: None };
    Pin::new(contents).unwrap()
}

fn parts() -> Parts {
    let artefacts = ["vmlinuz", "initrd", "uki.efi", "disk.raw", "firmware/OVMF.fd"];
    let documents = ["sbom.cdx.json", "provenance.json", "source.tar"];
    Parts {
        pin: pin(),
        validity: Validity { not_before: at("2026-11-01T00:00:00Z"), not_after: at("2027-11-01T00:00:00Z") },
        supersedes: None,
        artefacts: artefacts.map(|name| (name.to_owned(), Sha256::of(name.as_bytes()))).into(),
        documents: documents.map(|name| (name.to_owned(), format!("contents of {name}").into_bytes())).into(),
    }
}

/// Who takes part, by names that a test may change.
struct Cast {
    publisher: SigningKey,
    log: SigningKey,
    witness: SigningKey,
    rebuilders: Vec<SigningKey>,
}

fn cast() -> Cast {
    Cast {
        publisher: plain("example.com/release"),
        log: plain("log.example/log"),
        witness: key("witness.example/w", KeyKind::Cosignature),
        rebuilders: vec![plain("alice.example/rebuild"), plain("bob.example/rebuild")],
    }
}

impl Cast {
    /// A whole release: stated, logged as the second of two entries, witnessed, rebuilt by all, sealed.
    fn release(&self) -> (Files, Release) {
        self.release_of(parts())
    }

    fn release_of(&self, parts: Parts) -> (Files, Release) {
        let (mut files, release) = cut(parts, &self.publisher).unwrap();
        let (first, second) = (leaf(b"another"), log_leaf(&release, &files[STATEMENT]));
        let checkpoint = Checkpoint { origin: self.log.verifier().name().to_string(), size: 2, root: node(&first, &second) };
        let mut note = checkpoint.sign(&self.log).unwrap();
        note.sign(&self.witness, 1_790_000_000);
        put_proof(&mut files, &Proof { index: 1, path: vec![first], checkpoint: note });
        for rebuilder in &self.rebuilders {
            let statement = rebuild(&release, release.artefacts(), "sealstone 0.1.0", at(NOW), rebuilder).unwrap();
            put_rebuild(&mut files, &release, &statement).unwrap();
        }
        seal(&mut files, &release, &self.publisher);
        (files, release)
    }

    /// The default policy with everybody's keys named, and nothing more.
    fn policy(&self) -> ReleasePolicy {
        self.policy_with("")
    }

    fn policy_with(&self, more: &str) -> ReleasePolicy {
        let rebuilders: Vec<String> = self.rebuilders.iter().map(|key| format!("'{}'", key.verifier())).collect();
        let (publisher, log, witness) = (self.publisher.verifier(), self.log.verifier(), self.witness.verifier());
        let text = format!(
            "schema: sealstone/policy/v1\nrelease:\n  keys: ['{publisher}']\n  logs: ['{log}']\n  \
             witnesses: {{quorum: 1, keys: ['{witness}']}}\n  rebuilds: {{quorum: 2, keys: [{}]}}\n{more}",
            rebuilders.join(", ")
        );
        Policy::parse("test", &text).unwrap().release
    }
}

/// Exit code, and which checks refuse.
fn judge_with(files: &Files, notices: &Files, policy: &ReleasePolicy, now: &str) -> (u8, Vec<&'static str>) {
    let verdict = verdict(Case { files, notices }, policy, at(now));
    let refused = verdict.checks().iter().filter(|check| check.refused()).map(|check| check.id).collect();
    (verdict.exit_code(), refused)
}

fn judge(files: &Files, policy: &ReleasePolicy) -> (u8, Vec<&'static str>) {
    judge_with(files, &Files::new(), policy, NOW)
}

#[test]
fn a_whole_release_is_accepted() {
    let cast = cast();
    assert_eq!(judge(&cast.release().0, &cast.policy()), (0, vec![]));
}

#[test]
fn a_changed_byte_of_any_file_refuses() {
    let cast = cast();
    let (files, policy) = (cast.release().0, cast.policy());
    assert_eq!(files.len(), 9, "{:?}", files.keys());
    for (path, bytes) in &files {
        // Of the longer files (envelopes, whose own test changes every byte) every seventh or so: each judgement checks all signatures.
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 100) {
            let mut changed = files.clone();
            changed.get_mut(path).unwrap()[at] ^= 1;
            let (code, refused) = judge(&changed, &policy);
            assert_eq!(code, 10, "{path}, byte {at}: {refused:?}");
        }
        let mut without = files.clone();
        without.remove(path);
        assert_eq!(judge(&without, &policy).0, 10, "without {path}");
        let mut longer = files.clone();
        longer.get_mut(path).unwrap().push(b'\n');
        assert_eq!(judge(&longer, &policy).0, 10, "{path} with a byte more");
    }
    for added in ["extra", "rebuilds/0000000000000000.json", "rebuilds/x/y"] {
        let mut more = files.clone();
        more.insert(added.to_owned(), files[&format!("rebuilds/{}", name_of_rebuild(&files))].clone());
        let (code, refused) = judge(&more, &policy);
        assert!(code == 10 && refused.contains(&"release.files"), "{added}: {refused:?}");
    }
}

fn name_of_rebuild(files: &Files) -> &str {
    files.keys().find_map(|path| path.strip_prefix("rebuilds/")).unwrap()
}

#[test]
fn the_log_binds_what_the_manifest_could_be_renewed_for() {
    // A publisher who renews the manifest over other documents, or over a statement that the log doesn't show.
    let cast = cast();
    let (files, release) = cast.release();
    let mut other = files.clone();
    other.insert("sbom.cdx.json".into(), b"another".to_vec());
    seal(&mut other, &release, &cast.publisher);
    assert_eq!(judge(&other, &cast.policy()), (10, vec!["release.contents"]));
    let mut parts = parts();
    parts.documents.insert("sbom.cdx.json".into(), b"another".to_vec());
    let (mut second, stated) = cut(parts, &cast.publisher).unwrap();
    second.insert(PROOF.to_owned(), files[PROOF].clone());
    second.extend(files.iter().filter(|(path, _)| path.starts_with("rebuilds/")).map(|(a, b)| (a.clone(), b.clone())));
    seal(&mut second, &stated, &cast.publisher);
    assert_eq!(judge(&second, &cast.policy()), (13, vec!["release.log"]));
    // A manifest of one release does not fit another of the same publisher.
    let mut mixed = files.clone();
    mixed.insert(MANIFEST.to_owned(), second[MANIFEST].clone());
    assert_eq!(judge(&mixed, &cast.policy()).0, 10);
}

#[test]
fn a_policy_that_names_nobody_refuses() {
    let cast = cast();
    let (code, refused) = judge(&cast.release().0, &ReleasePolicy::default());
    assert_eq!(code, 10);
    assert!(refused.contains(&"release.statement") && refused.contains(&"release.log") && refused.contains(&"release.rebuilds"));
}

#[test]
fn a_release_without_a_proof_is_refused() {
    let cast = cast();
    let (mut files, release) = cast.release();
    files.remove(PROOF);
    seal(&mut files, &release, &cast.publisher);
    assert_eq!(judge(&files, &cast.policy()), (13, vec!["release.log"]));
    assert_eq!(judge(&files, &cast.policy_with("  allow_unlogged: true\n")), (0, vec![]));
    // A proof that is there must hold even then.
    let (mut files, release) = cast.release();
    files.insert(PROOF.to_owned(), b"c2sp.org/tlog-proof@v1\nindex 0\n\n".to_vec());
    seal(&mut files, &release, &cast.publisher);
    assert_eq!(judge(&files, &cast.policy_with("  allow_unlogged: true\n")), (13, vec!["release.log"]));
}

#[test]
fn a_proof_of_too_few_witnesses_or_another_log_is_refused() {
    let cast = cast();
    let (mut files, release) = cast.release();
    let mut proof = Proof::parse(std::str::from_utf8(&files[PROOF]).unwrap()).unwrap();
    let mut unwitnessed = Note::new(proof.checkpoint.text()).unwrap();
    unwitnessed.sign(&cast.log, 0);
    proof.checkpoint = unwitnessed;
    put_proof(&mut files, &proof);
    seal(&mut files, &release, &cast.publisher);
    assert_eq!(judge(&files, &cast.policy()), (13, vec!["release.log"]));
    let elsewhere = Cast { log: plain("other.example/log"), ..self::cast() };
    assert_eq!(judge(&elsewhere.release().0, &cast.policy()), (13, vec!["release.log"]));
}

#[test]
fn validity_is_a_closed_interval() {
    let cast = cast();
    let (files, policy) = (cast.release().0, cast.policy());
    for (now, code) in
        [("2026-10-31T23:59:59Z", 12), ("2026-11-01T00:00:00Z", 0), ("2027-11-01T00:00:00Z", 0), ("2027-11-01T00:00:01Z", 12)]
    {
        let expected = if code == 0 { vec![] } else { vec!["release.validity"] };
        assert_eq!(judge_with(&files, &Files::new(), &policy, now), (code, expected), "{now}");
    }
}

#[test]
fn superseded_and_revoked_releases_are_refused() {
    let cast = cast();
    let (files, release) = cast.release();
    let id = release.pin().id();
    let notices = |notice: Notice, key: &SigningKey| -> Files {
        [("notice.json".to_owned(), notice.sign(&[key]).unwrap().to_text().into_bytes())].into()
    };
    let superseded = Notice::Superseded { pin: id, by: Sha256::of(b"next") };
    let revoked = Notice::Revoked { pin: id, reason: "leaks".into() };
    let another = Notice::Revoked { pin: Sha256::of(b"another"), reason: "leaks".into() };
    let stranger = plain("stranger.example/key");
    let judge = |notices: &Files| judge_with(&files, notices, &cast.policy(), NOW);
    assert_eq!(judge(&notices(superseded.clone(), &cast.publisher)), (12, vec!["release.superseded"]));
    assert_eq!(judge(&notices(revoked, &cast.publisher)), (12, vec!["release.revoked"]));
    assert_eq!(judge(&notices(another, &cast.publisher)), (0, vec![]));
    assert_eq!(judge(&notices(superseded.clone(), &stranger)), (0, vec![]), "anybody's word is nobody's");
    let mut damaged = notices(superseded, &cast.publisher);
    let bytes = damaged.get_mut("notice.json").unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert_eq!(judge(&damaged), (10, vec!["release.notices"]));
    let policy = cast.policy_with(&format!("  refused_pins: ['{id}']\n"));
    assert_eq!(self::judge(&files, &policy), (12, vec!["release.revoked"]));
}

#[test]
fn too_few_rebuilds_are_refused() {
    let everyone = cast();
    let lone = Cast { rebuilders: vec![plain("alice.example/rebuild")], ..cast() };
    assert_eq!(judge(&lone.release().0, &everyone.policy()), (12, vec!["release.rebuilds"]));
    let none = Cast { rebuilders: vec![], ..cast() };
    assert_eq!(judge(&none.release().0, &everyone.policy()), (12, vec!["release.rebuilds"]));
    // Two statements of one rebuilder are one.
    let (mut files, release) = lone.release();
    let again = rebuild(&release, release.artefacts(), "sealstone 0.2.0", at(NOW), &lone.rebuilders[0]).unwrap();
    put_rebuild(&mut files, &release, &again).unwrap();
    seal(&mut files, &release, &lone.publisher);
    assert_eq!(judge(&files, &everyone.policy()), (12, vec!["release.rebuilds"]));
    // Strangers' statements count for nothing.
    let strangers = Cast { rebuilders: vec![plain("eve.example/1"), plain("eve.example/2")], ..cast() };
    assert_eq!(judge(&strangers.release().0, &everyone.policy()), (12, vec!["release.rebuilds"]));
}

#[test]
fn a_rebuild_that_differs_cannot_be_stated() {
    let cast = cast();
    let (mut files, release) = cast.release();
    let try_with = |artefacts: &Digests| rebuild(&release, artefacts, "x", at(NOW), &cast.rebuilders[0]);
    for name in release.artefacts().keys() {
        let mut other = release.artefacts().clone();
        other.insert(name.clone(), Sha256::of(b"other"));
        assert!(try_with(&other).unwrap_err().to_string().contains(name.as_str()));
        other.remove(name);
        assert!(try_with(&other).is_err(), "without {name}");
    }
    let mut more = release.artefacts().clone();
    more.insert("more".into(), Sha256::of(b"more"));
    assert!(try_with(&more).is_err());
    // Nor can a statement about another pin be put in.
    let mut parts = parts();
    parts.validity.not_after = at("2028-01-01T00:00:00Z");
    let (_, other) = cast.release_of(parts);
    let statement = rebuild(&other, other.artefacts(), "x", at(NOW), &cast.rebuilders[0]).unwrap();
    assert!(put_rebuild(&mut files, &release, &statement).is_err());
}

#[test]
fn demonstration_keys_are_refused_wherever_they_count() {
    let demonstration = |name: &str| plain(&format!("sealstone.example/demonstration-{name}"));
    let casts = [
        Cast { publisher: demonstration("release"), ..cast() },
        Cast { log: demonstration("log"), ..cast() },
        Cast { witness: key("sealstone.example/demonstration-witness", KeyKind::Cosignature), ..cast() },
        Cast { rebuilders: vec![demonstration("rebuild"), plain("bob.example/rebuild")], ..cast() },
    ];
    for cast in casts {
        let files = cast.release().0;
        assert_eq!(judge(&files, &cast.policy()), (12, vec!["release.demonstration"]));
        assert_eq!(judge(&files, &cast.policy_with("  allow_demonstration: true\n")), (0, vec![]));
    }
}

#[test]
fn a_rotated_key_keeps_what_it_signed_and_no_more() {
    let cast = cast();
    let (files, release) = cast.release();
    let next = plain("example.com/release-2");
    let rotation = |keeps: &[Sha256]| -> Files {
        let (old, new) = (cast.publisher.verifier().clone(), next.verifier().clone());
        let notice = Notice::KeyRotated { old, new, keeps: keeps.iter().copied().collect() };
        let envelope = notice.sign(&[&cast.publisher, &next]).unwrap();
        [("rotation.json".to_owned(), envelope.to_text().into_bytes())].into()
    };
    let judge = |files: &Files, notices: &Files| judge_with(files, notices, &cast.policy(), NOW);
    assert_eq!(judge(&files, &rotation(&[release.pin().id()])), (0, vec![]));
    let (code, refused) = judge(&files, &rotation(&[]));
    assert_eq!((code, refused.contains(&"release.statement")), (10, true));
    // The new key's releases are accepted by whoever trusts the old one and has the notice.
    let later = Cast { publisher: plain("example.com/release-2"), ..self::cast() };
    assert_eq!(judge(&later.release().0, &rotation(&[])), (0, vec![]));
    assert_eq!(judge(&later.release().0, &Files::new()).0, 10);
}

#[test]
fn parts_that_do_not_belong_together_make_no_release() {
    let publisher = cast().publisher;
    for name in ["vmlinuz", "initrd", "uki.efi", "disk.raw"] {
        let mut other = parts();
        other.artefacts.insert(name.into(), Sha256::of(b"other"));
        assert!(cut(other, &publisher).unwrap_err().to_string().contains(name));
    }
    for name in ["sbom.cdx.json", "provenance.json", "source.tar"] {
        let mut other = parts();
        other.documents.remove(name);
        assert!(cut(other, &publisher).unwrap_err().to_string().contains(name));
    }
    let mut backwards = parts();
    backwards.validity.not_after = at("2026-01-01T00:00:00Z");
    assert!(cut(backwards, &publisher).is_err());
}

#[test]
fn a_statement_of_another_kind_is_not_taken_for_one() {
    // The publisher's own signature, on a list of files in place of the release.
    let cast = cast();
    let (mut files, release) = cast.release();
    let list = Envelope::parse(&files[MANIFEST]).unwrap();
    files.insert(STATEMENT.to_owned(), list.to_text().into_bytes());
    seal(&mut files, &release, &cast.publisher);
    let (code, refused) = judge(&files, &cast.policy());
    assert_eq!((code, refused.contains(&"release.statement")), (10, true));
}
