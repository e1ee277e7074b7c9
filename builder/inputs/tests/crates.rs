//! Crates from mirror folders, from cargo's cache, and from a cargo that does what it is told.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

mod common;

use std::cell::Cell;
use std::fs;
use std::path::Path;

use common::{Watch, into_folder, mirrors};
use sealstone_inputs::{Cargo, Event, FetchReport, InputsError, Store, fetch_crates};
use sealstone_spec::{LockedCrate, Sha256};
use tempfile::TempDir;

fn locked(name: &str, content: &[u8]) -> LockedCrate {
    LockedCrate { name: name.into(), version: "1.0.0+x".into(), sha256: Sha256::of(content) }
}

struct Place {
    store: TempDir,
    home: TempDir,
    folder: TempDir,
    runs: Cell<usize>,
    watch: Watch,
}

impl Place {
    fn new() -> Place {
        let [store, home, folder] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        Place { store, home, folder, runs: Cell::new(0), watch: Watch::default() }
    }

    fn cache(&self, registry: &str, file: &str, content: &[u8]) {
        cache(self.home.path(), registry, file, content);
    }

    fn fetch(&self, crates: &[LockedCrate], run: &dyn Fn() -> Result<(), String>) -> Result<FetchReport, InputsError> {
        let store = Store::open(self.store.path()).unwrap();
        let fetch = |manifest: &Path| {
            assert_eq!(manifest, Path::new("image/Cargo.toml"));
            self.runs.set(self.runs.get() + 1);
            run()
        };
        let cargo = Cargo { manifest: Path::new("image/Cargo.toml"), home: self.home.path(), fetch: &fetch };
        let result = fetch_crates(&store, &mirrors(&self.folder.path().display().to_string()), crates, &cargo, &self.watch);
        for wanted in crates.iter().filter(|_| result.is_ok()) {
            assert!(store.verify(&wanted.sha256).unwrap(), "{}", wanted.name);
        }
        result
    }
}

fn cache(home: &Path, registry: &str, file: &str, content: &[u8]) {
    let folder = home.join("registry/cache").join(registry);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(file), content).unwrap();
}

#[test]
fn what_is_at_hand_needs_no_cargo() {
    let place = Place::new();
    into_folder(place.folder.path(), b"in the folder");
    place.cache("a-registry", "cached-1.0.0+x.crate", b"other bytes of that name");
    place.cache("b-registry", "cached-1.0.0+x.crate", b"cached");
    let wanted = [locked("folder", b"in the folder"), locked("cached", b"cached")];
    let report = place.fetch(&wanted, &|| Err("not needed".into())).unwrap();
    assert_eq!((report.fetched, report.refused.len(), place.runs.get()), (2, 1, 0));
    let report = place.fetch(&wanted, &|| Err("not needed".into())).unwrap();
    assert_eq!((report.present, report.fetched, place.runs.get()), (2, 0, 0), "a full store needs neither");
}

#[test]
fn cargo_fetches_the_rest() {
    let place = Place::new();
    let home = place.home.path().to_path_buf();
    let run = || {
        cache(&home, "a-registry", "new-1.0.0+x.crate", b"new");
        Ok(())
    };
    let report = place.fetch(&[locked("new", b"new")], &run).unwrap();
    assert_eq!((report.fetched, place.runs.get()), (1, 1));
    assert_eq!(place.watch.count(|event| *event == Event::Cargo { crates: 1 }), 1);
}

#[test]
fn errors_name_the_crates_and_the_remedy() {
    let cases = [
        (Err("no network".to_owned()), "`cargo fetch --locked --manifest-path image/Cargo.toml` failed: no network"),
        (Ok(()), "replace the registry by a folder of unpacked sources"),
    ];
    for (answer, reason) in cases {
        let error = Place::new().fetch(&[locked("gone", b"x")], &|| answer.clone()).unwrap_err().to_string();
        for part in [reason, "crate gone 1.0.0+x", "SEALSTONE_MIRROR"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
    }
    let place = Place::new();
    place.cache("a-registry", "bad-1.0.0+x.crate", b"tampered");
    assert!(place.fetch(&[locked("bad", b"x")], &|| Ok(())).is_err(), "other bytes are never taken");
}

#[test]
fn names_cannot_leave_the_cache() {
    for name in ["../../x", "a/b", "", ".hidden"] {
        let error = Place::new().fetch(&[locked(name, b"x")], &|| Ok(())).unwrap_err().to_string();
        assert!(error.contains("no crate's name"), "{error}");
    }
}
