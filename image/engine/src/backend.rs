//! What the engine needs of whoever computes. Behind a trait, so that the order of things can be tested without a model.

use sealstone_protocol::{Logprobs, Sampling};

use crate::template::Template;

/// What a model and its memory allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens that one sequence holds.
    pub context: u32,
    /// Sequences at once, numbered from 0.
    pub sequences: u32,
    /// Tokens of one computation.
    pub batch: u32,
    /// Tokens that the model knows.
    pub vocabulary: u32,
    /// Numbers in an embedding, 0 for none.
    pub width: u32,
    /// Tokens of one embedding's text.
    pub embedding: u32,
    /// Whether it says what follows a text. A model that was made for embeddings alone looks both ways.
    pub generates: bool,
}

/// One token to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The token.
    pub token: u32,
    /// Its place in its sequence, from 0 without gaps.
    pub position: u32,
    /// Its sequence.
    pub sequence: u32,
    /// Whether the token behind it is to be chosen.
    pub output: bool,
}

/// The computation failed. What the sequences hold is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the computation failed")]
pub struct Broken;

/// A model that computes. Rows are places in the batch that was computed last.
pub trait Backend {
    /// What chooses the tokens of one request: it remembers those that were chosen.
    type Chooser;

    /// What the model allows.
    fn shape(&self) -> Shape;
    /// The token to begin a prompt with, if the model wants one.
    fn begin(&self) -> Option<u32>;
    /// The token to end an embedding's text with, if the model wants one.
    fn end(&self) -> Option<u32>;
    /// Text as tokens; with `special`, names of special tokens mean those.
    fn tokenize(&self, text: &str, special: bool) -> Vec<u32>;
    /// The model's chat template, if it brings one.
    fn template(&self) -> Option<&Template>;
    /// A token's text; nothing for one that only controls.
    fn text(&self, token: u32) -> Vec<u8>;
    /// Whether a token ends a reply.
    fn ends(&self, token: u32) -> bool;
    /// A chooser; `None` when the grammar can't be used.
    fn chooser(&self, sampling: &Sampling, grammar: Option<&str>) -> Option<Self::Chooser>;
    /// Computes a batch. Entries of a sequence come in order.
    fn compute(&mut self, batch: &[Entry]) -> Result<(), Broken>;
    /// Chooses the token behind a row that has output; `None` when none is allowed.
    fn choose(&mut self, row: usize, chooser: &mut Self::Chooser) -> Option<u32>;
    /// How likely `token` was behind a row, and the `count` likeliest.
    fn logprobs(&self, row: usize, token: u32, count: u32) -> Option<Logprobs>;
    /// Forgets what a sequence holds from a position on. False when it can only forget all, and has not done so.
    fn forget(&mut self, sequence: u32, from: u32) -> bool;
    /// A text's embedding. Touches no sequence.
    fn embed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Broken>;
}
