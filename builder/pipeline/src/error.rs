//! What can go wrong between a spec and an image, and what that implies for whoever asked.

use std::path::{Path, PathBuf};

/// How a caller should treat a failure; the command line turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// I/O or an internal step failed; trying again may help.
    Failed,
    /// A file or value that the user gave could not be parsed or validated.
    BadInput,
    /// Two builds that had to be the same to the byte are not.
    NotReproduced,
    /// This host lacks something that no flag can replace; `sealstone doctor` says what.
    HostLacks,
}

/// A build, check or boot that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The spec or the lock is not valid; the message names file, line, field and remedy.
    #[error(transparent)]
    Spec(#[from] sealstone_spec::SpecError),
    /// The spec is valid, but asks for something that this version cannot build.
    #[error("{}: {field}: {problem}", spec.display())]
    Unsupported {
        /// The spec.
        spec: PathBuf,
        /// The field.
        field: &'static str,
        /// What cannot be done, and what to do instead.
        problem: &'static str,
    },
    /// A part of the build ended in a way that it never should; a defect, not the user's fault.
    #[error("{0}; please report this")]
    Internal(&'static str),
    /// The kernel fragments or the resolved configuration break a rule.
    #[error("{file}: {problem}")]
    KernelConfig {
        /// The fragment or resolved configuration, as the spec names it.
        file: String,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// The lock belongs to another spec, or there is none, and resolving was forbidden.
    #[error("{lock}: {problem}; run `sealstone lock {spec}` and commit the result")]
    Lock {
        /// The lock file.
        lock: PathBuf,
        /// The spec it should belong to.
        spec: PathBuf,
        /// Why it cannot be used.
        problem: String,
    },
    /// An input could not be fetched, or the store is damaged or busy.
    #[error(transparent)]
    Inputs(#[from] sealstone_inputs::InputsError),
    /// A signed package index was refused or could not be resolved.
    #[error(transparent)]
    Resolve(#[from] sealstone_inputs::debian::DebianError),
    /// A `Cargo.lock` of the userland can't be read, or asks for crates that no registry has.
    #[error("{}: {source}", lock.display())]
    Crates {
        /// The `Cargo.lock`.
        lock: PathBuf,
        /// What is wrong with it.
        source: sealstone_inputs::debian::CratesError,
    },
    /// Unpacking, isolating or running something failed.
    #[error("{doing}: {source}")]
    Sandbox {
        /// What was being done.
        doing: String,
        /// What the sandbox reported.
        source: sealstone_sandbox::SandboxError,
    },
    /// An action ended well but did not leave what it promised, or left what it must not.
    #[error("{action}: {problem}")]
    Output {
        /// The action.
        action: String,
        /// The output and what is wrong with it.
        problem: String,
    },
    /// The image could not be put together from its parts.
    #[error(transparent)]
    Assemble(#[from] sealstone_assemble::AssembleError),
    /// A release lacks what it takes to build it again, or its parts don't belong together.
    #[error("reading the release: {problem}; take the release folder as it was published")]
    Release {
        /// What is missing or wrong.
        problem: String,
    },
    /// Something is in the image that nobody accounts for, or a document about it could not be read.
    #[error(transparent)]
    Bom(#[from] sealstone_bom::BomError),
    /// A measurement could not be computed for a profile of the spec.
    #[error("profile {profile}: {problem}")]
    Measure {
        /// The profile's id in the spec.
        profile: String,
        /// What refused and why.
        problem: String,
    },
    /// Two builds that had to be equal differ.
    #[error("not reproduced: {0}")]
    NotReproduced(String),
    /// The output folder is something that a build must not replace.
    #[error("{}: {problem}", path.display())]
    OutputFolder {
        /// The folder.
        path: PathBuf,
        /// Why it is left alone and what to do.
        problem: String,
    },
    /// A model could not become a pack, or is not the one that the spec locks.
    #[error(transparent)]
    Pack(#[from] crate::packs::PackError),
    /// A virtual machine did not do what was expected of it.
    #[error("{0}")]
    Boot(String),
    /// A file could not be read or written.
    #[error("{doing} {}: {}", path.display(), reason(source))]
    Io {
        /// What was being done, as a verb: `reading`, `writing`, `renaming`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
}

/// What the system answered, with the remedy where there is one.
fn reason(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "no space is left on the disk or quota; free some, or choose another place (--out, --store)".into()
        }
        _ => source.to_string(),
    }
}

impl PipelineError {
    /// How the failure should be treated.
    pub fn class(&self) -> Class {
        match self {
            Self::Spec(_)
            | Self::Unsupported { .. }
            | Self::Crates { .. }
            | Self::KernelConfig { .. }
            | Self::Lock { .. }
            | Self::OutputFolder { .. } => Class::BadInput,
            Self::Resolve(_) | Self::Measure { .. } | Self::Assemble(_) | Self::Bom(_) | Self::Release { .. } => Class::BadInput,
            Self::Pack(error) => error.class(),
            Self::NotReproduced(_) => Class::NotReproduced,
            Self::Sandbox { source: sealstone_sandbox::SandboxError::Host(_), .. } => Class::HostLacks,
            _ => Class::Failed,
        }
    }
}

/// Attaches what was being done, and to which file, to an I/O result.
pub(crate) trait IoContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, PipelineError>;
}

impl<T> IoContext<T> for Result<T, std::io::Error> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, PipelineError> {
        self.map_err(|source| PipelineError::Io { doing, path: path.to_path_buf(), source })
    }
}
