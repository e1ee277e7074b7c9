//! An action: one recipe, everything that goes into it, and the key that names that everything.
//!
//! Two actions with equal keys produce equal outputs; that is what `build --check` proves and what the cache relies on.
//! Deliberately not in the key: the number of jobs and the folder on the host, which must not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealstone_spec::Sha256;
use serde::{Deserialize, Serialize};

/// Changes when the way actions are run changes in a manner that the other parts of the key don't show
/// (mount layout, environment, how trees are laid out): every cached result is then made anew.
const KEY_SCHEMA: &str = "sealstone/action/v1";

/// Text that no output may hold: places on a machine that no two machines share. `/build` is the same everywhere,
/// but in an output it would tie the bytes to the sandbox's layout, so it is refused as well.
const FOREIGN_PLACES: &[&str] = &["/home/", "/root/", "/build/"];

/// One recipe and all that it may see.
#[derive(Clone, Debug)]
pub struct Action {
    /// Short name, unique within a build: `kernel`, `firmware-amdsev`.
    pub name: String,
    /// Digest of the package tree it runs in.
    pub root: Sha256,
    /// The recipe: POSIX shell, run with `sh -eu`.
    pub script: Arc<str>,
    /// Environment beyond the fixed part.
    pub env: BTreeMap<String, String>,
    /// Folders laid out below `/build`, by their name there.
    pub trees: BTreeMap<String, Tree>,
    /// Read-only files at `/in/<name>`.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// Files that the recipe must leave in `/out`.
    pub outputs: &'static [&'static str],
}

/// Where a folder below `/build` comes from.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Archives of the store, unpacked one after the other, each below `into`.
    Archives(Vec<Unpack>),
    /// A compressed tar inside a Debian package, its top folder stripped.
    InDeb {
        /// The package.
        deb: Sha256,
        /// Path of the tar inside it.
        member: String,
    },
    /// Declared files: path below the folder and content.
    Files(BTreeMap<String, Arc<[u8]>>),
    /// Registry crates, laid out as cargo's directory source wants them.
    Crates(Vec<Crate>),
}

/// One tar to unpack.
#[derive(Clone, Debug)]
pub struct Unpack {
    /// Object in the store.
    pub archive: Sha256,
    /// Leading path components to drop.
    pub strip: usize,
    /// Folder below the tree, empty for the tree itself.
    pub into: String,
}

/// One crate of a registry.
#[derive(Clone, Debug)]
pub struct Crate {
    /// `<name>-<version>`, which is also the folder's name.
    pub folder: String,
    /// Checksum of the `.crate` file, in the store and in the lock.
    pub sha256: Sha256,
}

/// What an action left behind, as the cache keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The action's name.
    pub name: String,
    /// The action's key.
    pub key: Sha256,
    /// Digest and size of every output.
    pub outputs: BTreeMap<String, Output>,
}

/// One file that an action made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
    /// Length in bytes.
    pub size: u64,
}

impl Action {
    /// The digest of everything that goes in.
    pub fn key(&self) -> Sha256 {
        let mut key = KeyText::default();
        key.field("schema", KEY_SCHEMA);
        key.field("name", &self.name);
        key.field("root", self.root.as_bytes());
        key.field("script", &*self.script);
        for (name, value) in &self.env {
            key.field("env", name);
            key.field("is", value);
        }
        for (name, tree) in &self.trees {
            key.field("tree", name);
            tree.feed(&mut key);
        }
        for (name, data) in &self.files {
            key.field("file", name);
            key.field("is", Sha256::of(data).as_bytes());
        }
        for name in self.outputs {
            key.field("output", name);
        }
        Sha256::of(&key.0)
    }

    /// Whether Rust's tools run in it: only they are given crates.
    pub(crate) fn runs_cargo(&self) -> bool {
        self.trees.values().any(|tree| matches!(tree, Tree::Crates(_)))
    }
}

