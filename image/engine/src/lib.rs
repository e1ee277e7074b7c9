//! The engine: one model, and what the front asks of it over a socket.
//!
//! | module | holds |
//! | --- | --- |
//! | `start` | from an argument to a loaded model, and the confinement on the way |
//! | [`serve`] | the socket: orders in, reports out |
//! | [`engine`] | which sequences are computed when: continuous batches, the prompt cache, cancelling |
//! | [`held`] | text that may turn out to be a stop string, or half a character |
//! | [`schema`] | a JSON schema as a grammar |
//! | [`template`] | a conversation as a prompt, by the model's chat template |
//! | [`backend`] | what the engine needs of whoever computes |
//! | `llama` | llama.cpp as that |
//! | [`plan`] | how much memory the sequences get |
//! | [`confine`] | what the process gives up |
//! | [`through`] | a pack's files, read through before they are mapped |
//!
//! Nothing here writes content anywhere but to the socket. The model file, the prompt and the schema are hostile: what
//! parses them in C++ can do no more than end this process, or answer wrongly.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod backend;
pub mod confine;
pub mod engine;
pub mod held;
#[cfg(feature = "llama")]
pub mod llama;
pub mod plan;
pub mod schema;
pub mod serve;
#[cfg(feature = "llama")]
pub mod start;
pub mod template;
pub mod through;
