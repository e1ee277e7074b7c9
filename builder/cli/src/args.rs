//! The command line: verbs, options and their help texts.

mod client;
mod collateral;
mod diff;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod documented;
mod measure;
mod pack;
mod page;
mod release;
mod seed;
mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use client::{ChatArgs, ProxyArgs, TrustArgs};
pub(crate) use collateral::{CollateralArgs, CollateralVerb, FetchArgs};
pub(crate) use diff::{DiffArgs, ReproduceArgs};
pub(crate) use measure::{DirectArgs, EventlogArgs, ExplainArgs, Hash, Measure, MeasureArgs, PeArgs, SnpArgs, TdxArgs, TpmArgs};
pub(crate) use pack::PackArgs;
pub(crate) use page::PageArgs;
pub(crate) use release::{
    AddArgs, KeygenArgs, Log, LogArgs, Notice, NoticeArgs, Release, ReleaseArgs, SignArgs, SignedArgs, SigstoreArgs,
    VerifyReleaseArgs,
};
pub(crate) use seed::SeedArgs;
pub(crate) use verify::{JudgeArgs, VendorArgs, Verify, VerifyArgs, VerifyPinArgs, VerifySnpArgs, VerifyTdxArgs, VerifyTpmArgs};

/// Cuts confidential-VM images, the same to the byte on every machine, and predicts the measurement they boot with.
#[derive(Debug, Parser)]
#[command(name = "sealstone", version, propagate_version = true, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Standard output is data, standard error is for people.\n\
    Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 10-13 refused evidence, 20 not reproduced, 21 this host lacks something.")]
pub(crate) struct Cli {
    /// How progress is shown on standard error
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, one line a step elsewhere
    Auto,
    /// One JSON object a line
    Jsonl,
    /// Nothing but errors
    None,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Build(BuildArgs),
    Lock(LockArgs),
    Pack(PackArgs),
    Measure(MeasureArgs),
    Explain(ExplainArgs),
    Diff(DiffArgs),
    Reproduce(ReproduceArgs),
    Run(RunArgs),
    Root(RootArgs),
    Seed(SeedArgs),
    Verify(VerifyArgs),
    Collateral(CollateralArgs),
    Chat(ChatArgs),
    Proxy(ProxyArgs),
    Release(ReleaseArgs),
    Page(PageArgs),
    Doctor(DoctorArgs),
    #[command(hide = true)]
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
}

/// Where fetched inputs and remembered results are kept.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArgs {
    /// Folder of the content-addressed store [default: $XDG_CACHE_HOME/sealstone or ~/.cache/sealstone]
    #[arg(long, value_name = "DIR", env = "SEALSTONE_STORE")]
    pub(crate) store: Option<PathBuf>,
}

/// Build the image that a spec describes
///
/// Spec and lock go in; out come vmlinuz, initrd, cmdline, uki.efi, disk.raw, the firmwares, and pin.json with every
/// predicted measurement. Equal spec and lock give equal bytes on every machine.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// The spec to build
    #[arg(default_value = "image/inference.yaml")]
    pub(crate) spec: PathBuf,
    /// Folder to put the image in; replaced as a whole, and only if a build made it
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub(crate) out: PathBuf,
    /// Folder that the spec's models are relative to [default: the spec's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Fail rather than resolve when the lock is missing or belongs to another spec, or a model has no pack in the spec
    #[arg(long)]
    pub(crate) locked: bool,
    /// Build a second time under hostile conditions (other jobs, umask, time zone, locale, host name, user id, clock,
    /// directory order) and compare every output
    #[arg(long)]
    pub(crate) check: bool,
    /// Build once, under those conditions instead of the usual ones: with --no-cache and --expect, a proof in one build
    /// that they don't matter
    #[arg(long, conflicts_with = "check")]
    pub(crate) vary: bool,
    /// Run every action although its result is remembered
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Compare with the digests that this file records (such as measurements/head.json); exit 20 on a difference
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    pub(crate) expect: Option<PathBuf>,
    /// Record the digests of what was built in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Jobs that compilers may start [default: number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print one JSON document with the digests of everything that was built
    #[arg(long)]
    pub(crate) json: bool,
}