impl Tree {
    fn feed(&self, key: &mut KeyText) {
        match self {
            Tree::Archives(list) => {
                for unpack in list {
                    key.field("archive", unpack.archive.as_bytes());
                    key.field("strip", unpack.strip.to_string());
                    key.field("into", &unpack.into);
                }
            }
            Tree::InDeb { deb, member } => {
                key.field("deb", deb.as_bytes());
                key.field("member", member);
            }
            Tree::Files(files) => {
                for (path, data) in files {
                    key.field("path", path);
                    key.field("is", Sha256::of(data).as_bytes());
                }
            }
            Tree::Crates(crates) => {
                for krate in crates {
                    key.field("crate", &krate.folder);
                    key.field("is", krate.sha256.as_bytes());
                }
            }
        }
    }
}

/// Labelled fields, each with its length in front, so that no two lists of fields read the same.
#[derive(Default)]
struct KeyText(Vec<u8>);

impl KeyText {
    fn field(&mut self, label: &str, value: impl AsRef<[u8]>) {
        for part in [label.as_bytes(), value.as_ref()] {
            self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.0.extend_from_slice(part);
        }
    }
}

/// The first place of a machine that stands in an output, with its offset.
pub(crate) fn foreign_place(data: &[u8], also: &[&str]) -> Option<(String, usize)> {
    FOREIGN_PLACES
        .iter()
        .chain(also)
        .filter_map(|place| memchr::memmem::find(data, place.as_bytes()).map(|at| (place.to_string(), at)))
        .min_by_key(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action() -> Action {
        Action {
            name: "kernel".into(),
            root: Sha256::of(b"root"),
            script: "true".into(),
            env: BTreeMap::from([("A".into(), "1".into())]),
            trees: BTreeMap::from([("src".into(), Tree::Files(BTreeMap::from([("a".into(), Arc::from(&b"x"[..]))])))]),
            files: BTreeMap::from([("config".into(), Arc::from(&b"y"[..]))]),
            outputs: &["bzImage"],
        }
    }

    #[test]
    fn every_part_moves_the_key() {
        let base = action().key();
        type Change = Box<dyn Fn(&mut Action)>;
        let variants: Vec<(&str, Change)> = vec![
            ("name", Box::new(|a| a.name.push('x'))),
            ("root", Box::new(|a| a.root = Sha256::of(b"other"))),
            ("script", Box::new(|a| a.script = "false".into())),
            ("env value", Box::new(|a| drop(a.env.insert("A".into(), "2".into())))),
            ("env name", Box::new(|a| drop(a.env.insert("B".into(), "1".into())))),
            ("file content", Box::new(|a| drop(a.files.insert("config".into(), Arc::from(&b"z"[..]))))),
            ("file name", Box::new(|a| drop(a.files.insert("other".into(), Arc::from(&b"y"[..]))))),
            ("tree", Box::new(|a| drop(a.trees.insert("src".into(), Tree::Crates(vec![]))))),
            (
                "strip",
                Box::new(|a| {
                    let unpack = Unpack { archive: Sha256::of(b"t"), strip: 1, into: String::new() };
                    a.trees.insert("src".into(), Tree::Archives(vec![unpack]));
                }),
            ),
            ("outputs", Box::new(|a| a.outputs = &["bzImage", "config"])),
        ];
        let mut seen = vec![base];
        for (what, change) in variants {
            let mut changed = action();
            change(&mut changed);
            let key = changed.key();
            assert!(!seen.contains(&key), "{what} does not move the key");
            seen.push(key);
        }
        assert_eq!(base, action().key(), "the key is a function of the action alone");
    }

    #[test]
    fn foreign_places_are_found() {
        assert_eq!(foreign_place(b"..../home/u/x", &[]), Some(("/home/".into(), 4)));
        assert_eq!(foreign_place(b"a /srv/store/b /root/", &["/srv/store"]), Some(("/srv/store".into(), 2)));
        assert_eq!(foreign_place(b"/homes and /rooted", &[]), None);
    }
}
