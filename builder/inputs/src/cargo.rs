//! Registry crates, through cargo's own configuration: source replacement, proxies and credentials stay cargo's matter.
//!
//! Asked are the store, the folders of `SEALSTONE_MIRROR`, cargo's cache of downloaded `.crate` files, and then cargo itself,
//! which leaves what it downloads in that cache. Every file is checked against the lock's checksum; nothing else is trusted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sealstone_spec::LockedCrate;

use crate::error::{InputsError, IoContext, Result};
use crate::fetch::FetchReport;
use crate::mirrors::Mirrors;
use crate::progress::{Event, Progress};
use crate::store::{Condition, Expect, Store};

/// The user's cargo.
pub struct Cargo<'a> {
    /// `Cargo.toml` of the workspace whose `Cargo.lock` lists the crates.
    pub manifest: &'a Path,
    /// Cargo's own folder: `CARGO_HOME`, or `.cargo` in the home folder.
    pub home: &'a Path,
    /// Runs `cargo fetch --locked --manifest-path <the argument>` as the user would, and says what went wrong. A function,
    /// because nothing in this crate starts programs.
    pub fetch: &'a dyn Fn(&Path) -> std::result::Result<(), String>,
}

/// Brings crates into the store. With a full store neither cargo nor its cache is touched.
pub fn fetch_crates(
    store: &Store,
    mirrors: &Mirrors,
    crates: &[LockedCrate],
    cargo: &Cargo<'_>,
    progress: &dyn Progress,
) -> Result<FetchReport> {
    let mut report = FetchReport::default();
    let mut missing = missing(store, crates, &mut report, progress)?;
    if missing.is_empty() {
        return Ok(report);
    }
    let mut collect = Collect { store, progress, report: &mut report };
    for folder in mirrors.folders() {
        missing = collect.from(missing, |wanted| vec![folder.join(wanted.sha256.to_string())])?;
    }
    missing = collect.from(missing, |wanted| cached(cargo.home, wanted))?;
    if missing.is_empty() {
        return Ok(report);
    }
    progress.event(&Event::Cargo { crates: missing.len() as u64 });
    let ran = (cargo.fetch)(cargo.manifest);
    missing = collect.from(missing, |wanted| cached(cargo.home, wanted))?;
    if missing.is_empty() {
        return Ok(report);
    }
    Err(InputsError::Crates { problem: explain(&missing, cargo, ran.err()) })
}

fn missing<'c>(
    store: &Store,
    crates: &'c [LockedCrate],
    report: &mut FetchReport,
    progress: &dyn Progress,
) -> Result<Vec<&'c LockedCrate>> {
    let mut missing = Vec::new();
    for wanted in crates {
        if !is_plain(&wanted.name) || !is_plain(&wanted.version) {
            let problem = format!("`{}` `{}` is no crate's name and version; renew the lock", wanted.name, wanted.version);
            return Err(InputsError::Crates { problem });
        }
        match store.check(&wanted.sha256)? {
            Condition::Good => {
                report.present += 1;
                continue;
            }
            Condition::Damaged => {
                report.repaired.push(wanted.sha256);
                progress.event(&Event::Damaged { sha256: wanted.sha256, what: what(wanted) });
            }
            Condition::Absent => {}
        }
        missing.push(wanted);
    }
    progress.event(&Event::Plan { files: missing.len() as u64, bytes: 0, present: report.present });
    Ok(missing)
}

/// Names become parts of paths; cargo's own are of these characters.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

struct Collect<'a> {
    store: &'a Store,
    progress: &'a dyn Progress,
    report: &'a mut FetchReport,
}

impl Collect<'_> {
    /// Takes every crate that one of its places has, and returns the others.
    fn from<'c>(
        &mut self,
        missing: Vec<&'c LockedCrate>,
        places: impl Fn(&LockedCrate) -> Vec<PathBuf>,
    ) -> Result<Vec<&'c LockedCrate>> {
        let mut left = Vec::new();
        for wanted in missing {
            if !self.one(wanted, &places(wanted))? {
                left.push(wanted);
            }
        }
        Ok(left)
    }

    fn one(&mut self, wanted: &LockedCrate, places: &[PathBuf]) -> Result<bool> {
        for path in places {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.refuse(wanted, path, error.to_string());
                    continue;
                }
            };
            let size = file.metadata().doing("looking at", path)?.len();
            let expect = Expect { sha256: wanted.sha256, size };
            match self.store.publish_stream(file, &what(wanted), &expect) {
                Ok(()) => {
                    self.took(wanted, path, size);
                    return Ok(true);
                }
                Err(InputsError::Wrong { problem, .. }) => self.refuse(wanted, path, problem.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn took(&mut self, wanted: &LockedCrate, path: &Path, size: u64) {
        let place = path.parent().unwrap_or(path).display().to_string();
        self.report.fetched += 1;
        self.report.bytes = self.report.bytes.saturating_add(size);
        *self.report.from.entry(place.clone()).or_default() += 1;
        self.progress.event(&Event::Done { sha256: wanted.sha256, what: what(wanted), mirror: place });
    }

    fn refuse(&mut self, wanted: &LockedCrate, path: &Path, problem: String) {
        let (what, mirror) = (what(wanted), path.display().to_string());
        self.report.refused.push((mirror.clone(), what.clone(), problem.clone()));
        self.progress.event(&Event::Refused { sha256: wanted.sha256, what, mirror, problem });
    }
}

/// Where cargo may have put the crate: one folder per registry that it ever used, sorted.
fn cached(home: &Path, wanted: &LockedCrate) -> Vec<PathBuf> {
    let Ok(registries) = fs::read_dir(home.join("registry").join("cache")) else { return Vec::new() };
    let name = format!("{}-{}.crate", wanted.name, wanted.version);
    let mut paths: Vec<PathBuf> = registries.filter_map(|entry| Some(entry.ok()?.path().join(&name))).collect();
    paths.sort();
    paths
}

fn what(wanted: &LockedCrate) -> String {
    format!("crate {} {}", wanted.name, wanted.version)
}

fn explain(missing: &[&LockedCrate], cargo: &Cargo<'_>, problem: Option<String>) -> String {
    let names: Vec<String> = missing.iter().map(|wanted| format!("  {} (SHA-256 {})", what(wanted), wanted.sha256)).collect();
    let ran = match problem {
        Some(problem) => format!("`cargo fetch --locked --manifest-path {}` failed: {problem}", cargo.manifest.display()),
        None => format!(
            "cargo fetched, but {} holds no such files with these checksums; cargo's configuration may replace the registry by a \
             folder of unpacked sources",
            cargo.home.join("registry").join("cache").display()
        ),
    };
    format!(
        "these crates of the lock could not be had:\n{}\n{ran}\nmend cargo's network or configuration, or put the .crate files, \
         named by their SHA-256, into a folder and name that folder in SEALSTONE_MIRROR",
        names.join("\n")
    )
}
