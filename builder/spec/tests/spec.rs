//! The public face of the spec: the example parses to the right values, and every mistake has its exact message.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stand outside of the test functions")]

use sealstone_spec::{
    Attestation, Boot, FirmwareFile, FirmwarePlatform, Generator, Isa, KernelHeader, ModelSource, PcrBank, Platform, Repository,
    Sha256, SourceOrigin, Spec,
};

const EXAMPLE: &str = include_str!("example.yaml");
const FILE: &str = "image/inference.yaml";

fn example() -> Spec {
    Spec::parse(FILE, EXAMPLE).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_parses() {
    let spec = example();
    assert_eq!(spec.sha256, Sha256::of(EXAMPLE.as_bytes()));
    assert_eq!((spec.image.name.as_str(), spec.image.version.as_str(), spec.image.epoch), ("inference", "0.1.0", 1_783_296_000));
    let trixie = &spec.archives[&"trixie".parse().unwrap()];
    assert_eq!((trixie.repository, trixie.suite.as_str()), (Repository::Debian, "trixie"));
    assert_eq!(trixie.snapshot.to_string(), "20260913T000000Z");
    assert_eq!(trixie.also[0].repository, Repository::DebianSecurity);
    assert_eq!(trixie.also[0].keys.as_str(), "keys/debian-security.asc");
    let build = &spec.roots[&"build".parse().unwrap()];
    assert_eq!(build.packages.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["gcc", "g++", "make"]);
    assert_eq!(build.links[&"usr/bin/sh".parse().unwrap()], "dash");
    let linux = &spec.sources[&"linux".parse().unwrap()];
    assert_eq!(linux.origin, SourceOrigin::Package("linux-source-6.12".parse().unwrap()));
    assert_eq!(linux.version.as_ref().map(|version| version.as_str()), Some("6.12.107-1"));
    assert_eq!(spec.userland.isa, Isa::V3);
    assert_eq!(spec.network.port, 8080);
    assert_eq!(spec.attestation, Attestation::Required);
    assert_eq!(spec.models, []);
}

#[test]
fn who_may_use_the_api() {
    // RFC 8032, section 7.1, tests 1 and 2.
    let (first, second) = (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    );
    let with = |auth: &str| EXAMPLE.replace("attestation: required", &format!("attestation: required\nauth: {auth}"));
    let spec = Spec::parse(FILE, &with(&format!("{{audience: https://llm.example, keys: [{second}, {first}]}}"))).unwrap();
    let auth = spec.auth.unwrap();
    assert_eq!(auth.audience, "https://llm.example");
    assert_eq!(auth.keys.iter().map(ToString::to_string).collect::<Vec<_>>(), [first, second], "sorted");
    assert_eq!(Spec::parse(FILE, EXAMPLE).unwrap().auth, None);

    let zeros = "0".repeat(64);
    let nine = (0..9).map(|n| format!("{n}")).collect::<Vec<_>>().join(", ");
    for (auth, expected) in [
        ("{keys: []}".to_owned(), "auth.audience: the field is missing"),
        ("{audience: a}".to_owned(), "auth.keys: the field is missing"),
        ("{audience: a, keys: []}".to_owned(), "auth.keys: 0 keys; list 1 to 8"),
        (format!("{{audience: a b, keys: [{first}]}}"), "auth.audience: `a b` isn't an audience"),
        (format!("{{audience: a, keys: [{first}, {first}]}}"), "is listed twice"),
        (format!("{{audience: a, keys: [{}]}}", first.to_uppercase()), "isn't a key; write the key's 32 bytes"),
        (format!("{{audience: a, keys: [{}]}}", &first[2..]), "isn't a key"),
        // A point of order four, and none at all.
        (format!("{{audience: a, keys: [\"{zeros}\"]}}"), "isn't an Ed25519 public key"),
        (format!("{{audience: a, keys: [\"02{}\"]}}", &zeros[2..]), "isn't an Ed25519 public key"),
        (format!("{{audience: a, keys: [{nine}]}}"), "auth.keys[8]"),
        (format!("{{audience: a, keys: [{first}], algorithm: none}}"), "auth.algorithm: the field isn't known"),
    ] {
        let error = Spec::parse(FILE, &with(&auth)).expect_err(&auth).to_string();
        assert!(error.contains(expected), "{auth}: {error}");
    }
}

#[test]
fn models() {
    let digits = "0011223344556677001122334455667700112233445566770011223344556677";
    let text = EXAMPLE.replace(
        "models: []",
        &format!(
            "models:
  - {{name: tiny, generate: {{kind: tiny, seed: 1}}}}
  - {{name: one, file: ../m/one.gguf, required: false, pack: {{root: {digits}, salt: {digits}, size: 8192}}}}
  - {{name: two, files: [a-1.gguf, a-2.gguf]}}
  - {{name: three, folder: f, main: sub/x.gguf, pack: {{root: {digits}, salt: {digits}, size: 8192, epoch: 7}}}}"
        ),
    );
    let spec = Spec::parse(FILE, &text).unwrap();
    let [tiny, one, two, three] = spec.models.as_slice() else { panic!("four models") };
    assert_eq!(tiny.source, ModelSource::Generated(Generator::Tiny { seed: 1 }));
    assert_eq!((tiny.main.as_str(), tiny.required, tiny.pack), ("model.gguf", true, None));
    assert_eq!((one.main.as_str(), one.required), ("one.gguf", false));
    assert_eq!(one.pack.map(|pack| (pack.root.to_string(), pack.size, pack.epoch)), Some((digits.to_owned(), 8192, 0)));
    assert_eq!(
        (two.main.as_str(), &two.source),
        ("a-1.gguf", &ModelSource::Files(vec!["a-1.gguf".parse().unwrap(), "a-2.gguf".parse().unwrap()]))
    );
    assert_eq!((three.main.as_str(), &three.source), ("sub/x.gguf", &ModelSource::Folder("f".parse().unwrap())));
    assert_eq!(three.pack.map(|pack| pack.epoch), Some(7));
    // Models say nothing about packages.
    assert_eq!(spec.lock_digest(), example().lock_digest());
}

#[test]
fn the_examples_profiles() {
    let spec = example();
    let [snp, tdx, tpm] = spec.profiles.as_slice() else { panic!("three profiles") };
    assert_eq!(snp.firmware, FirmwareFile::Built(FirmwarePlatform::AmdSev));
    let Platform::SevSnp(params) = &snp.platform else { panic!("{snp:?}") };
    assert_eq!(params.vcpu_types, ["EPYC-v4", "EPYC-Milan", "EPYC-Genoa"]);
    assert_eq!((params.guest_features, params.vcpus.as_slice()), (1, [1, 2, 4, 8].as_slice()));
    let Platform::Tdx(params) = &tdx.platform else { panic!("{tdx:?}") };
    assert_eq!(params.kernel_header, [KernelHeader::Raw, KernelHeader::Patched]);
    assert_eq!(params.memory, [4096]);
    let Platform::Tpm2(params) = &tpm.platform else { panic!("{tpm:?}") };
    assert_eq!((params.bank, tpm.boot, tpm.platform.tee()), (PcrBank::Sha256, Boot::Disk, "tpm2"));
    let FirmwareFile::InRoot { root, path } = &tpm.firmware else { panic!("{tpm:?}") };
    assert_eq!((root.as_str(), path.as_str()), ("run", "usr/share/OVMF/OVMF_CODE_4M.fd"));
}
