//! Transparency logs: what was published can be shown to be in a list that only grows, offline.
//!
//! | module | holds | source |
//! | --- | --- | --- |
//! | [`merkle`] | the tree: roots, inclusion and consistency | RFC 6962, section 2.1 |
//! | [`checkpoint`] | what a log signs: name, size, root | C2SP tlog-checkpoint |
//! | [`proof`] | a proof that needs nothing but keys | C2SP tlog-proof, tlog-cosignature |
//! | [`tiles`] | a log as files, and how it grows | C2SP tlog-tiles |
//!
//! What it must prove: that whoever accepts a proof accepts what everybody else can see. How it could fool: a log that shows
//! two trees. Against that stand witnesses, who sign only what is consistent with all that they saw before.

pub mod checkpoint;
pub mod merkle;
pub mod proof;
pub mod tiles;

use crate::note::NoteError;

/// A log, checkpoint or proof that can't be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogError {
    /// A text isn't of its format.
    #[error("not a {what}: {problem}")]
    Shape {
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Signatures of a checkpoint.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint is of another log than the key that signed it.
    #[error("the checkpoint is of log {origin:?}, but the key that signed it is {key}'s")]
    Origin {
        /// The first line.
        origin: String,
        /// The name of the key.
        key: String,
    },
    /// Hashes don't lead to the root: the entry isn't in the log at that place, or the proof is damaged.
    #[error("the hashes of the proof do not lead from this entry to the log's root")]
    Inclusion,
    /// Two checkpoints of one log can't both be of one growing list.
    #[error("the log is not the one that it was: the trees of size {old} and {new} are no beginning and continuation")]
    Consistency {
        /// The smaller size.
        old: u64,
        /// The larger size.
        new: u64,
    },
    /// Fewer witnesses than asked for.
    #[error("cosigned by {found} of the {asked} witnesses that are asked for")]
    Witnesses {
        /// How many of the known witnesses signed.
        found: usize,
        /// How many must have.
        asked: usize,
    },
    /// A file of the log is missing or isn't what its name says.
    #[error("file {path} of the log: {problem}")]
    File {
        /// Its path in the log's folder.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

impl TlogError {
    pub(crate) fn shape(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Shape { what, problem: problem.into() }
    }
}
