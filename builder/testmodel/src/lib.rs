//! Model files made from a seed, so that tests and the default image need no download.
//!
//! They are real: GGUF version 3 with the architecture `llama` and a byte-level BPE tokenizer, so everything that reads a
//! model reads them. [`tiny`] speaks: its weights hold which word follows which in a few lines of text, and its attention
//! decides between them, so a reply is readable, ends by itself now and then, and depends on the whole prompt. [`large`]
//! only has the shape and the size of a model that people use; its weights are noise.
//!
//! The bytes depend on the seed and on nothing else: the arithmetic is integers, and additions, products, quotients and
//! roots of IEEE 754 numbers, which every machine rounds alike.

mod gguf;
mod large;
mod number;
mod tiny;
mod tokenizer;

pub use large::{Kind, large};
pub use tiny::tiny;
