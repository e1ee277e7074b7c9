//! Brings files into the store: several at once, each from the first mirror that gives the right bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sealstone_spec::{Lock, LockedFile, Sha256};

use crate::error::{InputsError, IoContext, Result, WrongBytes};
use crate::http::Refusal;
use crate::mirrors::{ArchiveRef, Location, Mirror, Mirrors};
use crate::progress::{Event, Progress};
use crate::retry::{self, Source, Trouble};
use crate::store::{Condition, Expect, Store};

/// After so many files that nobody has, no further ones are started: the list is long enough to act on.
const FAILURES_LISTED: usize = 8;

/// A watcher is told of a file's progress at most once for so many bytes.
const BYTES_BETWEEN_EVENTS: u64 = 256 * 1024;

/// A file that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// As people know it: `package gcc-12 12.2.0-14`.
    pub what: String,
    /// Its path in an archive: `pool/main/g/gcc-12/…`.
    pub pool_path: Option<String>,
    /// The archive that had it when it was locked.
    pub archive: Option<ArchiveRef>,
}

impl Want {
    /// A file of a lock.
    pub fn of(lock: &Lock, file: &LockedFile) -> Want {
        Want {
            sha256: file.sha256,
            size: file.size,
            what: format!("{} {} {}", if file.arch == "source" { "source file" } else { "package" }, file.name, file.version),
            pool_path: Some(file.path.to_string()),
            archive: ArchiveRef::of(lock, file),
        }
    }
}

/// What fetching came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// Files that were in the store already.
    pub present: u64,
    /// Files that were fetched.
    pub fetched: u64,
    /// Their length together.
    pub bytes: u64,
    /// Objects that were damaged and have been replaced.
    pub repaired: Vec<Sha256>,
    /// How many files each mirror gave.
    pub from: BTreeMap<String, u64>,
    /// Mirrors that gave other bytes, or failed otherwise than by not having a file: mirror, file, what happened.
    pub refused: Vec<(String, String, String)>,
}

/// A file that no mirror gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file.
    pub want: Want,
    /// Every mirror that was asked, and what came of it, in order.
    pub tried: Vec<(String, String)>,
}

/// Brings every wanted file into the store. With a full store no mirror is asked. At most `threads` files are fetched at once.
///
/// Ends with [`InputsError::Unavailable`] when no mirror gives some of the files; those that were fetched stay in the store, so
/// that a later run takes less.
pub fn fetch_all(
    store: &Store,
    mirrors: &Mirrors,
    wants: &[Want],
    threads: usize,
    progress: &dyn Progress,
) -> Result<FetchReport> {
    let mut report = FetchReport::default();
    let missing = missing(store, wants, &mut report, progress)?;
    if missing.is_empty() {
        return Ok(report);
    }
    let run = Run { store, mirrors, progress, next: AtomicUsize::new(0), stop: AtomicBool::new(false), state: Mutex::default() };
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, missing.len()) {
            scope.spawn(|| run.work(&missing));
        }
    });
    let state = run.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.fatal {
        return Err(error);
    }
    if !state.failures.is_empty() {
        let mut failures = state.failures;
        failures.sort_by(|a, b| a.want.what.cmp(&b.want.what));
        return Err(InputsError::Unavailable(failures));
    }
    report.fetched = missing.len() as u64;
    report.bytes = missing.iter().fold(0, |sum, want| sum.saturating_add(want.size));
    report.from = state.from;
    report.refused = state.refused;
    Ok(report)
}

