//! Connections: HTTP/1.1 with a bound on everything that a peer decides.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, Semaphore};
use tokio::time;

use crate::event::{self, Event};
use crate::front::Front;

/// Bounds per connection and on their number.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. Further ones wait in the kernel's queue, which is bounded too.
    pub connections: usize,
    /// From the first byte awaited to the end of a request's head, so also how long a connection may be idle.
    pub head: Duration,
    /// A connection's whole life, however little of it is used.
    pub life: Duration,
    /// Bytes of a request's head, and of a connection's read buffer.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
}

impl Limits {
    /// What the image uses: 256 × 16 KiB of buffers at the most, and a slot is free again after a minute.
    pub const DEFAULT: Limits = Limits {
        connections: 256,
        head: Duration::from_secs(10),
        life: Duration::from_secs(60),
        head_bytes: 16 * 1024,
        headers: 64,
    };
}

/// Pause after a failed `accept`, which is nearly always a lack of descriptors or memory: time for some to be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and answers for good; the error, a semaphore that somebody closed, cannot come up because nobody does.
pub async fn serve(listener: TcpListener, front: Arc<Front>, limits: Limits) -> Result<Infallible, AcquireError> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        match listener.accept().await {
            Ok((stream, _)) => {
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

/// One connection until it ends, by whichever side or limit. How it ended is nobody's business but the peer's.
fn connection(stream: TcpStream, front: Arc<Front>, limits: Limits) -> impl Future<Output = ()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let front = Arc::clone(&front);
        async move {
            let path = request.uri().path_and_query().map_or("", |p| p.as_str());
            Ok::<_, Infallible>(front.answer(request.method(), path).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    async move {
        let _ = time::timeout(limits.life, connection).await;
    }
}
