//! The bill of materials of small images: what it lists, what it refuses, and its shape.
//!
//! The lock is a real one, that of the default image, so that packages, sources and crates are what they are in earnest. With
//! `SEALSTONE_IMAGE` set to an output folder, the same is asked about a real image; ci/oracles/sbom_schema.py validates that against
//! CycloneDX's schema.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use sealstone_bom::sbom::{self, Artefact, Inputs};
use sealstone_bom::{BomError, crates};
use sealstone_formats::cpio;
use sealstone_spec::{Lock, Sha256};
use serde_json::{Value, json};

const EPOCH: u64 = 1_783_764_997;

fn lock() -> Lock {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/inference.lock");
    Lock::parse("inference.lock", &std::fs::read_to_string(path).unwrap()).unwrap()
}

/// An ELF file of nothing but the section that cargo-auditable writes. Source: gabi, "Section Header".
fn program(packages: &Value) -> Vec<u8> {
    let mut list = ZlibEncoder::new(Vec::new(), Compression::default());
    list.write_all(json!({"packages": packages}).to_string().as_bytes()).unwrap();
    let list = list.finish().unwrap();
    let names = b"\0.dep-v0\0.shstrtab\0";
    let (list_at, names_at) = (64, 64 + list.len());
    let table_at = names_at + names.len();
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [3u16, 62] {
        out.extend(half.to_le_bytes());
    }
    out.extend(1u32.to_le_bytes());
    for long in [0u64, 0, table_at as u64] {
        out.extend(long.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 0, 64, 3, 2] {
        out.extend(half.to_le_bytes());
    }
    out.extend(&list);
    out.extend(names);
    for (name, kind, at, size) in [(0u32, 0u32, 0, 0), (1, 1, list_at, list.len()), (9, 3, names_at, names.len())] {
        out.extend(name.to_le_bytes());
        out.extend(kind.to_le_bytes());
        for long in [0u64, 0, at as u64, size as u64, 0, 1, 0] {
            out.extend(long.to_le_bytes());
        }
    }
    // sh_link and sh_info share the eight bytes between sh_size and sh_addralign.
    out
}

fn init() -> Vec<u8> {
    program(&json!([
        {"name": "serde_json", "version": "1.0.154", "source": "crates.io", "dependencies": [1]},
        {"name": "serde_derive", "version": "1.0.229", "source": "crates.io", "kind": "build"},
        {"name": "sealstone-init", "version": "0.1.0", "source": "local", "root": true},
    ]))
}

fn initrd(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut entries = vec![cpio::Entry { path: ".", mode: 0o755, kind: cpio::Kind::Directory }];
    entries.extend(files.iter().map(|(path, data)| cpio::Entry { path, mode: 0o755, kind: cpio::Kind::File(data) }));
    let mut out = Vec::new();
    cpio::write(&entries, EPOCH, &mut out).unwrap();
    out
}

fn written(lock: &Lock, initrd: &[u8]) -> Result<String, BomError> {
    sbom::write(&Inputs {
        name: "inference",
        version: "0.1.0",
        timestamp: "2026-07-11T10:16:37Z",
        tool_version: "0.1.0",
        lock,
        initrd,
        initrd_sha256: Sha256::of(initrd),
        written: BTreeMap::from([("config.json", "written from the spec")]),
        artefacts: vec![Artefact {
            name: "vmlinuz",
            sha256: Sha256::of(b"kernel"),
            kind: "operating-system",
            source: Some("linux"),
            patches: vec![("a.patch", b"--- a\n+++ b\n")],
            holds: vec![],
        }],
        linked: BTreeMap::from([("init".into(), vec!["libc6-dev"])]),
    })
}

fn names(document: &Value, prefix: &str) -> BTreeSet<String> {
    let list = document["components"].as_array().unwrap();
    list.iter().map(|c| c["bom-ref"].as_str().unwrap()).filter_map(|r| Some(r.strip_prefix(prefix)?.to_owned())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The rules of CycloneDX 1.6 that a slip here could break; the whole schema is asked in CI.
fn well_formed(document: &Value) {
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert_eq!(document["specVersion"], "1.6");
    let serial = document["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    assert_eq!(serial.len(), 36);
    let image = [document["metadata"]["component"].clone()];
    let components = document["components"].as_array().unwrap();
    let mut references = BTreeSet::new();
    for component in components.iter().chain(&image) {
        assert!(references.insert(component["bom-ref"].as_str().unwrap()), "a bom-ref stands once: {component}");
        let kinds = ["application", "file", "firmware", "library", "operating-system"];
        assert!(kinds.contains(&component["type"].as_str().unwrap()), "{component}");
        assert!(!component["name"].as_str().unwrap().is_empty());
        for hash in component["hashes"].as_array().into_iter().flatten() {
            assert_eq!((hash["alg"].as_str(), hash["content"].as_str().map(str::len)), (Some("SHA-256"), Some(64)));
        }
    }
    let mut described = BTreeSet::new();
    for node in document["dependencies"].as_array().unwrap() {
        let from = node["ref"].as_str().unwrap();
        assert!(references.contains(from) && described.insert(from), "{node}");
        for to in node["dependsOn"].as_array().unwrap() {
            assert!(references.contains(to.as_str().unwrap()), "{node}");
        }
    }
    assert_eq!(described, references, "each component says what it is made of");
    // Nothing stands in the list that the image does not lead to.
    let mut reached = BTreeSet::from(["image"]);
    let mut left = vec!["image"];
    while let Some(at) = left.pop() {
        let node = document["dependencies"].as_array().unwrap().iter().find(|node| node["ref"] == at).unwrap();
        left.extend(node["dependsOn"].as_array().unwrap().iter().map(|to| to.as_str().unwrap()).filter(|to| reached.insert(to)));
    }
    assert_eq!(reached, references);
}

#[test]
fn lists_what_is_in_the_image_and_nothing_else() {
    let lock = lock();
    let archive = initrd(&[("config.json", b"{}"), ("init", &init())]);
    let text = written(&lock, &archive).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    well_formed(&document);
    assert_eq!(names(&document, "initrd/"), set(&[".", "config.json", "init"]));
    assert_eq!(names(&document, "crate/"), set(&["serde_json@1.0.154", "sealstone-init@0.1.0"]), "macros only ran at build time");
    assert_eq!(names(&document, "package/"), set(&["libc6-dev"]));
    assert_eq!(names(&document, "source/"), set(&["linux"]), "sources that nothing in the image comes from are left out");
    let find = |reference: &str| document["components"].as_array().unwrap().iter().find(|c| c["bom-ref"] == reference).unwrap();
    assert_eq!(find("crate/serde_json@1.0.154")["purl"], "pkg:cargo/serde_json@1.0.154");
    assert!(find("crate/sealstone-init@0.1.0").get("purl").is_none(), "no registry has it");
    assert!(find("initrd/.").get("hashes").is_none());
    assert_eq!(
        find("initrd/config.json")["hashes"][0]["content"],
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    assert_eq!(find("artefact/vmlinuz")["pedigree"]["patches"][0]["diff"]["text"]["content"], "--- a\n+++ b\n");
    assert_eq!(text, written(&lock, &archive).unwrap());
}

#[test]
fn another_image_has_another_serial_number() {
    let lock = lock();
    let serial = |init: &[u8]| -> String {
        let document: Value = serde_json::from_str(&written(&lock, &initrd(&[("init", init)])).unwrap()).unwrap();
        document["serialNumber"].as_str().unwrap().to_owned()
    };
    let longer = [init(), vec![0]].concat();
    assert_ne!(serial(&init()), serial(&longer));
    assert_eq!(serial(&init()), serial(&init()));
}

#[test]
fn what_nobody_accounts_for_is_refused() {
    let lock = lock();
    let other = |package: Value| program(&json!([package]));
    for (what, data, says) in [
        ("notes.txt", b"hello".to_vec(), "initrd/notes.txt is in the image"),
        ("tool", b"\x7fELF and no more".to_vec(), "reading the crates of tool"),
        ("tool", other(json!({"name": "x", "version": "9.9.9", "source": "crates.io"})), "crate x 9.9.9"),
        ("tool", other(json!({"name": "x", "version": "1.0.0", "source": "git"})), "no lock pins"),
    ] {
        let error = written(&lock, &initrd(&[(what, &data)])).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut less = lock;
    less.packages.retain(|file| file.name != "libc6-dev");
    assert!(written(&less, &initrd(&[("init", &init())])).unwrap_err().to_string().contains("package libc6-dev"));
}

#[test]
fn a_list_that_unpacks_to_gigabytes_is_refused() {
    let bomb = program(&json!([{"name": "x".repeat(2 << 20), "version": "1.0.0", "source": "crates.io"}]));
    assert!(crates::of_program("bomb", &bomb).is_err());
}

/// Of a real image, by another way than the one that wrote the document: the programs' crates by name.
#[test]
fn of_a_built_image() {
    let Some(folder) = std::env::var_os("SEALSTONE_IMAGE").map(std::path::PathBuf::from) else {
        println!("SKIPPED of_a_built_image: SEALSTONE_IMAGE names no output folder");
        return;
    };
    let document: Value = serde_json::from_slice(&std::fs::read(folder.join(sbom::FILE)).unwrap()).unwrap();
    well_formed(&document);
    let initrd = std::fs::read(folder.join("initrd")).unwrap();
    let (mut files, mut inside) = (BTreeSet::new(), BTreeSet::new());
    for member in cpio::parse(&initrd).unwrap().members {
        files.insert(member.name.to_owned());
        if member.data.starts_with(b"\x7fELF") {
            let list = auditable_info::json_from_slice(member.data, 1 << 20).unwrap();
            let list: Value = serde_json::from_str(&list).unwrap();
            let runtime = list["packages"].as_array().unwrap().iter().filter(|p| p["kind"] != "build");
            inside.extend(runtime.map(|p| format!("{}@{}", p["name"].as_str().unwrap(), p["version"].as_str().unwrap())));
        }
    }
    assert_eq!(names(&document, "initrd/"), files);
    assert_eq!(names(&document, "crate/"), inside);
}