/// What the store lacks, each file once, largest first so that the last thread to end has little to do.
fn missing<'w>(store: &Store, wants: &'w [Want], report: &mut FetchReport, progress: &dyn Progress) -> Result<Vec<&'w Want>> {
    let mut seen = BTreeSet::new();
    let mut missing = Vec::new();
    for want in wants.iter().filter(|want| seen.insert((want.sha256, want.size))) {
        match store.check(&want.sha256)? {
            Condition::Good => {
                check_length(store, want)?;
                report.present += 1;
                continue;
            }
            Condition::Damaged => {
                report.repaired.push(want.sha256);
                progress.event(&Event::Damaged { sha256: want.sha256, what: want.what.clone() });
            }
            Condition::Absent => {}
        }
        missing.push(want);
    }
    missing.sort_by(|a, b| b.size.cmp(&a.size).then(a.sha256.cmp(&b.sha256)));
    let bytes = missing.iter().fold(0, |sum, want| want.size.saturating_add(sum));
    progress.event(&Event::Plan { files: missing.len() as u64, bytes, present: report.present });
    Ok(missing)
}

/// An intact object of another length means that the lock contradicts itself.
fn check_length(store: &Store, want: &Want) -> Result<()> {
    let path = store.object(&want.sha256);
    let actual = path.metadata().doing("looking at", &path)?.len();
    if actual == want.size {
        return Ok(());
    }
    Err(InputsError::LockedSize { what: want.what.clone(), sha256: want.sha256, locked: want.size, actual })
}

/// What the threads share.
struct Run<'a> {
    store: &'a Store,
    mirrors: &'a Mirrors,
    progress: &'a dyn Progress,
    next: AtomicUsize,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fatal: Option<InputsError>,
    failures: Vec<Failure>,
    from: BTreeMap<String, u64>,
    refused: Vec<(String, String, String)>,
}

