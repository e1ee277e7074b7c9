//! Whoever owns the machine's source of evidence, one task or thread, and the bounded queues in front of it: one for the
//! channel, which comes first, one for who wants to know of the endorsement key, and one for whoever asks in the open, so that a crowd
//! of strangers can't keep clients out.
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
use crate::tpm::{AttestationKey, Bank, Credential, EndorsementCertificate, EndorsementKey, Tpm, TpmError, Transport};

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
    /// The TPM doesn't open the credential: it wasn't made for this machine's keys.
    #[error("the credential is for other keys")]
    Refused,
}

/// A machine's TPM with a key in it, ready to quote.
#[derive(Debug)]
pub struct Quoter<T> {
    tpm: Tpm<T>,
    key: AttestationKey,
    banks: Vec<Bank>,
    fixed: Fixed,
    certificate: Option<EndorsementCertificate>,
    /// Made when it is first needed.
    endorsement: Option<EndorsementKey>,
}

/// Where quotes are asked for. Cloned at will; all share one queue.
#[derive(Clone, Debug)]
pub struct Quotes {
    channel: mpsc::Sender<Request>,
    open: mpsc::Sender<Request>,
    endorser: Option<Endorser>,
}

/// Where a TPM with a certified endorsement key is asked to show that this boot's attestation key is in it.
#[derive(Clone, Debug)]
pub struct Endorser {
    certificate: Bytes,
    queue: mpsc::Sender<Request>,
}

/// The other ends of [`Quotes`].
#[derive(Debug)]
pub(super) struct Queues {
    channel: mpsc::Receiver<Request>,
    activation: mpsc::Receiver<Request>,
    open: mpsc::Receiver<Request>,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) work: Work,
    reply: oneshot::Sender<Result<Bytes, QuoteError>>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Work {
    /// A document for this challenge.
    Document(Challenge),
    /// The secret in this.
    Activate(Credential),
}

impl Request {
    pub(super) fn answer(self, answer: Result<Bytes, QuoteError>) {
        let _ = self.reply.send(answer);
    }
}

/// Both ends of new queues; with the certificate of an endorsement key, in DER, if there is one.
pub(super) fn queues(certificate: Option<Bytes>) -> (Quotes, Queues) {
    let (channel, channel_queue) = mpsc::channel(QUEUE);
    let (queue, activation) = mpsc::channel(QUEUE);
    let (open, open_queue) = mpsc::channel(QUEUE);
    let endorser = certificate.map(|certificate| Endorser { certificate, queue });
    (Quotes { channel, open, endorser }, Queues { channel: channel_queue, activation, open: open_queue })
}

impl<T: Transport + 'static> Quoter<T> {
    /// Makes this boot's key. `event_log` is the firmware's, empty if there is none.
    pub async fn new(transport: T, measured: &MeasuredConfig, event_log: &[u8]) -> Result<Quoter<T>, TpmError> {
        let mut tpm = Tpm::new(transport);
        let banks = tpm.banks().await?;
        let key = tpm.create_attestation_key().await?;
        let fixed = Fixed::new(measured, &key, event_log);
        // Evidence is as good without one, so a TPM whose certificate can't be read is one that has none.
        let certificate = tpm.endorsement_certificate().await;
        let certificate = certificate.inspect_err(|error| event::log(&Event::EndorsementFailed(*error))).ok().flatten();
        Ok(Quoter { tpm, key, banks, fixed, certificate, endorsement: None })
    }

    /// Starts the task, which ends with the last of the [`Quotes`]. Must be called inside the event loop.
    pub fn start(self) -> Quotes {
        let certificate = self.certificate.as_ref().map(|certificate| Bytes::copy_from_slice(certificate.der()));
        let (quotes, queues) = queues(certificate);
        tokio::spawn(self.serve(queues));
        quotes
    }

    async fn serve(mut self, mut queues: Queues) {
        while let Some(request) = queues.next().await {
            let answer = match &request.work {
                Work::Document(challenge) => self.document(*challenge).await.map_err(|error| {
                    event::log(&Event::QuoteFailed(error));
                    QuoteError::Failed
                }),
                Work::Activate(credential) => self.activate(credential).await,
            };
            request.answer(answer);
        }
    }

    async fn activate(&mut self, credential: &Credential) -> Result<Bytes, QuoteError> {
        match self.secret(credential).await {
            Ok(Some(secret)) => Ok(secret.into()),
            // Not said on the console: whoever opens a session could fill it.
            Ok(None) => Err(QuoteError::Refused),
            Err(error) => {
                event::log(&Event::EndorsementFailed(error));
                Err(QuoteError::Failed)
            }
        }
    }

    async fn secret(&mut self, credential: &Credential) -> Result<Option<Vec<u8>>, TpmError> {
        let endorsement = match (self.endorsement, &self.certificate) {
            (Some(key), _) => key,
            (None, Some(certificate)) => self.tpm.create_endorsement_key(certificate).await?,
            (None, None) => return Ok(None),
        };
        self.endorsement = Some(endorsement);
        self.tpm.activate(&self.key, endorsement, credential).await
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
        let mut is_open = false;
        for queue in [&mut self.channel, &mut self.activation, &mut self.open] {
            match queue.poll_recv(cx) {
                Poll::Ready(Some(request)) => return Poll::Ready(Some(request)),
                Poll::Ready(None) => {}
                Poll::Pending => is_open = true,
            }
        }
        if is_open { Poll::Pending } else { Poll::Ready(None) }
    }
}

impl Quotes {
    /// The document for `challenge`, as JSON.
    pub async fn document(&self, challenge: Challenge) -> Result<Bytes, QuoteError> {
        let queue = match challenge {
            Challenge::Nonce(_) => &self.open,
            Challenge::Channel(_) => &self.channel,
        };
        ask(queue, Work::Document(challenge)).await
    }

    /// Where the TPM is asked about its endorsement key, if it has one that is certified.
    pub fn endorser(&self) -> Option<&Endorser> {
        self.endorser.as_ref()
    }
}

impl Endorser {
    /// The endorsement key's certificate, in DER, as the TPM keeps it.
    pub fn certificate(&self) -> &Bytes {
        &self.certificate
    }

    /// The secret in `credential`.
    pub async fn activate(&self, credential: Credential) -> Result<Bytes, QuoteError> {
        ask(&self.queue, Work::Activate(credential)).await
    }
}

async fn ask(queue: &mpsc::Sender<Request>, work: Work) -> Result<Bytes, QuoteError> {
    let (reply, answer) = oneshot::channel();
    queue.try_send(Request { work, reply }).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => QuoteError::Busy,
        mpsc::error::TrySendError::Closed(_) => QuoteError::Failed,
    })?;
    match time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(QuoteError::Failed),
    }
}
