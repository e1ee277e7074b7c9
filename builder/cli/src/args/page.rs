//! Arguments of `sealstone page`.

use std::path::PathBuf;

use clap::Args;

use super::StoreArgs;

/// Build the verifier for browsers: a WebAssembly module with its types, and a page that needs nothing else
///
/// Compiled in the sandbox from the source tree's own crates, with the packages of the spec's root `web`; the same to the
/// byte on every machine. `index.html` works from a disk, offline.
#[derive(Args, Debug)]
pub(crate) struct PageArgs {
    /// The spec whose lock pins the packages
    #[arg(default_value = "image/inference.yaml")]
    pub(crate) spec: PathBuf,
    /// The source tree: a checkout of sealstone
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) tree: PathBuf,
    /// Folder to put the files in; replaced as a whole, and only if a build made it
    #[arg(long, value_name = "DIR", default_value = "page")]
    pub(crate) out: PathBuf,
    /// Compile a second time under hostile conditions, as `build --check` does, and compare
    #[arg(long)]
    pub(crate) check: bool,
    /// Compile once, under those conditions instead of the usual ones
    #[arg(long, conflicts_with = "check")]
    pub(crate) vary: bool,
    /// Compile although the result is remembered
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Compare with the digests that this file records (such as measurements/page.json); exit 20 on a difference
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    pub(crate) expect: Option<PathBuf>,
    /// Record the digests of what was built in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Jobs that the compiler may start [default: number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
