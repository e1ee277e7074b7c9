//! Options of `sealstone seed`.

use std::path::PathBuf;

use clap::Args;

use super::StoreArgs;

/// Build the program that the Nix flake starts from, and print what nix/seed.json has to hold
///
/// It is built from the source tree in the working directory, in the spec's build root. The flake builds it again and compares.
#[derive(Args, Debug)]
pub(crate) struct SeedArgs {
    /// Where to put the program; Nix wants it to be called sealstone-seed
    #[arg(long, value_name = "FILE", default_value = "sealstone-seed")]
    pub(crate) out: PathBuf,
    /// The spec whose build root and epoch are used
    #[arg(long, default_value = "image/inference.yaml")]
    pub(crate) spec: PathBuf,
    /// Jobs that compilers may start [default: number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
