//! The spec: what a person writes to say what an image is made of.
//!
//! The types here are the resolved ones; [`read`] turns a tree into them and [`profile`] holds the platforms.

mod auth;
mod edit;
mod model;
mod profile;
mod read;

use std::cell::RefCell;
use std::collections::BTreeMap;

pub use auth::{Auth, AuthKey};
pub use model::{Generator, LockedPack, Model, ModelSource};
pub use profile::{
    Boot, FirmwareFile, KernelHeader, PageOrder, PcrBank, Platform, Profile, SnpParams, TdxParams, TpmParams, Vmm,
};

use crate::error::SpecError;
use crate::reader::Cursor;
use crate::tree;
use crate::value::{Name, PackageName, RootPath, Sha256, Snapshot, SpecPath, Version};

/// What `schema:` must say.
pub(crate) const SCHEMA: &str = "sealstone/spec/v1";

/// A whole spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// SHA-256 of the text it was parsed from.
    pub sha256: Sha256,
    /// Name, version and time of the image.
    pub image: Image,
    /// Where packages come from.
    pub archives: BTreeMap<Name, Archive>,
    /// Unpacked package trees.
    pub roots: BTreeMap<Name, Root>,
    /// What is built from source.
    pub sources: BTreeMap<Name, Source>,
    /// The kernel.
    pub kernel: Kernel,
    /// The programs inside the image.
    pub userland: Userland,
    /// The firmware that is built along.
    pub firmware: Firmware,
    /// The EFI stub of the unified kernel image.
    pub stub: Stub,
    /// Where the daemon listens.
    pub network: Network,
    /// Models that the image may load, no two with the same name.
    pub models: Vec<Model>,
    /// Whether the daemon serves without evidence.
    pub attestation: Attestation,
    /// Who may use the API; everybody, if there is none.
    pub auth: Option<Auth>,
    /// Platforms whose registers are predicted, no two with the same id.
    pub profiles: Vec<Profile>,
}

/// `image:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: Name,
    /// Its version: letters, digits, `.`, `+`, `-`.
    pub version: String,
    /// Every timestamp in the output, in seconds since 1970 UTC. From 1980 (FAT knows nothing earlier) to 2106 (cpio's
    /// and EROFS's compact inodes' 32 bits).
    pub epoch: u64,
}

/// `archives.<name>:` one suite of a Debian archive, with others that may be asked beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Which archive the suite is in.
    pub repository: Repository,
    /// Suite or code name, as in `dists/<suite>/`.
    pub suite: String,
    /// At least one, such as `main`.
    pub components: Vec<String>,
    /// OpenPGP keys, ASCII-armoured, any of which may have signed the index.
    pub keys: SpecPath,
    /// When snapshot.debian.org is asked for a file that no mirror has any more, it is asked for this moment.
    pub snapshot: Snapshot,
    /// More suites, asked together with this one: the highest version wins.
    pub also: Vec<AlsoSuite>,
}

/// One entry of `archives.<name>.also`. Components and snapshot are the main suite's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlsoSuite {
    /// Which archive the suite is in.
    pub repository: Repository,
    /// Suite or code name.
    pub suite: String,
    /// Its keys; the main suite's when left out.
    pub keys: SpecPath,
}

/// The archives that snapshot.debian.org keeps under these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Repository {
    /// `debian`
    Debian,
    /// `debian-security`
    DebianSecurity,
}

/// `roots.<name>:` a tree of unpacked packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The archive that all of its packages come from.
    pub archive: Name,
    /// What has to be in it; what these depend on comes along.
    pub packages: Vec<PackageName>,
    /// Never taken, although something depends on it.
    pub exclude: Vec<PackageName>,
    /// Symbolic links to make, from path to target: what maintainer scripts would have made.
    pub links: BTreeMap<RootPath, String>,
}

/// `sources.<name>:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The archive that it comes from.
    pub archive: Name,
    /// Which of its packages.
    pub origin: SourceOrigin,
    /// The exact version; without it the highest one is locked.
    pub version: Option<Version>,
}

/// In what form an archive holds source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceOrigin {
    /// `package:` a binary package whose content is source, such as `linux-source-6.12`.
    Package(PackageName),
    /// `source:` a source package: upstream's tarballs and Debian's.
    Source(PackageName),
}

