//! Which sequences are computed when.
//!
//! There is a fixed number of sequences. A request takes one, preferably the one that still holds the longest beginning of
//! its prompt from a request with the same salt; what a sequence holds of another salt is never used. Each step computes
//! one batch: a token for each reply under way, and as much of the waiting prompts as fits, in equal shares, so that a
//! long prompt delays nobody by more than a batch.

mod run;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use sealstone_protocol::{
    Constraint, Done, Embed, Embedding, Failure, Finish, Generate, Order, Prompt, Report, RequestId, Salt, Tokens, Usage, limits,
};

use crate::backend::{Backend, Entry};
use crate::schema;
use run::{Job, Next, Run};

/// Requests that wait for a sequence. The front queues with its own limits; this one only bounds the memory, which is
/// mostly the prompts' tokens.
const WAITING: usize = 1024;

/// Prompt tokens in a batch that also has replies under way: a compromise between their delay and the prompt's.
const MIXED_PROMPT: usize = 256;

/// All requests of one model, and the model.
#[derive(Debug)]
pub struct Engine<B: Backend> {
    backend: B,
    slots: Vec<Slot<B::Chooser>>,
    waiting: VecDeque<Job>,
    embeddings: VecDeque<(RequestId, Vec<u32>)>,
    /// Counts assignments, to know which sequence was used longest ago.
    clock: u64,
}

/// A sequence: what it holds, and who uses it.
#[derive(Debug)]
struct Slot<C> {
    /// The tokens that were computed, in order.
    holds: Vec<u32>,
    /// Whose they are.
    salt: Option<Salt>,
    used: u64,
    run: Option<Run<C>>,
}

impl<B: Backend> Engine<B> {
    /// An engine without requests.
    pub fn new(backend: B) -> Engine<B> {
        let slots = (0..backend.shape().sequences).map(|_| Slot { holds: Vec::new(), salt: None, used: 0, run: None }).collect();
        Engine { backend, slots, waiting: VecDeque::new(), embeddings: VecDeque::new(), clock: 0 }
    }