impl Run<'_> {
    fn work(&self, missing: &[&Want]) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some(want) = missing.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            self.progress.event(&Event::Start { sha256: want.sha256, what: want.what.clone(), size: want.size });
            let result = self.fetch(want);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(Ok(mirror)) => {
                    self.progress.event(&Event::Done { sha256: want.sha256, what: want.what.clone(), mirror: mirror.clone() });
                    *state.from.entry(mirror).or_default() += 1;
                }
                Ok(Err(failure)) => {
                    self.progress.event(&Event::Failed { sha256: want.sha256, what: want.what.clone() });
                    state.failures.push(failure);
                    self.stop.fetch_or(state.failures.len() >= FAILURES_LISTED, Ordering::Relaxed);
                }
                Err(error) => {
                    state.fatal.get_or_insert(error);
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Asks the mirrors in turn. Returns the name of the one that gave the file.
    fn fetch(&self, want: &Want) -> Result<std::result::Result<String, Failure>> {
        let located = self.mirrors.in_order().into_iter().filter_map(|mirror| {
            let location = mirror.file(&want.sha256, want.pool_path.as_deref(), want.archive)?;
            Some((mirror, location))
        });
        let located: Vec<_> = located.collect();
        let mut tried = Vec::new();
        for (index, (mirror, location)) in located.iter().enumerate() {
            let is_last = index + 1 == located.len();
            let refusal = match self.insist(want, mirror, location, is_last) {
                Ok(()) => {
                    mirror.health.succeeded();
                    return Ok(Ok(mirror.name()));
                }
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Mirror(refusal)) => refusal,
            };
            self.record(want, mirror, &refusal);
            tried.push((location.to_string(), refusal.problem().to_owned()));
        }
        Ok(Err(Failure { want: want.clone(), tried }))
    }

    fn insist(&self, want: &Want, mirror: &Mirror, location: &Location, is_last: bool) -> std::result::Result<(), Trouble> {
        let attempts = retry::attempts(self.mirrors.client.patience(), &mirror.health, is_last);
        retry::insist(attempts, |problem, pause| self.rest(want, mirror, problem, pause), || self.ask(want, location))
    }

    fn rest(&self, want: &Want, mirror: &Mirror, problem: &str, pause: Duration) {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let problem = problem.to_owned();
        self.progress.event(&Event::Retry { sha256: want.sha256, mirror: mirror.name(), problem, pause_ms });
    }

    fn ask(&self, want: &Want, location: &Location) -> std::result::Result<(), Trouble> {
        match location {
            Location::File(path) => {
                let file = open(path).map_err(Trouble::Mirror)?;
                let length = file.metadata().ok().map(|meta| meta.len());
                self.receive(want, length, file)
            }
            Location::Url(url) => {
                let answer = self.mirrors.client.get(url, want.size).map_err(Trouble::Mirror)?;
                self.receive(want, answer.length, answer.body)
            }
        }
    }

    /// Checks the promised length before reading, everything else while reading.
    fn receive(&self, want: &Want, length: Option<u64>, body: impl Read) -> std::result::Result<(), Trouble> {
        if let Some(length) = length.filter(|length| *length != want.size) {
            let problem = format!("offers {length} bytes instead of {}", want.size);
            return Err(Trouble::Mirror(Refusal::Lasting(problem)));
        }
        let mut told = 0;
        let mut watch = |done: u64| {
            if done == want.size || done.saturating_sub(told) >= BYTES_BETWEEN_EVENTS {
                told = done;
                self.progress.event(&Event::Bytes { sha256: want.sha256, done });
            }
        };
        let mut source = Source::new(body);
        let expect = Expect { sha256: want.sha256, size: want.size };
        match self.store.publish_watched(&mut source, &want.what, &expect, &mut watch) {
            Ok(()) => Ok(()),
            Err(error) => Err(match (source.failed(), error) {
                (Some(refusal), _) => Trouble::Mirror(refusal),
                (None, InputsError::Wrong { problem: problem @ WrongBytes::Short { .. }, .. }) => {
                    Trouble::Mirror(Refusal::passing(problem.to_string()))
                }
                (None, InputsError::Wrong { problem, .. }) => Trouble::Mirror(Refusal::Lasting(problem.to_string())),
                (None, error) => Trouble::Store(error),
            }),
        }
    }

    /// Not having a file is an honest answer; everything else is reported.
    fn record(&self, want: &Want, mirror: &Mirror, refusal: &Refusal) {
        let name = mirror.name();
        let demoted = match (refusal, mirror.is_folder()) {
            (Refusal::Missing(_), true) => false,
            (Refusal::Missing(_), false) => mirror.health.missed(),
            _ => {
                let (what, problem) = (want.what.clone(), refusal.problem().to_owned());
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.refused.push((name.clone(), what.clone(), problem.clone()));
                drop(state);
                self.progress.event(&Event::Refused { sha256: want.sha256, what, mirror: name.clone(), problem });
                mirror.health.failed()
            }
        };
        if demoted {
            self.progress.event(&Event::Demoted { mirror: name });
        }
    }
}

fn open(path: &Path) -> std::result::Result<File, Refusal> {
    match File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|meta| meta.is_file()) => Ok(file),
        Ok(_) => Err(Refusal::Lasting("is no plain file".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Refusal::Missing("does not have it".to_owned())),
        Err(error) => Err(Refusal::Lasting(error.to_string())),
    }
}

/// The whole message: every file, every mirror, every answer, and what to do.
pub(crate) fn describe_failures(failures: &[Failure]) -> String {
    let mut text = String::new();
    for Failure { want, tried } in failures {
        let path = want.pool_path.as_deref().map(|path| format!(", {path}")).unwrap_or_default();
        // Writing to a string can't fail.
        let _ = writeln!(text, "no mirror gave {} ({} bytes, SHA-256 {}{path}):", want.what, want.size, want.sha256);
        for (place, problem) in tried {
            let _ = writeln!(text, "  {place}: {problem}");
        }
        if tried.is_empty() {
            let _ = writeln!(text, "  there was none to ask");
        }
    }
    text.push_str(
        "check the network and the proxy settings; or put the file, named by its SHA-256, into a folder and name that folder in \
         SEALSTONE_MIRROR; if the file has vanished everywhere or every mirror has the same other bytes, renew its entry with \
         `sealstone lock --update`",
    );
    text
}
