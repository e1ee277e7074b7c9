//! What fetching tells whoever watches it. Rendering is the command line's matter.

use sealstone_spec::Sha256;
use serde::Serialize;

/// One thing that happened while inputs were fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fetch", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The store has been looked through; this is what is missing. Comes first, once.
    Plan {
        /// Files that are missing.
        files: u64,
        /// Their length together, in bytes.
        bytes: u64,
        /// Files that are there already.
        present: u64,
    },
    /// An object of the store was not what its name says. It was removed and will be fetched.
    Damaged {
        /// The object.
        sha256: Sha256,
        /// The file, as people know it.
        what: String,
    },
    /// A file is being asked for.
    Start {
        /// The file.
        sha256: Sha256,
        /// The file, as people know it.
        what: String,
        /// Its length in bytes.
        size: u64,
    },
    /// More of a file has come. The count starts again when another mirror is asked.
    Bytes {
        /// The file.
        sha256: Sha256,
        /// Bytes of it that have come so far.
        done: u64,
    },
    /// A mirror failed in a way that may pass; it is asked again after a pause.
    Retry {
        /// The file.
        sha256: Sha256,
        /// The mirror.
        mirror: String,
        /// What it answered.
        problem: String,
        /// Length of the pause in milliseconds.
        pause_ms: u64,
    },
    /// A mirror did not give the file, or gave other bytes; the next one is asked.
    Refused {
        /// The file.
        sha256: Sha256,
        /// The file, as people know it.
        what: String,
        /// The mirror.
        mirror: String,
        /// What it answered.
        problem: String,
    },
    /// A mirror failed so often that it is now asked last.
    Demoted {
        /// The mirror.
        mirror: String,
    },
    /// Cargo is asked for crates that are neither in the store nor in cargo's own cache.
    Cargo {
        /// How many are missing.
        crates: u64,
    },
    /// A file is in the store.
    Done {
        /// The file.
        sha256: Sha256,
        /// The file, as people know it.
        what: String,
        /// The mirror that gave it.
        mirror: String,
    },
    /// No mirror had the file.
    Failed {
        /// The file.
        sha256: Sha256,
        /// The file, as people know it.
        what: String,
    },
}

/// Whoever watches.
pub trait Progress: Sync {
    /// Takes one event. Called from several threads, and often: it should return at once.
    fn event(&self, event: &Event);
}

/// Watches nothing; for tests and library users.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event) {}
}