    /// What computes.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The same, to compute with it beside the engine: only while that is idle, and sequences are to be left empty.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Whether nothing is to be computed.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.embeddings.is_empty() && self.slots.iter().all(|slot| slot.run.is_none())
    }

    /// Takes an order in. What can be answered at once is.
    pub fn take(&mut self, order: Order, out: &mut Vec<Report>) {
        let id = match &order {
            Order::Generate(generate) => generate.id,
            Order::Embed(embed) => embed.id,
            Order::Tokenize(tokenize) => tokenize.id,
            Order::Cancel(id) => return self.cancel(*id, out),
        };
        let failure = match order {
            _ if self.knows(id) => Err(Failure::Duplicate),
            Order::Generate(generate) => self.admit(*generate),
            Order::Embed(embed) => self.admit_embedding(embed),
            Order::Tokenize(tokenize) => self.tokens(tokenize.prompt, limits::PROMPT_TOKENS).map(|tokens| {
                out.push(Report::Tokens(Tokens { id, tokens }));
            }),
            Order::Cancel(_) => Ok(()),
        };
        if let Err(failure) = failure {
            out.push(Report::Failed { id, failure });
        }
    }

    fn knows(&self, id: RequestId) -> bool {
        let runs = self.slots.iter().filter_map(|slot| slot.run.as_ref()).map(|run| run.id());
        runs.chain(self.waiting.iter().map(|job| job.id))
            .chain(self.embeddings.iter().map(|(id, _)| *id))
            .any(|known| known == id)
    }

    fn admit(&mut self, generate: Generate) -> Result<(), Failure> {
        if self.waiting.len() >= WAITING {
            return Err(Failure::Busy);
        }
        if !self.backend.shape().generates {
            return Err(Failure::Unsupported);
        }
        let context = self.backend.shape().context as usize;
        let tokens = self.tokens(generate.prompt, context.saturating_sub(1))?;
        if tokens.is_empty() {
            return Err(Failure::Empty);
        }
        if generate.sampling.biases.iter().any(|bias| bias.token >= self.backend.shape().vocabulary) {
            return Err(Failure::UnknownToken);
        }
        let grammar = match &generate.constraint {
            Constraint::Free => None,
            Constraint::JsonObject => Some(schema::object()),
            Constraint::JsonSchema(text) => Some(schema::grammar(text).map_err(|_| Failure::Schema)?),
        };
        self.waiting.push_back(Job {
            id: generate.id,
            salt: generate.salt,
            tokens,
            max_tokens: generate.max_tokens,
            sampling: generate.sampling,
            grammar,
            stop: generate.stop,
            logprobs: generate.logprobs,
            ignore_end: generate.ignore_end,
        });
        Ok(())
    }

    fn admit_embedding(&mut self, embed: Embed) -> Result<(), Failure> {
        let shape = self.backend.shape();
        if shape.width == 0 {
            return Err(Failure::Unsupported);
        }
        if self.embeddings.len() >= WAITING {
            return Err(Failure::Busy);
        }
        // As with the beginning: tokens are taken as they are.
        let end = self.backend.end().filter(|_| matches!(&embed.prompt, Prompt::Text { begin: true, .. }));
        let most = (shape.embedding as usize).saturating_sub(usize::from(end.is_some()));
        let mut tokens = self.tokens(embed.prompt, most)?;
        if tokens.is_empty() {
            return Err(Failure::Empty);
        }
        tokens.extend(end);
        self.embeddings.push_back((embed.id, tokens));
        Ok(())
    }

    fn tokens(&self, prompt: Prompt, most: usize) -> Result<Vec<u32>, Failure> {
        let prompt = match prompt {
            Prompt::Chat(turns) => self.backend.template().ok_or(Failure::NoTemplate)?.render(&turns)?,
            prompt => prompt,
        };
        let tokens = match prompt {
            Prompt::Tokens(tokens) => {
                let vocabulary = self.backend.shape().vocabulary;
                if tokens.iter().any(|token| *token >= vocabulary) {
                    return Err(Failure::UnknownToken);
                }
                tokens
            }
            Prompt::Text { segments, begin } => {
                let mut tokens: Vec<u32> = self.backend.begin().filter(|_| begin).into_iter().collect();
                for segment in segments {
                    tokens.extend(self.backend.tokenize(&segment.text, segment.special));
                }
                tokens
            }
            // A template makes text.
            Prompt::Chat(_) => return Err(Failure::Internal),
        };
        if tokens.len() > most { Err(Failure::TooLong) } else { Ok(tokens) }
    }

    fn cancel(&mut self, id: RequestId, out: &mut Vec<Report>) {
        if let Some(at) = self.waiting.iter().position(|job| job.id == id) {
            self.waiting.remove(at);
            out.push(Report::Done(Done { id, text: Vec::new(), finish: Finish::Cancelled, usage: Usage::default() }));
        } else if let Some(at) = self.embeddings.iter().position(|(known, _)| *known == id) {
            self.embeddings.remove(at);
            out.push(Report::Failed { id, failure: Failure::Cancelled });
        } else if let Some(slot) = self.slots.iter_mut().find(|slot| slot.run.as_ref().is_some_and(|run| run.id() == id)) {
            out.extend(slot.run.take().map(|run| run.done(Vec::new(), Finish::Cancelled)));
        }
    }

    /// Computes one batch, and one embedding. Does nothing when idle.
    pub fn step(&mut self, out: &mut Vec<Report>) {
        self.assign(out);
        self.generate(out);
        if let Some((id, tokens)) = self.embeddings.pop_front() {
            let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
            out.push(match self.backend.embed(&tokens) {
                Ok(vector) if vector.iter().all(|number| number.is_finite()) => {
                    Report::Embedding(Embedding { id, vector, tokens: count })
                }
                _ => Report::Failed { id, failure: Failure::Internal },
            });
        }
    }

    /// Gives free sequences to those who wait, in order.
    fn assign(&mut self, out: &mut Vec<Report>) {
        while self.slots.iter().any(|slot| slot.run.is_none()) {
            let Some(job) = self.waiting.pop_front() else { return };
            let Some((sequence, common)) = self.choose_slot(&job) else { return };
            let Some(chooser) = self.backend.chooser(&job.sampling, job.grammar.as_deref()) else {
                out.push(Report::Failed { id: job.id, failure: Failure::Schema });
                continue;
            };
            let kept = self.keep(sequence, common);
            self.clock = self.clock.saturating_add(1);
            if let Some(slot) = self.slots.get_mut(sequence) {
                slot.salt = Some(job.salt);
                slot.used = self.clock;
                slot.run = Some(Run::new(job, kept, chooser));
            }
        }
    }

    /// The free sequence that holds most of the prompt; of equals the one used longest ago. And how much it holds: never
    /// all of the prompt, because only computing the last token tells what follows.
    fn choose_slot(&self, job: &Job) -> Option<(usize, usize)> {
        let most = job.tokens.len().saturating_sub(1);
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.run.is_none());
        let common = free.map(|(number, slot)| {
            let same = slot.salt == Some(job.salt);
            let common = slot.holds.iter().zip(&job.tokens).take(most).take_while(|(a, b)| same && a == b).count();
            (common, std::cmp::Reverse(slot.used), number)
        });
        common.max().map(|(common, _, number)| (number, common))
    }

    /// Cuts what a sequence holds down to `length` tokens; returns how many are left, which may be none.
    fn keep(&mut self, sequence: usize, length: usize) -> usize {
        let Some(slot) = self.slots.get_mut(sequence) else { return 0 };
        let number = u32::try_from(sequence).unwrap_or(u32::MAX);
        let from = u32::try_from(length).unwrap_or(u32::MAX);
        let left = if self.backend.forget(number, from) {
            length
        } else {
            self.backend.forget(number, 0);
            0
        };
        slot.holds.truncate(left);
        left
    }

    fn generate(&mut self, out: &mut Vec<Report>) {
        let (batch, rows) = self.batch();
        if batch.is_empty() {
            return;
        }
        if self.backend.compute(&batch).is_err() {
            return self.give_up(out);
        }
        for (row, sequence) in rows {
            let Some(slot) = self.slots.get_mut(sequence) else { continue };
            let Some(run) = slot.run.as_mut() else { continue };
            let room = slot.holds.len() < self.backend.shape().context as usize;
            match run.advance(&mut self.backend, row, room) {
                Next::Go(report) => out.extend(report.map(Report::Token)),
                Next::End(report, text, finish) => {
                    out.extend(report.map(Report::Token));
                    out.extend(slot.run.take().map(|run| run.done(text, finish)));
                }
                Next::Fail => {
                    out.push(Report::Failed { id: run.id(), failure: Failure::Internal });
                    slot.run = None;
                }
            }
        }
    }

    /// The next batch, and which of its rows have output for which sequence.
    fn batch(&mut self) -> (Vec<Entry>, Vec<(usize, usize)>) {
        let most = self.backend.shape().batch as usize;
        let mut batch = Vec::new();
        let mut rows = Vec::new();
        let mut add = |sequence: usize, slot: &mut Slot<B::Chooser>, token: u32, output: bool| {
            if output {
                rows.push((batch.len(), sequence));
            }
            let position = u32::try_from(slot.holds.len()).unwrap_or(u32::MAX);
            batch.push(Entry { token, position, sequence: u32::try_from(sequence).unwrap_or(u32::MAX), output });
            slot.holds.push(token);
        };
        let mut replies = 0_usize;
        for (sequence, slot) in self.slots.iter_mut().enumerate() {
            if let Some(token) = slot.run.as_mut().and_then(Run::take_chosen) {
                add(sequence, slot, token, true);
                replies = replies.saturating_add(1);
            }
        }
        let mut left = most.saturating_sub(replies).min(if replies > 0 { MIXED_PROMPT } else { most });
        let mut prompts = self.slots.iter().filter(|slot| slot.run.as_ref().is_some_and(Run::has_prompt)).count();
        for (sequence, slot) in self.slots.iter_mut().enumerate() {
            let Some(run) = slot.run.as_mut().filter(|run| run.has_prompt()) else { continue };
            let share = left.checked_div(prompts).unwrap_or(0);
            let (piece, whole) = run.take_prompt(share);
            left = left.saturating_sub(piece.len());
            prompts = prompts.saturating_sub(1);
            let last = piece.len().saturating_sub(1);
            for (at, token) in piece.into_iter().enumerate() {
                add(sequence, slot, token, whole && at == last);
            }
        }
        (batch, rows)
    }

    /// After a failed computation nobody knows what the sequences hold.
    fn give_up(&mut self, out: &mut Vec<Report>) {
        for sequence in 0..self.slots.len() {
            self.keep(sequence, 0);
            let run = self.slots.get_mut(sequence).and_then(|slot| slot.run.take());
            out.extend(run.map(|run| Report::Failed { id: run.id(), failure: Failure::Internal }));
        }
    }
}
