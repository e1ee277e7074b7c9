//! A server on loopback that hands requests on through the channel. To its own clients it is a plain HTTP server, so any
//! OpenAI SDK can use it; what leaves this machine is encrypted to the image, or doesn't leave.
//!
//! `GET /verdict` is answered here, everything else by the image.

mod answers;
mod guard;
mod headers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::Sessions;

/// Where the proxy shows its verdict.
pub const VERDICT: &str = "/verdict";

/// How long a client may take for a request's head, or be idle.
const HEAD: Duration = Duration::from_secs(300);

/// An answer's body: the image's, as it comes, or one made here.
type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    sessions: Arc<Sessions>,
}

impl Proxy {
    /// Listens on `address`. Whoever can connect to it can use the image, so that should be this machine's own programs.
    ///
    /// # Errors
    /// The operating system doesn't let it.
    pub async fn bind(address: SocketAddr, sessions: Arc<Sessions>) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, sessions })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system doesn't say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the listening socket fails.
    pub async fn serve(self) -> io::Error {
        let is_local = self.address().is_ok_and(|address| address.ip().is_loopback());
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, Arc::clone(&self.sessions), is_local));
                }
                Err(error) if is_passing(&error) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => return error,
            }
        }
    }
}

/// Whether a failed `accept` says something of one connection, or of resources that come back.
fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|number| passing.iter().any(|errno| errno.raw_os_error() == number))
}

async fn connection(stream: TcpStream, sessions: Arc<Sessions>, is_local: bool) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let sessions = Arc::clone(&sessions);
        async move { Ok::<_, Infallible>(answer(&sessions, request, is_local).await) }
    });
    let mut builder = http1::Builder::new();
    let connection = builder.timer(TokioTimer::new()).header_read_timeout(HEAD).serve_connection(TokioIo::new(stream), service);
    // How it ends is its client's business.
    let _ = connection.await;
}

async fn answer(sessions: &Sessions, request: Request<Incoming>, is_local: bool) -> Response<Body> {
    if let Some(refusal) = is_local.then(|| guard::refuse(request.headers())).flatten() {
        return refusal;
    }
    if request.uri().path() == VERDICT {
        return if request.method() == Method::GET { verdict(sessions).await } else { answers::not_allowed() };
    }
    let request = match headers::inward(request) {
        Ok(request) => request.map(BodyExt::boxed_unsync),
        Err(()) => return answers::problem(StatusCode::BAD_REQUEST, "bad_request", "the request can't be handed on"),
    };
    match sessions.send(request).await {
        Ok(response) => headers::outward(response).map(BodyExt::boxed_unsync),
        Err(error) => answers::failed(&error),
    }
}

/// The verdict on the session that there is, or on one that is opened for it.
async fn verdict(sessions: &Sessions) -> Response<Body> {
    match sessions.session().await {
        Ok(session) => answers::json(StatusCode::OK, &serde_json::json!(**session.verdict())),
        Err(error) => match error.verdict() {
            Some(verdict) => answers::json(StatusCode::BAD_GATEWAY, &serde_json::json!(verdict)),
            None => answers::failed(&error),
        },
    }
}
