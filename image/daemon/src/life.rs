//! The end of serving: asked for once, then nothing new begins, what runs is finished in bounded time, and the process ends.
//!
//! Three phases. *Serving*; *draining*, in which no connection is accepted, no channel opened and no request of the API taken,
//! while requests that run go on; *ending*, in which sessions are closed in an orderly way.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::{future::poll_fn, pin::pin};

use tokio::sync::watch;
use tokio::time;

use crate::metrics::Metrics;

/// Where in its life the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Ending,
}

/// How long the end may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For requests that run when the end is asked for. init waits longer than this and [`Limits::farewell`] together.
    pub requests: Duration,
    /// For sessions to send what is left and say goodbye.
    pub farewell: Duration,
}

impl Limits {
    /// What the image uses. Clouds give a guest 60 to 120 seconds between asking and switching off.
    pub const DEFAULT: Limits = Limits { requests: Duration::from_secs(45), farewell: Duration::from_secs(5) };
}

/// What was cut off at the end, because its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Requests that still ran after [`Limits::requests`].
    pub requests: usize,
    /// Sessions that hadn't ended after [`Limits::farewell`].
    pub sessions: usize,
}

/// The daemon's life, of which everything that serves has a clone: how far it is, and how much has happened in it.
#[derive(Clone, Debug)]
pub struct Life(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    phase: watch::Sender<Phase>,
    requests: watch::Sender<usize>,
    sessions: watch::Sender<usize>,
    metrics: Metrics,
}

impl Default for Life {
    fn default() -> Life {
        let count = || watch::Sender::new(0);
        let phase = watch::Sender::new(Phase::Serving);
        Life(Arc::new(Shared { phase, requests: count(), sessions: count(), metrics: Metrics::default() }))
    }
}

impl Life {
    /// Asks for the end. Once is enough, and nothing takes it back.
    pub fn end(&self) {
        self.move_on(Phase::Draining);
    }

    /// Whether nothing new may begin.
    pub fn is_draining(&self) -> bool {
        *self.0.phase.borrow() >= Phase::Draining
    }

    /// Sessions that are open, those in their handshake among them.
    pub fn sessions(&self) -> usize {
        *self.0.sessions.borrow()
    }

    /// Requests in sessions that are being answered.
    pub fn requests(&self) -> usize {
        *self.0.requests.borrow()
    }

    /// What has happened, counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// A request in a session, which the end waits for until this is dropped.
    pub(crate) fn request(&self) -> Running {
        Running::new(self.0.requests.clone())
    }

    /// A session, likewise.
    pub(crate) fn session(&self) -> Running {
        Running::new(self.0.sessions.clone())
    }

    /// Until nothing new may begin.
    pub(crate) async fn draining(&self) {
        self.reaches(Phase::Draining).await;
    }

    /// Until sessions have to end.
    pub(crate) async fn ending(&self) {
        self.reaches(Phase::Ending).await;
    }

    /// From the moment the end was asked for until there is nothing left, or its time is over.
    pub(crate) async fn finish(&self, limits: Limits) -> Ended {
        let requests = none_left(&self.0.requests, limits.requests).await;
        self.move_on(Phase::Ending);
        Ended { requests, sessions: none_left(&self.0.sessions, limits.farewell).await }
    }

    fn move_on(&self, to: Phase) {
        self.0.phase.send_if_modified(|phase| {
            let moves = *phase < to;
            *phase = to.max(*phase);
            moves
        });
    }

    async fn reaches(&self, wanted: Phase) {
        // Fails only without a sender, of which `self` has one.
        let _ = self.0.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }
}

/// How many there are still when none are left or the time is over.
async fn none_left(count: &watch::Sender<usize>, limit: Duration) -> usize {
    let mut watched = count.subscribe();
    let _ = time::timeout(limit, watched.wait_for(|count| *count == 0)).await;
    *count.borrow()
}

/// Something that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running(watch::Sender<usize>);

impl Running {
    fn new(count: watch::Sender<usize>) -> Running {
        count.send_modify(|count| *count = count.saturating_add(1));
        Running(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// What `work` gives, unless `stop` comes first.
pub(crate) async fn unless<S: Future, W: Future>(stop: S, work: W) -> Option<W::Output> {
    let (mut stop, mut work) = (pin!(stop), pin!(work));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => stop.as_mut().poll(cx).map(|_| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Limits = Limits { requests: Duration::from_millis(200), farewell: Duration::from_millis(100) };

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn the_end_waits_for_what_runs() {
        run(async {
            let life = Life::default();
            let (request, session) = (life.request(), life.session());
            assert_eq!((life.is_draining(), life.requests(), life.sessions()), (false, 1, 1));
            life.end();
            life.end();
            life.draining().await;
            assert!(life.is_draining());
            let long = Limits { requests: Duration::from_secs(60), farewell: Duration::from_secs(60) };
            let (other, began) = (life.clone(), time::Instant::now());
            let tidy = tokio::spawn(async move {
                time::sleep(Duration::from_millis(50)).await;
                drop(request);
                other.ending().await;
                drop(session);
            });
            assert_eq!(life.finish(long).await, Ended { requests: 0, sessions: 0 });
            assert!(began.elapsed() >= Duration::from_millis(50) && began.elapsed() < Duration::from_secs(30));
            tidy.await.unwrap();
        });
    }

    #[test]
    fn but_not_for_ever() {
        run(async {
            let life = Life::default();
            let _running = (life.request(), life.session(), life.session());
            life.end();
            let began = time::Instant::now();
            assert_eq!(life.finish(SHORT).await, Ended { requests: 1, sessions: 2 });
            assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
        });
    }

    #[test]
    fn nothing_is_stopped_before() {
        run(async {
            let life = Life::default();
            assert_eq!(time::timeout(Duration::from_millis(50), life.draining()).await.ok(), None);
            assert_eq!(unless(life.draining(), async { 7 }).await, Some(7));
            life.end();
            assert_eq!(unless(life.draining(), std::future::pending::<()>()).await, None);
            assert_eq!(time::timeout(Duration::from_millis(50), life.ending()).await.ok(), None);
        });
    }
}
