//! Indexes of an archive: `dists/<suite>/…`. They are known by no digest beforehand, so the caller says what it accepts.

use std::fmt::Write;
use std::io::Read;

use crate::error::{InputsError, Result};
use crate::http::Refusal;
use crate::mirrors::{ArchiveRef, Location, Mirrors};
use crate::retry::{self, Source, Trouble};

impl Mirrors {
    /// Asks the mirrors in turn for `path` below the base of an archive, for instance `dists/bookworm/InRelease`, until `accept`
    /// takes one's answer, which has at most `limit` bytes. `accept` says what is wrong otherwise (a signature, a digest, an
    /// expired date) and is where trust comes from: a mirror's answer is anybody's bytes.
    pub fn index(
        &self,
        archive: ArchiveRef,
        path: &str,
        limit: u64,
        accept: &mut dyn FnMut(&[u8]) -> std::result::Result<(), String>,
    ) -> Result<Vec<u8>> {
        let located = self.in_order().into_iter().filter_map(|mirror| match mirror.path(path, Some(archive))? {
            Location::Url(url) => Some((mirror, url)),
            Location::File(_) => None,
        });
        let located: Vec<_> = located.collect();
        let mut tried = Vec::new();
        for (position, (mirror, url)) in located.iter().enumerate() {
            let attempts = retry::attempts(self.client.patience(), &mirror.health, position + 1 == located.len());
            let answer = retry::insist(attempts, |_, _| {}, || self.receive(url, limit)).and_then(|bytes| match accept(&bytes) {
                Ok(()) => Ok(bytes),
                Err(problem) => Err(Trouble::Mirror(Refusal::Lasting(problem))),
            });
            let refusal = match answer {
                Ok(bytes) => {
                    mirror.health.succeeded();
                    return Ok(bytes);
                }
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Mirror(refusal)) => refusal,
            };
            // An index that is refused says nothing about a mirror's files: it may merely be newer than the lock.
            tried.push((url.clone(), refusal.problem().to_owned()));
        }
        Err(InputsError::NoIndex { path: path.to_owned(), tried })
    }

    fn receive(&self, url: &str, limit: u64) -> std::result::Result<Vec<u8>, Trouble> {
        let answer = self.client.get(url, limit).map_err(Trouble::Mirror)?;
        let too_long = || Trouble::Mirror(Refusal::Lasting(format!("is longer than the {limit} bytes that an index may have")));
        if answer.length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        let mut source = Source::new(answer.body.take(limit.saturating_add(1)));
        let outcome = source.read_to_end(&mut bytes);
        match (outcome, source.failed()) {
            (Ok(_), _) if bytes.len() as u64 > limit => Err(too_long()),
            (Ok(_), _) => Ok(bytes),
            (Err(_), Some(refusal)) => Err(Trouble::Mirror(refusal)),
            (Err(error), None) => Err(Trouble::Mirror(Refusal::passing(error.to_string()))),
        }
    }
}

pub(crate) fn describe(path: &str, tried: &[(String, String)]) -> String {
    let mut text = format!("no mirror gave an acceptable {path}:\n");
    for (url, problem) in tried {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {url}: {problem}");
    }
    if tried.is_empty() {
        text.push_str("  there was none to ask\n");
    }
    text.push_str("check the network and the proxy settings, or name a base URL that has the index in SEALSTONE_MIRROR");
    text
}
