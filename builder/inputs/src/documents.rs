//! Small documents of a service whose content nobody knows beforehand, such as a vendor's certificates.
//!
//! What distinguishes them from the files of a lock: there is no digest to compare with. They are bounded in size, come from the host
//! that was asked and no other, and whoever uses them has to verify them.

use std::io::Read;
use std::time::Duration;

use crate::error::Result;
use crate::http::{Client, Network, Refusal, io_refusal};
use crate::retry::{Attempts, Trouble, insist};

/// Reaches services. Costs nothing until the first request.
pub struct Documents {
    client: Client,
}

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The body.
    pub bytes: Vec<u8>,
    /// The header that was asked for, if it was there.
    pub header: Option<String>,
}

/// Why a service didn't give a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It says that there is no such thing: the request is wrong, or the service doesn't know what was asked about.
    #[error("{0}")]
    Missing(String),
    /// It couldn't be reached, or answers with something else; another time may be better.
    #[error("{0}")]
    Failed(String),
}

impl Documents {
    /// Checks the settings; touches neither network nor files.
    ///
    /// # Errors
    /// If a proxy can't be used as it is written.
    pub fn new(network: &Network) -> Result<Self> {
        Ok(Self { client: Client::new(network)? })
    }

    /// Asks for `url` until it is answered or patience ends; a service that says when to come again is obeyed within reason. At most `limit`
    /// bytes are read, redirects aren't followed. `on_pause` is told what was wrong and how long it rests.
    ///
    /// # Errors
    /// What the service did instead.
    pub fn get(
        &self,
        url: &str,
        limit: usize,
        header: Option<&str>,
        on_pause: impl Fn(&str, Duration),
    ) -> std::result::Result<Document, Refused> {
        match insist(Attempts::all(self.client.patience()), on_pause, || self.once(url, limit, header).map_err(Trouble::Mirror)) {
            Ok(document) => Ok(document),
            Err(Trouble::Mirror(Refusal::Missing(problem))) => Err(Refused::Missing(problem)),
            Err(Trouble::Mirror(refusal)) => Err(Refused::Failed(refusal.problem().to_owned())),
            Err(Trouble::Store(error)) => Err(Refused::Failed(error.to_string())),
        }
    }

    fn once(&self, url: &str, limit: usize, header: Option<&str>) -> std::result::Result<Document, Refusal> {
        let bound = u64::try_from(limit).unwrap_or(u64::MAX);
        let answer = self.client.get_there(url, bound, header)?;
        let too_long = || Refusal::Lasting(format!("answered with more than {limit} bytes"));
        if answer.length.is_some_and(|length| length > bound) {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        answer.body.take(bound.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| io_refusal(&error))?;
        if bytes.len() > limit { Err(too_long()) } else { Ok(Document { bytes, header: answer.header }) }
    }
}
