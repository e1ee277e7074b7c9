//! Progress on standard error: bars on a terminal, a line a step elsewhere, or one JSON object a line.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sealstone_inputs::Event as Fetch;
use sealstone_pipeline::progress::{Event, Reporter};

use crate::args::ProgressMode;

/// Shows what happens, in the way that fits standard error.
pub(crate) struct Terminal {
    mode: Mode,
}

enum Mode {
    Bars(Bars),
    Lines(Mutex<Lines>),
    Json(Mutex<()>),
    None,
}

impl Terminal {
    pub(crate) fn new(mode: ProgressMode) -> Self {
        let mode = match mode {
            ProgressMode::Jsonl => Mode::Json(Mutex::new(())),
            ProgressMode::None => Mode::None,
            ProgressMode::Auto if std::io::stderr().is_terminal() => Mode::Bars(Bars::new()),
            ProgressMode::Auto => Mode::Lines(Mutex::new(Lines::default())),
        };
        Self { mode }
    }

    /// Takes the bars off the screen; what was said stays.
    pub(crate) fn finish(&self) {
        if let Mode::Bars(bars) = &self.mode {
            let _ = bars.all.clear();
        }
    }
}

impl Reporter for Terminal {
    fn event(&self, event: Event) {
        match &self.mode {
            Mode::None => {}
            Mode::Json(lock) => {
                let _held = lock.lock();
                if let Ok(line) = serde_json::to_string(&event) {
                    eprintln!("{line}");
                }
            }
            Mode::Lines(lines) => {
                let line = lines.lock().ok().and_then(|mut lines| lines.take(&event));
                if let Some(line) = line {
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
            Mode::Bars(bars) => bars.take(&event),
        }
    }
}

/// What a log wants: one line for each thing that begins or ends, and a summary for what there are hundreds of.
#[derive(Default)]
struct Lines {
    files: u64,
    fetched: u64,
    packages: usize,
}

impl Lines {
    fn take(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Fetch(Fetch::Plan { files: 0, .. }) => None,
            Event::Fetch(Fetch::Plan { files, bytes, .. }) => {
                (self.files, self.fetched) = (*files, 0);
                Some(format!("fetching {files} files, {}", size(*bytes)))
            }
            Event::Fetch(Fetch::Done { .. }) => {
                self.fetched += 1;
                let tenth = self.files.div_ceil(10).max(1);
                (self.fetched == self.files || self.fetched.is_multiple_of(tenth))
                    .then(|| format!("fetched {} of {}", self.fetched, self.files))
            }
            Event::RootStarted { packages, .. } => {
                self.packages = *packages;
                sentence(event)
            }
            other => sentence(other),
        }
    }
}

/// The sentence for an event that everybody should see, if it is one.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::Fetch(Fetch::Damaged { what, .. }) => format!("{what} in the store was damaged; fetching it again"),
        Event::Fetch(Fetch::Refused { what, mirror, problem, .. }) => {
            format!("{what}: {mirror}: {problem}; asking the next mirror")
        }
        Event::Fetch(Fetch::Retry { mirror, problem, .. }) => format!("{mirror}: {problem}; trying again"),
        Event::Fetch(Fetch::Demoted { mirror }) => format!("{mirror} failed too often and is asked last from now on"),
        Event::RootStarted { root, packages } => format!("unpacking the {root} root, {packages} packages"),
        Event::RootReady { root } => format!("the {root} root is ready"),
        Event::ActionStarted { action } => format!("{action}: building"),
        Event::ActionCached { action } => format!("{action}: unchanged"),
        Event::ActionDone { action, seconds } => format!("{action}: built in {}", duration(*seconds)),
        Event::Packing { what, done: 0, .. } => what.clone(),
        Event::Step { step } => step.clone(),
        _ => return None,
    })
}

/// One bar for fetching, one for unpacking, a spinner for each action that runs.
struct Bars {
    all: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fetch: Option<ProgressBar>,
    fetched: BTreeMap<String, u64>,
    unpack: Option<ProgressBar>,
    packing: Option<ProgressBar>,
    actions: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::new(), state: Mutex::default() }
    }

    fn take(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else { return };
        match event {
            Event::Fetch(fetch) => self.fetch(&mut state, fetch),
            Event::RootStarted { root, packages } => {
                let bar = self.all.add(ProgressBar::new(*packages as u64));
                bar.set_style(style("{prefix:>12} {bar:32} {pos}/{len} {msg}"));
                bar.set_prefix(format!("unpack {root}"));
                state.unpack = Some(bar);
            }
            Event::RootPackage { done, package, .. } => {
                if let Some(bar) = &state.unpack {
                    bar.set_position(*done as u64);
                    bar.set_message(package.clone());
                }
            }
            Event::RootReady { .. } => {
                if let Some(bar) = state.unpack.take() {
                    bar.finish_and_clear();
                }
            }
            Event::Packing { what, done, total } => {
                let bar = state.packing.get_or_insert_with(|| {
                    let bar = self.all.add(ProgressBar::new(*total));
                    bar.set_style(style("{prefix:>12} {bar:32} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left"));
                    bar.set_prefix(what.clone());
                    bar
                });
                bar.set_position(*done);
                if done == total {
                    bar.finish_and_clear();
                    state.packing = None;
                }
            }
            Event::ActionStarted { action } => {
                let bar = self.all.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {msg} {elapsed}"));
                bar.set_message(format!("building {action}"));
                bar.enable_steady_tick(Duration::from_millis(200));
                state.actions.insert(action.clone(), bar);
            }
            Event::ActionDone { action, .. } => {
                if let Some(bar) = state.actions.remove(action) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        if let (Some(line), false) =
            (sentence(event), matches!(event, Event::RootStarted { .. } | Event::ActionStarted { .. } | Event::Packing { .. }))
        {
            let _ = self.all.println(line);
        }
    }

    fn fetch(&self, state: &mut State, event: &Fetch) {
        match event {
            Fetch::Plan { files, bytes, .. } if *files > 0 => {
                let bar = self.all.add(ProgressBar::new(*bytes));
                bar.set_style(style("{prefix:>12} {bar:32} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left  {msg}"));
                bar.set_prefix(format!("fetch {files}"));
                state.fetched.clear();
                state.fetch = Some(bar);
            }
            Fetch::Start { what, .. } => {
                if let Some(bar) = &state.fetch {
                    bar.set_message(what.clone());
                }
            }
            Fetch::Bytes { sha256, done } => {
                state.fetched.insert(sha256.to_string(), *done);
                if let Some(bar) = &state.fetch {
                    bar.set_position(state.fetched.values().sum());
                    if bar.length() == Some(bar.position()) {
                        bar.finish_and_clear();
                    }
                }
            }
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `12.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `8 min 12 s`, `9.1 s`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_summaries_not_hundreds_of_lines() {
        let sha256 = sealstone_spec::Sha256::of(b"x");
        let mut lines = Lines::default();
        let plan = Event::Fetch(Fetch::Plan { files: 300, bytes: 3 << 20, present: 0 });
        assert_eq!(lines.take(&plan).unwrap(), "fetching 300 files, 3.00 MiB");
        let done = Event::Fetch(Fetch::Done { sha256, what: "package a 1".into(), mirror: "m".into() });
        let said: Vec<String> = (0..300).filter_map(|_| lines.take(&done)).collect();
        assert_eq!(said.len(), 10);
        assert_eq!(said.last().unwrap(), "fetched 300 of 300");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(9.06), "9.1 s");
        assert_eq!(duration(492.9), "8 min 12 s");
    }
}
