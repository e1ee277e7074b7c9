//! The thread that owns the entry for SEV-SNP and TDX reports.
//!
//! A thread and not a task, because the kernel offers no way to wait for a report but to block: for milliseconds, and for up
//! to a minute when the host holds requests back. One thread, because an entry has room for one challenge at a time.

use std::io;
use std::sync::mpsc;

use bytes::Bytes;
use sealstone_config::{Digest, MeasuredConfig};

use super::certificates;
use super::document::{self, Challenge};
use super::quotes::{Queues, QuoteError, Quotes, Work, queues};
use super::tsm::{self, Entry, ReportError, Tee};
use crate::event::{self, Event};

/// A machine with SEV-SNP or TDX, ready to report.
#[derive(Debug)]
pub struct Reporter<E> {
    entry: E,
    tee: Tee,
    config: String,
    config_sha256: Digest,
    event_log: String,
}

impl<E: Entry + 'static> Reporter<E> {
    /// With an entry that nobody else uses; `event_log` is the firmware's on a TDX machine, empty if it left none.
    pub fn new(entry: E, tee: Tee, measured: &MeasuredConfig, event_log: &[u8]) -> Reporter<E> {
        Reporter {
            entry,
            tee,
            // The canonical form is UTF-8, so nothing is replaced.
            config: String::from_utf8_lossy(measured.bytes()).into_owned(),
            config_sha256: measured.sha256(),
            event_log: document::base64(event_log),
        }
    }

    /// Starts the thread, and comes back once it has made the system calls of its beginning: the filter for system calls can be set
    /// from then on. The restriction of files must stand before, because a thread has it from whoever started it.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(self) -> io::Result<Quotes> {
        let (quotes, queues) = queues(None);
        // Without drivers it waits by futex alone.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (begun, wait) = mpsc::channel();
        // Without a name: that would be one more call.
        std::thread::Builder::new().spawn(move || {
            let _ = begun.send(());
            runtime.block_on(self.serve(queues));
            // Nobody can ask any more, so the process is about to end, and to end a thread takes calls that it isn't allowed.
            loop {
                std::thread::park();
            }
        })?;
        wait.recv().map_err(io::Error::other)?;
        Ok(quotes)
    }

    async fn serve(mut self, mut queues: Queues) {
        while let Some(request) = queues.next().await {
            let answer = match &request.work {
                Work::Document(challenge) => self.document(*challenge).map_err(|error| {
                    event::log(&Event::ReportFailed(error));
                    QuoteError::Failed
                }),
                // There is no TPM, and nobody can ask: these queues are without an endorser.
                Work::Activate(_) => Err(QuoteError::Refused),
            };
            request.answer(answer);
        }
    }

    fn document(&mut self, challenge: Challenge) -> Result<Bytes, ReportError> {
        let data = document::report_data(challenge, &self.config_sha256);
        let report = tsm::report(&mut self.entry, self.tee, &data)?;
        match self.tee {
            Tee::SevSnp => {
                let certificates = certificates::read(&report.auxiliary);
                let certificates = certificates.ok_or(ReportError::Malformed { file: "auxblob" })?;
                Ok(document::sev_snp(&self.config, &report.evidence, &certificates))
            }
            Tee::Tdx => Ok(document::tdx(&self.config, &self.event_log, &report.evidence)),
        }
    }
}
