//! What a Debian archive has, and which of it a spec needs: signed indexes to a [`Lock`](sealstone_spec::Lock).
//!
//! Everything here is a function of bytes: [`IndexSource`] brings the files, and the time is an argument.
//!
//! ```text
//! InRelease ─signature, suite, dates─▶ Release ─sha256─▶ Packages.xz, Sources.xz ─▶ Indexes × Spec × old Lock ─▶ Lock
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `openpgp` | armoured keys and clear-signed texts: who signed this, and may they |
//! | `release` | the signed root of a suite: dates, digests of its indexes |
//! | `deb822`, `index`, `relation` | paragraphs of fields; packages; dependencies |
//! | `suite` | fetches and checks what the spec's archives name, into [`Indexes`] |
//! | `choose`, `closure` | which version of a package; what its dependencies add |
//! | `resolve` | all of it, into a lock |
//! | `crates` | the crates of a Cargo.lock |

mod choose;
mod closure;
mod crates;
mod deb822;
mod error;
mod index;
mod openpgp;
mod relation;
mod release;
mod resolve;
mod suite;
#[cfg(test)]
mod tests;

pub use crates::{CratesError, crates_from_cargo_lock};
pub use deb822::Malformed;
pub use error::{DebianError, Facts, SourceError};
pub use index::{BinaryPackage, PoolFile, SourcePackage, packages, sources};
pub use openpgp::{Keyring, SignatureError};
pub use release::Release;
pub use resolve::{Note, Resolution, Update, resolve};
pub use suite::{Accept, IndexFile, IndexSource, Indexes, Suite, load_indexes};
