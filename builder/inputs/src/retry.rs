//! Asking a mirror again while its failures look passing.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use crate::error::InputsError;
use crate::http::{Patience, Refusal, io_refusal};
use crate::mirrors::Health;

/// Why something did not come from a mirror.
pub(crate) enum Trouble {
    /// The mirror's fault; the next one may do better.
    Mirror(Refusal),
    /// The store's fault; no mirror can help.
    Store(InputsError),
}

/// How often a mirror is asked, and the pause before the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    count: u32,
    pause: Duration,
}

impl Attempts {
    /// As many as patience allows.
    pub(crate) fn all(patience: Patience) -> Self {
        Self { count: patience.attempts, pause: patience.pause }
    }
}

/// A demoted mirror is asked once, unless nobody else is left and it has given something before.
pub(crate) fn attempts(patience: Patience, health: &Health, is_last: bool) -> Attempts {
    let once = health.is_hopeless() || (health.is_demoted() && !is_last);
    let all = Attempts::all(patience);
    if once { Attempts { count: 1, ..all } } else { all }
}

/// Calls `ask` until it succeeds, fails for good, or has been called often enough. `on_pause` is told why and how long it rests.
pub(crate) fn insist<T>(
    attempts: Attempts,
    on_pause: impl Fn(&str, Duration),
    mut ask: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut pause = attempts.pause;
    for _ in 1..attempts.count {
        match ask() {
            Err(Trouble::Mirror(Refusal::Passing { problem, pause: asked })) => {
                let rest = asked.unwrap_or(pause);
                on_pause(&problem, rest);
                thread::sleep(rest);
                pause = pause.saturating_mul(2);
            }
            result => return result,
        }
    }
    ask()
}

/// Remembers that reading failed, to tell a mirror's failure from the store's.
pub(crate) struct Source<R> {
    inner: R,
    failed: Option<Refusal>,
}

impl<R> Source<R> {
    pub(crate) fn new(inner: R) -> Self {
        Source { inner, failed: None }
    }

    pub(crate) fn failed(self) -> Option<Refusal> {
        self.failed
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(io_refusal(error));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn only_passing_failures_are_repeated() {
        let passing = || Trouble::Mirror(Refusal::passing("busy"));
        let lasting = || Trouble::Mirror(Refusal::Lasting("no".into()));
        type Case = (&'static str, u32, fn(u32, fn() -> Trouble, fn() -> Trouble) -> Result<(), Trouble>, u32, bool);
        let cases: &[Case] = &[
            ("at once", 5, |_, _, _| Ok(()), 1, true),
            ("third time", 5, |n, passing, _| if n < 3 { Err(passing()) } else { Ok(()) }, 3, true),
            ("never", 4, |_, passing, _| Err(passing()), 4, false),
            ("for good", 5, |_, _, lasting| Err(lasting()), 1, false),
            ("once only", 1, |_, passing, _| Err(passing()), 1, false),
        ];
        for (what, count, answer, calls, success) in cases {
            let pauses = RefCell::new(Vec::new());
            let mut called = 0;
            let attempts = Attempts { count: *count, pause: Duration::from_micros(1) };
            let result = insist(
                attempts,
                |_, pause| pauses.borrow_mut().push(pause.as_micros()),
                || {
                    called += 1;
                    answer(called, passing, lasting)
                },
            );
            assert_eq!((called, result.is_ok()), (*calls, *success), "{what}");
            let doubling: Vec<u128> = (0..calls - 1).map(|n| 1 << n).collect();
            assert_eq!(pauses.into_inner(), doubling, "{what}");
        }
    }

    #[test]
    fn patience_with_a_demoted_mirror() {
        let patience = Patience::default();
        for (served, demoted, last, count) in [
            (false, false, false, patience.attempts),
            (false, true, true, 1),
            (true, true, false, 1),
            (true, true, true, patience.attempts),
        ] {
            let health = Health::default();
            if served {
                health.succeeded();
            }
            while demoted && !health.is_demoted() {
                health.failed();
            }
            assert_eq!(attempts(patience, &health, last).count, count, "{served} {demoted} {last}");
        }
    }
}
