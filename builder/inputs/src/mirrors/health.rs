//! How a mirror has behaved in this run, and whether it is still asked in its turn.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Failures in a row (no answer, server errors, wrong bytes) after which a mirror is asked last.
const FAILURES_BEFORE_DEMOTION: u32 = 3;

/// Files in a row that a mirror does not have, after which it is asked last. Higher, because not having a file is an honest answer.
const MISSES_BEFORE_DEMOTION: u32 = 12;

/// A mirror's record. Demotion lasts for the run: a mirror that works now and then would otherwise cost its timeouts again and again.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    misses: AtomicU32,
    demoted: AtomicBool,
    has_served: AtomicBool,
}

impl Health {
    pub(crate) fn is_demoted(&self) -> bool {
        self.demoted.load(Ordering::Relaxed)
    }

    /// A demoted mirror that never gave anything is most likely out of reach; waiting for it again and again only delays the news.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.is_demoted() && !self.has_served.load(Ordering::Relaxed)
    }

    pub(crate) fn succeeded(&self) {
        self.has_served.store(true, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.misses.store(0, Ordering::Relaxed);
    }

    /// Returns whether this was the failure that demotes it.
    pub(crate) fn failed(&self) -> bool {
        self.count(&self.failures, FAILURES_BEFORE_DEMOTION)
    }

    /// Returns whether this was the miss that demotes it.
    pub(crate) fn missed(&self) -> bool {
        self.count(&self.misses, MISSES_BEFORE_DEMOTION)
    }

    fn count(&self, counter: &AtomicU32, limit: u32) -> bool {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1) >= limit && !self.demoted.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row() {
        let health = Health::default();
        assert!(!health.failed() && !health.failed());
        health.succeeded();
        assert!(!health.failed() && !health.failed() && !health.is_demoted());
        assert!(health.failed() && health.is_demoted());
        assert!(!health.failed(), "demoted once");
        assert!(!health.is_hopeless(), "it gave something before");
        health.succeeded();
        assert!(health.is_demoted(), "for the run");
    }

    #[test]
    fn not_having_files_is_forgiven_longer() {
        let health = Health::default();
        assert!(!health.is_hopeless());
        assert_eq!((0..20).filter(|_| health.missed()).collect::<Vec<_>>(), [11]);
        assert!(health.is_hopeless());
    }
}