/// `kernel:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// One of [`Spec::sources`].
    pub source: Name,
    /// Configuration fragments, merged in this order.
    pub fragments: Vec<SpecPath>,
    /// Patches to the source, applied in this order.
    pub patches: Vec<SpecPath>,
    /// The configuration that merging them must give.
    pub resolved: SpecPath,
    /// Words of the command line: printable ASCII without spaces and quotes.
    pub cmdline: Vec<String>,
}

/// `userland:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Userland {
    /// Folder that holds the Cargo.toml and Cargo.lock of the programs inside the image.
    pub workspace: SpecPath,
    /// What the programs may ask of the processor.
    pub isa: Isa,
}

/// Instruction set levels of the x86-64 psABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Isa {
    /// `x86-64-v2`: SSE4.2.
    V2,
    /// `x86-64-v3`: AVX2, FMA.
    V3,
    /// `x86-64-v4`: AVX-512.
    V4,
}

/// `firmware:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// One of [`Spec::sources`].
    pub source: Name,
    /// Which ones to build, without repetition.
    pub platforms: Vec<FirmwarePlatform>,
}

/// The edk2 platforms that are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FirmwarePlatform {
    /// `amdsev`: OvmfPkg/AmdSev/AmdSevX64.dsc, which checks the hashes of kernel, initrd and command line.
    AmdSev,
    /// `inteltdx`: OvmfPkg/IntelTdx/IntelTdxX64.dsc.
    IntelTdx,
}

/// `stub:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// One of [`Spec::sources`].
    pub source: Name,
}

/// `network:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// How the guest gets its address.
    pub address: Address,
    /// TCP port that the daemon listens on.
    pub port: u16,
}

/// How the guest gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// `dhcp`: the kernel asks for it before init starts.
    Dhcp,
}

/// `attestation:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// `required`: without evidence nobody is served.
    Required,
    /// `insecure`: for development; a client's policy refuses it unless told otherwise.
    Insecure,
}

impl Spec {
    /// Reads a spec.
    ///
    /// `file` names it in errors, and is its path relative to the repository's root: paths in the spec may climb (`../`)
    /// as many folders as it has, and not out of the repository.
    ///
    /// # Errors
    /// Every problem of the text, each with its place, field and remedy.
    pub fn parse(file: &str, text: &str) -> Result<Spec, SpecError> {
        let depth = file.split('/').filter(|part| !part.is_empty() && *part != ".").count().saturating_sub(1);
        let mut found = Vec::new();
        let root = tree::parse(text, &mut found);
        let problems = RefCell::new(found);
        let spec = root.and_then(|node| read::spec(&Cursor::root(&node, &problems), depth, Sha256::of(text.as_bytes())));
        let mut problems = problems.into_inner();
        match spec {
            Some(spec) if problems.is_empty() => Ok(spec),
            _ => {
                problems.sort_by_key(|problem| (problem.line, problem.column));
                Err(SpecError { file: file.to_owned(), problems })
            }
        }
    }

    /// The id that a suite of an archive's `also` list has in a lock: `<archive>+<suite>`. `+` isn't part of any [`Name`].
    pub fn also_id(archive: &Name, also: &AlsoSuite) -> String {
        format!("{archive}+{}", also.suite)
    }

    /// Digest of the part of the spec that decides what a lock lists: the archives without their keys, the roots without
    /// their links, and the sources. A change of anything else, such as the command line, leaves a lock valid.
    pub fn lock_digest(&self) -> Sha256 {
        Sha256::of(read::lock_part(self).as_bytes())
    }
}

/// The words of YAML for a closed set, in one table for reading and writing.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            pub(crate) const WORDS: &'static [(&'static str, $type)] = &[$(($word, $type::$variant)),+];

            /// The word that stands for it in a spec.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
use words;

words!(Repository { Debian = "debian", DebianSecurity = "debian-security" });
words!(Isa { V2 = "x86-64-v2", V3 = "x86-64-v3", V4 = "x86-64-v4" });
words!(FirmwarePlatform { AmdSev = "amdsev", IntelTdx = "inteltdx" });
words!(Address { Dhcp = "dhcp" });
words!(Attestation { Required = "required", Insecure = "insecure" });
