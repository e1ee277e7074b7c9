//! Whoever owns the machine's source of evidence, one task or thread, and the bounded queues in front of it: one for the
//! channel, which comes first, and one for whoever asks in the open, so that a crowd of strangers can't keep clients out.
//!
//! - [`Quoter`]: a task that owns the TPM. It finishes every command that it began, whatever becomes of the client: a command
//!   cut off halfway would leave its answer to whoever comes next.
//! - [`super::reports::Reporter`]: a thread that owns the entry for SEV-SNP and TDX reports.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sealstone_config::MeasuredConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use super::document::{Challenge, Fixed};
use crate::event::{self, Event};
use crate::tpm::{AttestationKey, Bank, Tpm, TpmError, Transport};

/// Requests that wait in each queue while one is served. A TPM takes from a few milliseconds (software) to half a second for a quote, so
/// the last in the queue is served before [`PATIENCE`] ends.
pub const QUEUE: usize = 16;

/// How long a request waits for its quote.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// The queue is full; the client may ask again.
    #[error("too many requests wait")]
    Busy,
    /// The TPM, or the processor, failed, which the console says, or took too long.
    #[error("the machine gave no evidence")]
    Failed,
}

/// A machine's TPM with a key in it, ready to quote.
#[derive(Debug)]
pub struct Quoter<T> {
    tpm: Tpm<T>,
    key: AttestationKey,
    banks: Vec<Bank>,
    fixed: Fixed,
}

/// Where quotes are asked for. Cloned at will; all share one queue.
#[derive(Clone, Debug)]
pub struct Quotes {
    channel: mpsc::Sender<Request>,
    open: mpsc::Sender<Request>,
}

/// The other ends of [`Quotes`].
#[derive(Debug)]
pub(super) struct Queues {
    channel: mpsc::Receiver<Request>,
    open: mpsc::Receiver<Request>,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) challenge: Challenge,
    reply: oneshot::Sender<Result<Bytes, QuoteError>>,
}

impl Request {
    /// Answers; without an answer the client is told that there is none.
    pub(super) fn answer(self, document: Option<Bytes>) {
        let _ = self.reply.send(document.ok_or(QuoteError::Failed));
    }
}

/// Both ends of new queues.
pub(super) fn queues() -> (Quotes, Queues) {
    let (channel, channel_queue) = mpsc::channel(QUEUE);
    let (open, open_queue) = mpsc::channel(QUEUE);
    (Quotes { channel, open }, Queues { channel: channel_queue, open: open_queue })
}

impl<T: Transport + 'static> Quoter<T> {
    /// Makes this boot's key. `event_log` is the firmware's, empty if there is none.
    pub async fn new(transport: T, measured: &MeasuredConfig, event_log: &[u8]) -> Result<Quoter<T>, TpmError> {
        let mut tpm = Tpm::new(transport);
        let banks = tpm.banks().await?;
        let key = tpm.create_attestation_key().await?;
        let fixed = Fixed::new(measured, &key, event_log);
        Ok(Quoter { tpm, key, banks, fixed })
    }

    /// Starts the task, which ends with the last of the [`Quotes`]. Must be called inside the event loop.
    pub fn start(self) -> Quotes {
        let (quotes, queues) = queues();
        tokio::spawn(self.serve(queues));
        quotes
    }

    async fn serve(mut self, mut queues: Queues) {
        while let Some(request) = queues.next().await {
            let document = self.document(request.challenge).await.inspect_err(|error| event::log(&Event::QuoteFailed(*error)));
            request.answer(document.ok());
        }
    }

    async fn document(&mut self, challenge: Challenge) -> Result<Bytes, TpmError> {
        let qualifying = self.fixed.qualifying_data(challenge);
        let quote = self.tpm.quote(&self.key, &self.banks, &qualifying).await?;
        Ok(self.fixed.with(&quote))
    }
}

impl Queues {
    /// The next request of somebody who still waits, the channel's first; none once nobody can ask any more.
    pub(super) async fn next(&mut self) -> Option<Request> {
        loop {
            let request = poll_fn(|cx| self.poll_next(cx)).await?;
            // A client that has gone costs the machine nothing.
            if !request.reply.is_closed() {
                return Some(request);
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        let channel = self.channel.poll_recv(cx);
        if let Poll::Ready(Some(request)) = channel {
            return Poll::Ready(Some(request));
        }
        match (channel, self.open.poll_recv(cx)) {
            (_, Poll::Ready(Some(request))) => Poll::Ready(Some(request)),
            (Poll::Ready(_), Poll::Ready(None)) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}

impl Quotes {
    /// The document for `challenge`, as JSON.
    pub async fn document(&self, challenge: Challenge) -> Result<Bytes, QuoteError> {
        let (reply, answer) = oneshot::channel();
        let queue = match challenge {
            Challenge::Nonce(_) => &self.open,
            Challenge::Channel(_) => &self.channel,
        };
        queue.try_send(Request { challenge, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => QuoteError::Busy,
            mpsc::error::TrySendError::Closed(_) => QuoteError::Failed,
        })?;
        match time::timeout(PATIENCE, answer).await {
            Ok(Ok(document)) => document,
            Ok(Err(_)) | Err(_) => Err(QuoteError::Failed),
        }
    }
}
