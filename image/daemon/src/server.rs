//! Connections: HTTP/1.1 with a bound on everything that a peer decides, and the way from there into the channel; and the end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, Semaphore};
use tokio::time;

use crate::channel::{self, Inside};
use crate::event::{self, Event};
use crate::front::{Answer, Body};
use crate::life::{self, Ended, unless};
use crate::metrics::Outside;

/// Bounds per connection and on their number. Those of the channel are its own.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. Further ones wait in the kernel's queue, which is bounded too. One that has become a channel
    /// counts no more.
    pub connections: usize,
    /// From the first byte awaited to the end of a request's head, so also how long a connection may be idle.
    pub head: Duration,
    /// A connection's whole life, however little of it is used.
    pub life: Duration,
    /// Bytes of a request's head, and of a connection's read buffer.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// How long the end may take.
    pub end: life::Limits,
}

impl Limits {
    /// What the image uses: 256 × 16 KiB of buffers at the most, and a slot is free again after a minute.
    pub const DEFAULT: Limits = Limits {
        connections: 256,
        head: Duration::from_secs(10),
        life: Duration::from_secs(60),
        head_bytes: 16 * 1024,
        headers: 64,
        end: life::Limits::DEFAULT,
    };
}

/// Pause after a failed `accept`, which is nearly always a lack of descriptors or memory: time for some to be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and answers until the front's life ends, and then until nothing is left of it; the error, a semaphore that somebody
/// closed, cannot come up because nobody does.
pub async fn serve<A: Answer>(listener: TcpListener, front: Arc<A>, limits: Limits) -> Result<Ended, AcquireError> {
    let life = front.life().clone();
    match unless(life.draining(), accept(listener, front, limits)).await {
        Some(Err(error)) => Err(error),
        // The listening socket is closed by now. Connections that are open may still ask for the state.
        Some(Ok(_)) | None => Ok(life.finish(limits.end).await),
    }
}

async fn accept<A: Answer>(listener: TcpListener, front: Arc<A>, limits: Limits) -> Result<Infallible, AcquireError> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        match listener.accept().await {
            Ok((stream, _)) => {
                front.life().metrics().count(Outside::Connection);
                let connection = connection(stream, Arc::clone(&front), limits);
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                event::log(&Event::AcceptFailed(event::errno(&error)));
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection until it ends, by whichever side or limit, or becomes a channel. How it ended is nobody's business but the
/// peer's.
fn connection<A: Answer>(stream: TcpStream, front: Arc<A>, limits: Limits) -> impl Future<Output = ()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(open(&front, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    async move {
        let _ = time::timeout(limits.life, connection).await;
    }
}

/// A request in the open.
async fn open<A: Answer>(front: &Arc<A>, request: Request<Incoming>) -> Response<Body> {
    match front.channel() {
        Some(channel) if channel::is_asked_for(&request) => {
            channel::upgrade(channel, Arc::clone(front), request).map(BodyExt::boxed_unsync)
        }
        _ => {
            let (head, body) = request.into_parts();
            front.answer(head, body, &Inside::Open).await
        }
    }
}
