//! HTTP in a session: whichever version the client begins with.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use sealstone_channel::stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};

use super::{Inside, Limits, Session};
use crate::front::{Answer, Body};
use crate::life::{Life, Running, unless};
use crate::metrics::{Kind, Outcome};

/// What an HTTP/2 peer may have sent of bodies before they are read, and what may wait to be sent to it: each a stream and a
/// session. Bodies are texts; more would be memory for nothing.
const WINDOW: u32 = 128 * 1024;

/// Streams that a peer opened and took back at once, which costs it nothing: beyond these it is attacking (CVE-2023-44487).
const RESETS: usize = 20;

/// Serves until either side ends, the session's age does, or the front's life.
pub(super) async fn serve<A, S>(stream: Stream<S>, front: Arc<A>, session: Session, limits: Limits)
where
    A: Answer,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let life = front.life().clone();
    let inside = Inside::Channel(session);
    let awaited = stream.awaited();
    let service = service_fn(move |request: Request<Incoming>| {
        let (front, inside, waits) = (Arc::clone(&front), inside.clone(), awaited.begin());
        async move {
            let (head, body) = request.into_parts();
            // Nobody asks for the body of an answer to HEAD.
            let is_head = head.method == Method::HEAD;
            let mut counted = Counted::new(front.life(), head.uri.path());
            let response = front.answer(head, body, &inside).await;
            counted.begins(response.status());
            // From here on bytes move, or the client doesn't take them.
            drop(waits);
            Ok::<_, Infallible>(response.map(|body| Held { body, counted, is_whole: is_head }))
        }
    });
    let builder = builder(limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    if unless(time::timeout(limits.age, life.ending()), connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = time::timeout(limits.drain, connection).await;
    }
}

/// A request, which runs and isn't counted until this is dropped.
struct Counted {
    life: Life,
    _running: Running,
    kind: Kind,
    since: Instant,
    outcome: Outcome,
}

impl Counted {
    fn new(life: &Life, path: &str) -> Counted {
        let kind = Kind::of(path);
        Counted { life: life.clone(), _running: life.request(), kind, since: Instant::now(), outcome: Outcome::Cancelled }
    }

    /// The answer's head is known; the request has the outcome that it says if the body ends.
    fn begins(&mut self, status: StatusCode) {
        self.life.metrics().wait(self.since.elapsed());
        self.outcome = Outcome::of(status);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.life.metrics().request(self.kind, self.outcome);
    }
}

/// An answer's body. Until it is dropped, sent or not, its request runs.
struct Held {
    body: Body,
    counted: Counted,
    /// Whether its end was reached.
    is_whole: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_whole && !self.body.is_end_stream() {
            self.counted.outcome = Outcome::Cancelled;
        }
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.is_whole |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .auto_date_header(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.requests)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(usize::try_from(WINDOW).unwrap_or(usize::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .auto_date_header(false);
    builder
}