/// Resolve or renew the lock of a spec, and print what changed
///
/// Package indexes are accepted only with a signature by the keys that the spec names, and never older than those the lock
/// was resolved from. Without --update, what is locked stays locked as far as the spec still asks for it.
#[derive(Args, Debug)]
pub(crate) struct LockArgs {
    /// The spec whose lock to resolve
    #[arg(default_value = "image/inference.yaml")]
    pub(crate) spec: PathBuf,
    /// Take in newer versions: of everything, or of the packages named
    #[arg(long, value_name = "PKG", num_args = 0..)]
    pub(crate) update: Option<Vec<String>>,
    /// Only say what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print the changes as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Boot a built image in QEMU, with the pinned tools and a software TPM
///
/// There is no confidential hardware in it: this shows that the image works and what a TPM would measure. SIGINT (Ctrl-C) or SIGTERM
/// presses the machine's power button, at which the image finishes the requests that run; a second one ends the machine at once.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Folder that `sealstone build` made
    #[arg(default_value = "out")]
    pub(crate) dir: PathBuf,
    /// Boot disk.raw through UEFI firmware (the default)
    #[arg(long, conflicts_with = "direct")]
    pub(crate) disk: bool,
    /// Hand kernel, initrd and command line to the firmware directly
    #[arg(long)]
    pub(crate) direct: bool,
    /// Exit 0 as soon as the daemon is ready, non-zero if it never is
    #[arg(long)]
    pub(crate) smoke: bool,
    /// With --smoke: ask for evidence when it is ready, and put event log, quote, signature and key in this folder
    #[arg(long, value_name = "DIR", requires = "smoke")]
    pub(crate) evidence: Option<PathBuf>,
    /// With --smoke: put what /healthz says when it is ready into this file
    #[arg(long, value_name = "FILE", requires = "smoke")]
    pub(crate) health: Option<PathBuf>,
    /// Seconds that --smoke waits
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub(crate) timeout: u64,
    /// Memory of the guest in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) memory: u32,
    /// Attach this pack, too; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) pack: Vec<PathBuf>,
    /// Attach none of the packs in DIR
    #[arg(long)]
    pub(crate) no_packs: bool,
    /// Begin with a copy of this software TPM's state (a folder of swtpm's), such as one with an endorsement key that somebody certified
    #[arg(long, value_name = "DIR")]
    pub(crate) tpm_state: Option<PathBuf>,
    /// Loopback port that leads to the daemon [default: one that is free]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Boot with this QEMU of the host's instead of the pinned one; not isolated, and its machine's registers may be other than predicted
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) qemu: Option<PathBuf>,
    /// With --qemu: how it runs the processor
    #[arg(long, value_name = "ACCEL", default_value = "tcg", requires = "qemu")]
    pub(crate) accel: String,
    /// The spec whose lock pins the tools
    #[arg(long, default_value = "image/inference.yaml")]
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Say what this host lacks, and how to mend it
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Hash every object of the store, and remove the damaged ones, which are then fetched or built again
    #[arg(long)]
    pub(crate) objects: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Fetch and unpack one of the spec's package trees, and print where it is or run a program of it
///
/// For running the pinned tools by hand or from a script: `run` holds QEMU and the software TPM, `check` the independent
/// tools that the formats are tested against.
#[derive(Args, Debug)]
pub(crate) struct RootArgs {
    /// The root's name in the spec
    pub(crate) name: String,
    /// A program of the root and its arguments, to be run there, isolated and without network
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) command: Vec<String>,
    /// The only folder of this host that the program has: as /build, where it starts
    #[arg(long, value_name = "DIR", default_value = ".", requires = "command")]
    pub(crate) work: PathBuf,
    /// The spec
    #[arg(long, default_value = "image/inference.yaml")]
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Print completions for a shell
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Write a manual page for every verb
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Folder to put them in
    pub(crate) dir: PathBuf,
}
