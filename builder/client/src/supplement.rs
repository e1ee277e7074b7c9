//! What the vendors say of a machine's evidence, where the machine doesn't send it.

use std::fmt;
use std::sync::Arc;

use sealstone_release::evidence::Evidence;

type Add = dyn Fn(&mut Evidence) -> Result<(), String> + Send + Sync;

/// Puts certificates, revocation lists or TCB statements into evidence before it is judged. It is asked anew for each connection, because
/// such statements expire sooner than a client that runs for months ends. What it puts there is judged like what a machine sends.
#[derive(Clone)]
pub struct Supplement(Arc<Add>);

impl Supplement {
    /// By this function, whose error is in words and ends the connection.
    pub fn new(add: impl Fn(&mut Evidence) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(add))
    }

    pub(crate) fn add(&self, evidence: &mut Evidence) -> Result<(), String> {
        (self.0)(evidence)
    }
}

/// Nothing.
impl Default for Supplement {
    fn default() -> Self {
        Self::new(|_| Ok(()))
    }
}

impl fmt::Debug for Supplement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Supplement")
    }
}
