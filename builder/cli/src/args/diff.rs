//! `sealstone diff` and `sealstone reproduce`.

use std::path::PathBuf;

use clap::Args;

use super::StoreArgs;

/// Say what differs between two images, and why
///
/// Which input moved which file moved which register; and where exactly files differ, through every format that an image is
/// made of. Each side is an output folder, a release folder or a pin; the more is there, the more can be said.
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The first: a folder or a pin.json
    pub(crate) a: PathBuf,
    /// The second
    pub(crate) b: PathBuf,
    /// Print one JSON document
    #[arg(long, conflicts_with = "html")]
    pub(crate) json: bool,
    /// Write one self-contained page instead
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Build a release again from its own sources, and compare
///
/// Needs no clone: the release holds spec, lock and every other file that the build reads; packages and crates are fetched by
/// digest. Exit 0 says that every file and register came out the same; 20 that something differs, and names the first step
/// that gave other bytes for equal inputs, the file and the place in it.
#[derive(Args, Debug)]
pub(crate) struct ReproduceArgs {
    /// Folder of the release, or an output folder
    pub(crate) release: PathBuf,
    /// Folder with the release's own files, to name the places that differ if the release folder lacks them
    #[arg(long, value_name = "DIR")]
    pub(crate) artefacts: Option<PathBuf>,
    /// Build this tree instead of the release's own sources: a checkout of which it is asked whether it is what was released
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// If everything came out the same, sign that with this private key
    #[arg(long, value_name = "KEY")]
    pub(crate) attest: Option<PathBuf>,
    /// File for the signed statement; never written over
    #[arg(long, value_name = "FILE", default_value = "rebuild.json", requires = "attest")]
    pub(crate) statement: PathBuf,
    /// Folder with the models that the release's packs were made from; without it packs are taken by their roots
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Keep what was built in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Run every action although its result is remembered
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Jobs that compilers may start [default: number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
