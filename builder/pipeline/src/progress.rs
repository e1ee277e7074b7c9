//! What a build tells whoever watches it. Rendering is the command line's matter.

use serde::Serialize;

/// One thing that happened. Serialised as one JSON object a line for `--progress=jsonl`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Inputs are being fetched.
    Fetch(sealstone_inputs::Event),
    /// A package tree is being unpacked.
    RootStarted {
        /// The root's name in the spec.
        root: String,
        /// How many packages it has.
        packages: usize,
    },
    /// One more package of a tree is unpacked.
    RootPackage {
        /// The root's name in the spec.
        root: String,
        /// How many packages are done.
        done: usize,
        /// The package that was just unpacked.
        package: String,
    },
    /// A package tree is ready.
    RootReady {
        /// The root's name in the spec.
        root: String,
    },
    /// An action runs.
    ActionStarted {
        /// The action.
        action: String,
    },
    /// An action's result was taken from the cache.
    ActionCached {
        /// The action.
        action: String,
    },
    /// An action ended well.
    ActionDone {
        /// The action.
        action: String,
        /// Wall time in seconds.
        seconds: f64,
    },
    /// A pack is being written or checked.
    Packing {
        /// What is being done: `packing NAME`.
        what: String,
        /// Bytes that were handled.
        done: u64,
        /// About how many there are; equal to `done` at the end.
        total: u64,
    },
    /// Something else that a person watching wants to know.
    Step {
        /// What is being done.
        step: String,
    },
}

/// Whoever watches.
pub trait Reporter: Sync {
    /// Takes one event. Called from several threads.
    fn event(&self, event: Event);
}

/// Watches nothing; for tests and library users.
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: Event) {}
}

/// Passes what the fetching part tells on to a [`Reporter`].
pub(crate) struct Fetching<'a>(pub(crate) &'a dyn Reporter);

impl sealstone_inputs::Progress for Fetching<'_> {
    fn event(&self, event: &sealstone_inputs::Event) {
        self.0.event(Event::Fetch(event.clone()));
    }
}
