//! The module as a whole, on small archives that are made and signed here.

mod resolution;
mod trust;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;

use lzma_rust2::{XzOptions, XzWriter};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Password, SigningKey, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sealstone_spec::{Lock, Sha256, Spec, SpecPath, UtcTime};

use super::{Accept, DebianError, IndexFile, IndexSource, Indexes, SourceError, load_indexes};

/// `Date` of the archives that are made here, and the time at which they are read.
const DATE: &str = "Sat, 11 Jul 2026 10:16:37 UTC";
const NOW: &str = "2026-07-12T00:00:00Z";

/// A key with a subkey for signing, both the same on every run.
struct TestKey(SignedSecretKey);

impl TestKey {
    fn new(seed: u64) -> TestKey {
        let created = Timestamp::from_secs(1_700_000_000);
        let subkey = SubkeyParamsBuilder::default().key_type(KeyType::Ed25519Legacy).can_sign(true).created_at(created).build();
        let params = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .created_at(created)
            .primary_user_id("Test Archive <archive@example.org>".into())
            .subkeys(vec![subkey.unwrap()])
            .build();
        TestKey(params.unwrap().generate(StdRng::seed_from_u64(seed)).unwrap())
    }

    fn public(&self) -> Vec<u8> {
        self.0.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// Clear-signs with the subkey, as archives do.
    fn sign(&self, text: &str) -> Vec<u8> {
        sign(text, &self.0.secret_subkeys[0].key, SignatureType::Text, HashAlgorithm::Sha256)
    }

    fn sign_with_primary(&self, text: &str, typ: SignatureType, hash: HashAlgorithm) -> Vec<u8> {
        sign(text, &self.0.primary_key, typ, hash)
    }
}

fn sign(text: &str, key: &impl SigningKey, typ: SignatureType, hash: HashAlgorithm) -> Vec<u8> {
    let message = CleartextSignedMessage::new_many(text, |normalized| {
        let mut config = SignatureConfig::v4(typ, key.algorithm(), hash);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(1_783_764_997)))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        ];
        Ok(vec![config.sign(key, &Password::empty(), normalized.as_bytes())?])
    });
    message.unwrap().to_armored_bytes(ArmorOptions::default()).unwrap()
}

/// An archive in memory. Every file can be changed after it was made.
struct Archive {
    files: BTreeMap<String, Vec<u8>>,
    asked: RefCell<Vec<String>>,
}

impl IndexSource for Archive {
    fn fetch(&self, file: &IndexFile, accept: &mut Accept<'_>) -> Result<Vec<u8>, SourceError> {
        let path = format!("{}/{}", file.repository, file.path);
        self.asked.borrow_mut().push(path.clone());
        let bytes = self.files.get(&path).cloned().ok_or_else(|| format!("no {path}"))?;
        accept(&bytes)?;
        Ok(bytes)
    }
}

impl Archive {
    fn new() -> Archive {
        Archive { files: BTreeMap::new(), asked: RefCell::default() }
    }

    /// Adds a suite with the component `main`.
    fn suite(mut self, key: &TestKey, repository: &str, name: &str, packages: &str, sources: &str) -> Archive {
        let head = format!("Suite: stable\nCodename: {name}\nDate: {DATE}\n");
        self.add_suite(key, repository, name, &head, packages, sources);
        self
    }

    fn add_suite(&mut self, key: &TestKey, repository: &str, name: &str, head: &str, packages: &str, sources: &str) {
        let mut release = format!("{head}SHA256:\n");
        for (path, text) in [("main/binary-amd64/Packages", packages), ("main/source/Sources", sources)] {
            let packed = xz(text.as_bytes());
            for (path, bytes) in [(path.to_owned(), text.as_bytes()), (format!("{path}.xz"), &packed)] {
                release += &format!(" {} {} {path}\n", Sha256::of(bytes), bytes.len());
            }
            self.files.insert(format!("{repository}/dists/{name}/{path}.xz"), packed);
        }
        self.files.insert(format!("{repository}/dists/{name}/InRelease"), key.sign(&release));
    }
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A paragraph of a Packages file. `more` are further lines.
fn deb(name: &str, version: &str, more: &str) -> String {
    let digest = Sha256::of(format!("{name} {version}").as_bytes());
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/main/{name}_{version}.deb\nSize: 10\nSHA256: {digest}\n\n"
    )
}

/// A spec with one root of `packages` and the given sources, from the suite `stable-suite` and what `also` adds.
fn spec(packages: &str, exclude: &str, sources: &str, also: &str) -> Spec {
    let text = format!(
        "schema: sealstone/spec/v1
image: {{name: test, version: 0.1.0, epoch: 1783296000}}
archives:
  main: {{suite: testing-suite, components: [main], keys: keys/test.asc, snapshot: 20260712T000000Z, also: [{also}]}}
roots:
  build: {{archive: main, packages: [{packages}], exclude: [{exclude}]}}
sources:
  code: {{archive: main, {sources}}}
kernel: {{source: code, fragments: [a], resolved: b, cmdline: []}}
userland: {{workspace: ., isa: x86-64-v3}}
firmware: {{source: code, platforms: []}}
stub: {{source: code}}
network: {{address: dhcp, port: 8080}}
attestation: required
"
    );
    Spec::parse("image/test.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn now() -> UtcTime {
    NOW.parse().unwrap()
}

fn load(spec: &Spec, key: &TestKey, archive: &Archive, old: Option<&Lock>) -> Result<Indexes, DebianError> {
    load_at(spec, key, archive, old, now())
}

fn load_at(spec: &Spec, key: &TestKey, archive: &Archive, old: Option<&Lock>, now: UtcTime) -> Result<Indexes, DebianError> {
    let keys: BTreeMap<SpecPath, Vec<u8>> = [("keys/test.asc".parse().unwrap(), key.public())].into();
    load_indexes(spec, &keys, archive, old, now)
}
