//! HTTP/2 over attested streams, one at a time, replaced when it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sealstone_channel::limits::MAX_AGE;
use sealstone_release::verdict::Verdict;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Client, ClientError};

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Bytes that may come before they are taken.
const WINDOW: u32 = 512 * 1024;

/// A session is left ten minutes before the front ends it. With the five that the front then gives to what it still answers, every
/// request has the fifteen that a reply may take.
const AGE: Duration = MAX_AGE.saturating_sub(Duration::from_secs(600));

/// HTTP over one attested stream. Clones share it.
#[derive(Clone, Debug)]
pub struct Session {
    sender: SendRequest<Body>,
    verdict: Arc<Verdict>,
    since: Instant,
}

impl Session {
    /// Connects and judges.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn open(client: &Client) -> Result<Self, ClientError> {
        let attested = client.connect().await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let handshake = builder.handshake(TokioIo::new(attested.stream)).await;
        let (sender, connection) = handshake.map_err(|error| ClientError::Http(error.to_string()))?;
        tokio::spawn(connection);
        Ok(Self { sender, verdict: Arc::new(attested.verdict), since: Instant::now() })
    }

    /// The verdict on its evidence, which accepts.
    pub fn verdict(&self) -> &Arc<Verdict> {
        &self.verdict
    }

    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() < AGE
    }
}

/// Sessions with one front, one after the other.
#[derive(Debug)]
pub struct Sessions {
    client: Client,
    current: Mutex<Option<Session>>,
}

impl Sessions {
    /// None yet; the first request opens one.
    pub fn new(client: Client) -> Self {
        Self { client, current: Mutex::new(None) }
    }

    /// Where they lead.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The session that there is, or a new one.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn session(&self) -> Result<Session, ClientError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.is_usable()) {
            return Ok(session.clone());
        }
        *current = None;
        let session = Session::open(&self.client).await?;
        *current = Some(session.clone());
        Ok(session)
    }

    /// Sends a request and waits for the head of its answer. One that could not be sent, because the session had just ended, is
    /// sent in a new one; one that was sent is never sent again.
    ///
    /// # Errors
    /// As [`Client::connect`], and [`ClientError::Http`] if the session ended before the answer.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        for _ in 0..2 {
            let mut session = self.session().await?;
            if session.sender.ready().await.is_err() {
                continue;
            }
            match session.sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(ClientError::Http(error.into_error().to_string())),
                },
            }
        }
        Err(ClientError::Http("twice in a row".to_owned()))
    }
}
