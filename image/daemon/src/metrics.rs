//! Counters, of which there are two kinds.
//!
//! What goes on *outside* of sessions (connections, handshakes, refusals) is in plain view of whoever carries the packets, so `/metrics` says it to
//! everybody. What goes on *inside* (how many requests, of which kind, how they ended, how long they took) isn't: the host sees no more than padded
//! records, and one session nothing of another. So it is only for whoever shows a token that says `metrics`; an image without `auth`, in which
//! anybody can open a session, says it to nobody.
//!
//! Nothing that isn't a variant of these enums can be counted, so nothing of a request can get into a name, and there is no counter of tokens,
//! lengths or single sessions.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;

/// Declares an enum together with all of its variants and the words that stand for them in `/metrics`.
macro_rules! words {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($(#[$doc])* $variant),+ }

        impl $type {
            const ALL: &'static [$type] = &[$($type::$variant),+];

            fn word(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }
    };
}

words!(
    /// Something that whoever carries the packets can see as well.
    Outside {
        /// A connection was accepted.
        Connection = "connections_total",
        /// A WebSocket was opened for a session.
        Channel = "channels_total",
        /// One was refused: no place for another session or handshake.
        ChannelBusy = "channels_refused_total{why=\"busy\"}",
        /// One was refused: the end is near.
        ChannelDraining = "channels_refused_total{why=\"draining\"}",
        /// A handshake led to a session.
        Session = "handshakes_total{end=\"session\"}",
        /// The peer went away.
        HandshakeGone = "handshakes_total{end=\"gone\"}",
        /// The peer broke the protocol, or was too slow.
        HandshakeRefused = "handshakes_total{end=\"refused\"}",
        /// There was no evidence in time.
        HandshakeUnproven = "handshakes_total{end=\"no_evidence\"}",
    }
);

words!(
    /// What a request in a session is for.
    Kind {
        /// `/v1/models`
        Models = "models",
        /// `/v1/chat/completions`
        Chat = "chat",
        /// `/v1/completions`
        Completions = "completions",
        /// `/v1/embeddings`
        Embeddings = "embeddings",
        /// All others.
        Other = "other",
    }
);

words!(
    /// How a request in a session ended.
    Outcome {
        /// With an answer.
        Answered = "answered",
        /// By the client's fault.
        Refused = "refused",
        /// For lack of a token.
        Denied = "denied",
        /// For lack of room.
        Busy = "busy",
        /// By a fault here, or an engine's end.
        Failed = "failed",
        /// The client went away before the answer's end.
        Cancelled = "cancelled",
    }
);

impl Kind {
    /// Of a request for `path`.
    pub(crate) fn of(path: &str) -> Kind {
        match path {
            "/v1/chat/completions" => Kind::Chat,
            "/v1/completions" => Kind::Completions,
            "/v1/embeddings" => Kind::Embeddings,
            "/v1/models" => Kind::Models,
            path if path.starts_with("/v1/models/") => Kind::Models,
            _ => Kind::Other,
        }
    }
}

impl Outcome {
    /// Of an answer that was sent to its end.
    pub(crate) fn of(status: StatusCode) -> Outcome {
        match status {
            StatusCode::UNAUTHORIZED => Outcome::Denied,
            StatusCode::TOO_MANY_REQUESTS => Outcome::Busy,
            status if status.is_client_error() => Outcome::Refused,
            status if status.is_server_error() => Outcome::Failed,
            _ => Outcome::Answered,
        }
    }
}

/// Seconds until an answer began, as buckets' upper ends. Three are enough to see that something is slow, and too few to tell requests apart.
const SECONDS: [u64; 3] = [1, 10, 60];

/// All counters, from the boot on.
#[derive(Debug, Default)]
pub struct Metrics {
    outside: [AtomicU64; Outside::ALL.len()],
    requests: [[AtomicU64; Outcome::ALL.len()]; Kind::ALL.len()],
    /// By [`SECONDS`]; the last one is longer than all of them.
    waits: [AtomicU64; SECONDS.len() + 1],
}

impl Metrics {
    pub(crate) fn count(&self, what: Outside) {
        add(self.outside.get(what as usize));
    }

    /// A request that has ended.
    pub(crate) fn request(&self, kind: Kind, outcome: Outcome) {
        add(self.requests.get(kind as usize).and_then(|of_kind| of_kind.get(outcome as usize)));
    }

    /// How long an answer took to begin.
    pub(crate) fn wait(&self, took: Duration) {
        let bucket = SECONDS.iter().position(|seconds| took.as_secs() < *seconds).unwrap_or(SECONDS.len());
        add(self.waits.get(bucket));
    }

    /// What everybody may know, in Prometheus' text format, version 0.0.4.
    pub(crate) fn outside(&self, sessions: usize, is_draining: bool) -> String {
        let mut text = String::new();
        for (what, count) in Outside::ALL.iter().zip(&self.outside) {
            put(&mut text, "counter", what.word(), count.load(Ordering::Relaxed));
        }
        put(&mut text, "gauge", "sessions", u64::try_from(sessions).unwrap_or(u64::MAX));
        put(&mut text, "gauge", "draining", u64::from(is_draining));
        text
    }

    /// What only whoever runs the service may know, likewise.
    pub(crate) fn inside(&self, requests: usize) -> String {
        let mut text = String::new();
        for (kind, of_kind) in Kind::ALL.iter().zip(&self.requests) {
            for (outcome, count) in Outcome::ALL.iter().zip(of_kind) {
                let name = format!("requests_total{{kind=\"{}\",outcome=\"{}\"}}", kind.word(), outcome.word());
                put(&mut text, "counter", &name, count.load(Ordering::Relaxed));
            }
        }
        let mut all = 0_u64;
        for (bucket, count) in self.waits.iter().enumerate() {
            all = all.saturating_add(count.load(Ordering::Relaxed));
            let end = SECONDS.get(bucket).map_or_else(|| "+Inf".to_owned(), u64::to_string);
            put(&mut text, "counter", &format!("answers_begun_total{{within_seconds=\"{end}\"}}"), all);
        }
        put(&mut text, "gauge", "requests", u64::try_from(requests).unwrap_or(u64::MAX));
        text
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A value's line, and before the first of a name what it is.
fn put(text: &mut String, kind: &str, name: &str, value: u64) {
    let family = name.split('{').next().unwrap_or(name);
    let head = format!("# TYPE sealstone_{family} {kind}\n");
    if !text.contains(&head) {
        text.push_str(&head);
    }
    // Writing to a String can't fail.
    let _ = writeln!(text, "sealstone_{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_place_and_a_word_of_its_own() {
        let metrics = Metrics::default();
        for (n, what) in (1..).zip(Outside::ALL) {
            (0..n).for_each(|_| metrics.count(*what));
        }
        for kind in Kind::ALL {
            for outcome in Outcome::ALL {
                metrics.request(*kind, *outcome);
            }
        }
        metrics.request(Kind::Chat, Outcome::Busy);
        for (seconds, times) in [(0, 1), (2, 2), (59, 1), (60, 1), (9999, 1)] {
            (0..times).for_each(|_| metrics.wait(Duration::from_secs(seconds)));
        }
        let outside = metrics.outside(7, true);
        assert_eq!(
            outside.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
            [
                "sealstone_connections_total 1",
                "sealstone_channels_total 2",
                "sealstone_channels_refused_total{why=\"busy\"} 3",
                "sealstone_channels_refused_total{why=\"draining\"} 4",
                "sealstone_handshakes_total{end=\"session\"} 5",
                "sealstone_handshakes_total{end=\"gone\"} 6",
                "sealstone_handshakes_total{end=\"refused\"} 7",
                "sealstone_handshakes_total{end=\"no_evidence\"} 8",
                "sealstone_sessions 7",
                "sealstone_draining 1",
            ]
        );
        assert_eq!(outside.matches("# TYPE sealstone_handshakes_total counter\n").count(), 1);
        let inside = metrics.inside(3);
        assert!(inside.contains("sealstone_requests_total{kind=\"chat\",outcome=\"busy\"} 2\n"), "{inside}");
        assert_eq!(inside.lines().filter(|line| line.ends_with("\"} 1")).count(), 5 * 6 - 1 + 1, "{inside}");
        let waits: Vec<_> = inside.lines().filter(|line| line.starts_with("sealstone_answers")).collect();
        assert_eq!(
            waits,
            [
                "sealstone_answers_begun_total{within_seconds=\"1\"} 1",
                "sealstone_answers_begun_total{within_seconds=\"10\"} 3",
                "sealstone_answers_begun_total{within_seconds=\"60\"} 4",
                "sealstone_answers_begun_total{within_seconds=\"+Inf\"} 6",
            ]
        );
        assert!(inside.ends_with("# TYPE sealstone_requests gauge\nsealstone_requests 3\n"));
    }

    #[test]
    fn kinds_and_outcomes() {
        for (path, kind) in [
            ("/v1/models", Kind::Models),
            ("/v1/models/tiny", Kind::Models),
            ("/v1/chat/completions", Kind::Chat),
            ("/v1/chat/completions/", Kind::Other),
            ("/secret", Kind::Other),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
        for (status, outcome) in [
            (200, Outcome::Answered),
            (400, Outcome::Refused),
            (401, Outcome::Denied),
            (404, Outcome::Refused),
            (429, Outcome::Busy),
            (500, Outcome::Failed),
            (503, Outcome::Failed),
        ] {
            assert_eq!(Outcome::of(StatusCode::from_u16(status).unwrap()), outcome, "{status}");
        }
    }
}
