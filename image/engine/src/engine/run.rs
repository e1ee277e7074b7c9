//! One request that has a sequence.

use sealstone_protocol::{Done, Finish, Report, RequestId, Salt, Sampling, Token, Usage};

use crate::backend::Backend;
use crate::held::{Held, Text};

/// A request that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: RequestId,
    pub(super) salt: Salt,
    pub(super) tokens: Vec<u32>,
    pub(super) max_tokens: u32,
    pub(super) sampling: Sampling,
    pub(super) grammar: Option<String>,
    pub(super) stop: Vec<String>,
    pub(super) logprobs: Option<u32>,
    pub(super) ignore_end: bool,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Run<C> {
    job: Job,
    /// How much of the prompt the sequence held already.
    cached: usize,
    /// How much of the prompt was computed, or was held.
    done: usize,
    reply: u32,
    /// Chosen, and to be computed next.
    chosen: Option<u32>,
    chooser: C,
    held: Held,
}

/// What a chosen token leads to.
pub(super) enum Next {
    /// On to the next token.
    Go(Option<Token>),
    /// The end, with what text is left.
    End(Option<Token>, Vec<u8>, Finish),
    /// No token is allowed.
    Fail,
}

impl<C> Run<C> {
    pub(super) fn new(mut job: Job, cached: usize, chooser: C) -> Run<C> {
        let held = Held::new(std::mem::take(&mut job.stop));
        Run { job, cached, done: cached, reply: 0, chosen: None, chooser, held }
    }

    pub(super) fn id(&self) -> RequestId {
        self.job.id
    }

    pub(super) fn take_chosen(&mut self) -> Option<u32> {
        self.chosen.take()
    }

    /// Whether part of the prompt is still to be computed.
    pub(super) fn has_prompt(&self) -> bool {
        self.done < self.job.tokens.len()
    }

    /// The next `most` tokens of the prompt, and whether that was the rest.
    pub(super) fn take_prompt(&mut self, most: usize) -> (Vec<u32>, bool) {
        let piece: Vec<u32> = self.job.tokens.iter().skip(self.done).take(most).copied().collect();
        self.done = self.done.saturating_add(piece.len());
        (piece, self.done == self.job.tokens.len())
    }

    /// Chooses the next token. Without `room` it is the last, because it can't be computed any more.
    pub(super) fn advance<B: Backend<Chooser = C>>(&mut self, backend: &mut B, row: usize, room: bool) -> Next {
        let Some(token) = backend.choose(row, &mut self.chooser) else { return Next::Fail };
        self.reply = self.reply.saturating_add(1);
        if backend.ends(token) && !self.job.ignore_end {
            return Next::End(None, self.held.rest(), Finish::End);
        }
        let logprobs = self.job.logprobs.and_then(|count| backend.logprobs(row, token, count));
        let report = |text: Vec<u8>, id| {
            let worth_it = !text.is_empty() || logprobs.is_some();
            worth_it.then_some(Token { id, text, logprobs })
        };
        match self.held.push(&backend.text(token)) {
            Text::Stop(text, number) => Next::End(report(text, self.job.id), Vec::new(), Finish::Stop(number)),
            Text::Release(text) if self.reply >= self.job.max_tokens || !room => {
                Next::End(report(text, self.job.id), self.held.rest(), Finish::Length)
            }
            Text::Release(text) => {
                self.chosen = Some(token);
                Next::Go(report(text, self.job.id))
            }
        }
    }

    /// The last report.
    pub(super) fn done(self, text: Vec<u8>, finish: Finish) -> Report {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let usage = Usage { prompt: count(self.job.tokens.len()), cached: count(self.cached), reply: self.reply };
        Report::Done(Done { id: self.job.id, text, finish, usage })
    }
}
