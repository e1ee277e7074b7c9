//! What an image is made of: the **spec** that people write (YAML) and the **lock** that resolving it gives (JSON).
//!
//! Text in, values out: nothing here touches files, clock, environment or network. A value that exists is valid.
//!
//! | module | holds |
//! | --- | --- |
//! | [`spec`](Spec) | the typed spec, its reader, [`Profile`]s of platforms whose measurements are predicted |
//! | [`lock`] | the typed lock, its one canonical text, what changed between two locks, whether it fits a spec |
//! | `value` | the small validated values: [`Sha256`], [`Name`], [`PackageName`], [`Version`], [`UtcTime`], paths |
//! | `tree` | YAML text to a tree of nodes that know their line and column |
//! | `reader` | that tree to typed values, collecting every problem instead of stopping at the first |
//! | `error` | [`SpecError`]: file, line, column, field, what is wrong, what to do |

mod error;
pub mod lock;
mod reader;
mod spec;
mod tree;
mod value;

pub use error::{Problem, ProblemKind, SpecError};
pub use lock::{Lock, LockedArchive, LockedCrate, LockedFile, LockedRoot, LockedSource};
pub use spec::{
    Address, AlsoSuite, Archive, Attestation, Auth, AuthKey, Boot, Firmware, FirmwareFile, FirmwarePlatform, Generator, Image,
    Isa, Kernel, KernelHeader, LockedPack, Model, ModelSource, Network, PageOrder, PcrBank, Platform, Profile, Repository, Root,
    SnpParams, Source, SourceOrigin, Spec, Stub, TdxParams, TpmParams, Userland, Vmm,
};
pub use value::{BadValue, ModelName, Name, PackPath, PackageName, RootPath, Sha256, Snapshot, SpecPath, UtcTime, Version};
