//! The components of an image and what each is made of.

use std::collections::{BTreeMap, BTreeSet};

use sealstone_formats::cpio;
use sealstone_spec::{Lock, LockedFile, Sha256};
use serde_json::{Value, json};

use super::graph;
use super::{Artefact, INITRD, Inputs};
use crate::crates::{self, Crate};
use crate::{BomError, purl, source};

/// Where the archives of the lock keep every file for good.
const SNAPSHOT: &str = "https://snapshot.debian.org/archive";

/// The four bits of a mode that say what an entry is, and directories' and files' values. Source: `<linux/stat.h>`.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;

/// Components by reference, and what each depends on.
pub(super) struct Components<'a> {
    lock: &'a Lock,
    list: BTreeMap<String, Value>,
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Components<'a> {
    pub(super) fn new(lock: &'a Lock) -> Self {
        Self { lock, list: BTreeMap::new(), uses: BTreeMap::new() }
    }

    fn add(&mut self, reference: &str, mut component: Value) {
        if let Some(map) = component.as_object_mut() {
            map.insert("bom-ref".into(), reference.into());
        }
        self.list.insert(reference.into(), component);
        self.uses.entry(reference.into()).or_default();
    }

    fn link(&mut self, from: &str, to: &str) {
        self.uses.entry(from.into()).or_default().insert(to.into());
    }

    /// The image as a whole is made of these.
    pub(super) fn top<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for name in names.chain([INITRD]) {
            self.link(graph::IMAGE, &graph::artefact(name));
        }
    }

    pub(super) fn finish(self) -> (Vec<Value>, Vec<Value>) {
        let uses = self.uses.into_iter().map(|(reference, on)| json!({"ref": reference, "dependsOn": on}));
        (self.list.into_values().collect(), uses.collect())
    }

    /// The initramfs and every entry of it.
    pub(super) fn initrd(&mut self, inputs: &Inputs<'_>) -> Result<(), BomError> {
        let reference = graph::artefact(INITRD);
        self.add(&reference, json!({"type": "file", "name": INITRD, "hashes": hashes(inputs.initrd_sha256)}));
        for member in cpio::parse(inputs.initrd)?.members {
            let entry = graph::entry(member.name);
            let mut properties = vec![property("mode", &format!("{:06o}", member.header.mode))];
            let mut kind = "file";
            if member.header.mode & TYPE_MASK == TYPE_FILE {
                if crates::is_program(member.data) {
                    kind = "application";
                    self.program(&entry, member.name, member.data)?;
                } else {
                    let origin = inputs.written.get(member.name).ok_or_else(|| BomError::Unaccounted {
                        what: format!("initrd/{}", member.name),
                        problem: "is no program, and nothing says what wrote it".into(),
                    })?;
                    properties.push(property("origin", origin));
                }
                self.add_linked(&entry, member.name, inputs)?;
            }
            let mut component = json!({"type": kind, "name": member.name, "properties": properties});
            // A directory or device has no content that could be hashed.
            if let Some(map) = component.as_object_mut().filter(|_| member.header.mode & TYPE_MASK != TYPE_DIRECTORY) {
                map.insert("hashes".into(), hashes(Sha256::of(member.data)));
            }
            self.add(&entry, component);
            self.link(&reference, &entry);
        }
        Ok(())
    }

    /// The crates of a program.
    fn program(&mut self, entry: &str, path: &str, bytes: &[u8]) -> Result<(), BomError> {
        for krate in crates::of_program(path, bytes)?.into_iter().filter(|krate| !krate.build_only) {
            let reference = self.krate(&krate)?;
            self.link(entry, &reference);
        }
        Ok(())
    }

    fn krate(&mut self, krate: &Crate) -> Result<String, BomError> {
        let (name, version) = (krate.name.as_str(), krate.version.as_str());
        let reference = graph::krate(name, version);
        let mut component = json!({"type": "library", "name": name, "version": version});
        let more = if krate.registry {
            let locked = self.lock.crates.iter().find(|locked| locked.name == name && locked.version == version);
            let locked = locked.ok_or_else(|| BomError::Unaccounted {
                what: format!("crate {name} {version}"),
                problem: "the lock doesn't list it".into(),
            })?;
            json!({"purl": purl::of_crate(name, version), "hashes": hashes(locked.sha256)})
        } else {
            json!({"properties": [property("origin", source::FILE)]})
        };
        merge(&mut component, more);
        self.add(&reference, component);
        Ok(reference)
    }

    pub(super) fn artefact(&mut self, artefact: &Artefact<'_>, inputs: &Inputs<'_>) -> Result<(), BomError> {
        let reference = graph::artefact(artefact.name);
        let mut component = json!({"type": artefact.kind, "name": artefact.name, "hashes": hashes(artefact.sha256)});
        if !artefact.patches.is_empty() {
            merge(&mut component, json!({"pedigree": {"patches": artefact.patches.iter().map(patch).collect::<Vec<_>>()}}));
        }
        self.add(&reference, component);
        if let Some(name) = artefact.source {
            let source = self.source(name)?;
            self.link(&reference, &source);
        }
        self.add_linked(&reference, artefact.name, inputs)?;
        for held in &artefact.holds {
            self.link(&reference, &graph::artefact(held));
        }
        Ok(())
    }

    fn source(&mut self, name: &str) -> Result<String, BomError> {
        let source = self.lock.sources.iter().find(|source| source.name.as_str() == name).ok_or_else(|| {
            BomError::Unaccounted { what: format!("source {name}"), problem: "the lock doesn't list it".into() }
        })?;
        let (suite, version) = (self.suite(&source.archive), source.version.to_string());
        let files: Vec<Value> = source.files.iter().map(|file| self.distribution(file, "source-distribution")).collect();
        let component = json!({
            "type": "library", "name": name, "version": version, "purl": purl::of_source(source, &suite), "externalReferences": files,
        });
        let reference = graph::source(name);
        self.add(&reference, component);
        Ok(reference)
    }

    /// The packages that the linker took something of `what` from.
    fn add_linked(&mut self, reference: &str, what: &str, inputs: &Inputs<'_>) -> Result<(), BomError> {
        for name in inputs.linked.get(what).into_iter().flatten() {
            let file = self.lock.packages.iter().find(|file| file.name == **name).ok_or_else(|| BomError::Unaccounted {
                what: format!("package {name}"),
                problem: format!("the lock doesn't list it, although {what} is linked with it"),
            })?;
            let package = graph::package(file);
            let component = json!({
                "type": "library",
                "name": file.name,
                "version": file.version.to_string(),
                "purl": purl::of_package(file, &self.suite(&file.archive)),
                "hashes": hashes(file.sha256),
                "externalReferences": [self.distribution(file, "distribution")],
            });
            self.add(&package, component);
            self.link(reference, &package);
        }
        Ok(())
    }

    fn suite(&self, archive: &str) -> String {
        self.lock.archive(archive).map_or_else(|| archive.to_owned(), |archive| archive.suite.clone())
    }

    /// Where a file can be fetched whatever mirrors do.
    fn distribution(&self, file: &LockedFile, kind: &str) -> Value {
        let archive = self.lock.archive(&file.archive);
        let (repository, snapshot) =
            archive.map_or_else(Default::default, |archive| (archive.repository.to_string(), archive.snapshot.to_string()));
        json!({"type": kind, "url": format!("{SNAPSHOT}/{repository}/{snapshot}/{}", file.path), "hashes": hashes(file.sha256)})
    }
}

fn hashes(sha256: Sha256) -> Value {
    json!([{"alg": "SHA-256", "content": sha256.to_string()}])
}

/// Names of properties are in a namespace, as CycloneDX's property taxonomy asks.
fn property(name: &str, value: &str) -> Value {
    json!({"name": format!("sealstone:{name}"), "value": value})
}

fn patch((name, text): &(&str, &[u8])) -> Value {
    json!({
        "type": "unofficial",
        "diff": {"text": {"contentType": "text/x-diff", "content": String::from_utf8_lossy(text)}},
        "resolves": [{"type": "enhancement", "name": name}],
    })
}

fn merge(component: &mut Value, more: Value) {
    if let (Some(map), Value::Object(more)) = (component.as_object_mut(), more) {
        map.extend(more);
    }
}
