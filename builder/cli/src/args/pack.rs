//! Options of `sealstone pack`.

use std::path::PathBuf;

use clap::Args;
use sealstone_spec::{ModelName, PackPath, Sha256};

/// Make a model pack, the disk from which an image takes its model, or check one
///
/// A model file, the pieces of a split one, or a folder go in; out comes an EROFS image with its dm-verity tree. Name and content alone
/// decide its bytes. Printed is what identifies it, and the lines that tell a spec to take this pack and no other.
#[derive(Args, Debug)]
pub(crate) struct PackArgs {
    /// Model file or files, or one folder
    #[arg(required_unless_present = "check", conflicts_with = "check")]
    pub(crate) model: Vec<PathBuf>,
    /// Name that clients ask for: 1 to 63 of a-z, 0-9 and inner hyphens
    #[arg(long, required_unless_present = "check", conflicts_with = "check")]
    pub(crate) name: Option<ModelName>,
    /// Where to put the pack
    #[arg(long, value_name = "FILE", required_unless_present = "check", conflicts_with = "check")]
    pub(crate) out: Option<PathBuf>,
    /// The model file's path in the pack [default: the first file, a folder's only GGUF, or its first piece]
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    pub(crate) main: Option<PackPath>,
    /// Every time in the pack, in seconds since 1970; another one gives another root
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=u64::from(u32::MAX)))]
    pub(crate) epoch: u64,
    /// Check every block of this pack instead, and name the first that is damaged
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// With --check: the root that the pack must have
    #[arg(long, value_name = "HEX", requires = "check")]
    pub(crate) root: Option<Sha256>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
