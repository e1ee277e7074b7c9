//! Arguments of `sealstone release`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Sign, log and verify releases
///
/// A release is a folder: the pin, the publisher's signed statement, a transparency log's proof, bill of materials,
/// provenance, sources, and others' rebuild statements. Everything in it is checked offline.
#[derive(Args, Debug)]
pub(crate) struct ReleaseArgs {
    #[command(subcommand)]
    pub(crate) what: Release,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Add(AddArgs),
    Verify(VerifyReleaseArgs),
    Notice(NoticeArgs),
    Log(LogArgs),
}

/// Make a key pair
///
/// Writes the private key to FILE, for its owner alone, and the public one to FILE.pub, and prints the latter. Nothing is
/// ever written over. A name with `demonstration` in it marks a key that every default policy refuses.
#[derive(Args, Debug)]
pub(crate) struct KeygenArgs {
    /// The key's name, such as example.com/release; for a log, the log's name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// File for the private key
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Make a witness's key, which cosigns checkpoints of logs and nothing else
    #[arg(long)]
    pub(crate) witness: bool,
}

/// Make a release of a built image
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// Folder that `sealstone build` made
    #[arg(default_value = "out")]
    pub(crate) dir: PathBuf,
    /// The publisher's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Folder to make, such as measurements/v1.0.0; must not be there yet
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// First moment of validity, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(crate) not_before: Option<u64>,
    /// Days of validity from then on
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    pub(crate) days: u64,
    /// Folder of the release that this one takes the place of; a notice that says so is put into `notices` beside --out
    #[arg(long, value_name = "DIR")]
    pub(crate) supersedes: Option<PathBuf>,
    /// Log to enter the release into
    #[arg(long, value_name = "DIR", requires = "log_key")]
    pub(crate) log: Option<PathBuf>,
    /// The log's private key
    #[arg(long, value_name = "FILE", requires = "log")]
    pub(crate) log_key: Option<PathBuf>,
}

/// Put rebuild statements or a better proof into a release
///
/// Nothing else of a release ever changes. The manifest is signed anew.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Folder of the release
    pub(crate) dir: PathBuf,
    /// The publisher's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Statement that `sealstone reproduce --attest` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) rebuild: Vec<PathBuf>,
    /// Proof that `sealstone release log prove` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
}

/// Judge a release: is it whole, whose is it, and is it wanted?
///
/// Every check runs and is listed, worst first; the exit code is the worst's: 10 signature, 12 policy, 13 transparency.
#[derive(Args, Debug)]
pub(crate) struct VerifyReleaseArgs {
    /// Folder of the release
    pub(crate) dir: PathBuf,
    /// Policy (YAML) [default: policy.yaml beside the release, which is its publisher's and shows only that the release is
    /// whole; without that one, no key is trusted]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Folder of notices that releases or keys are superseded, revoked or rotated [default: `notices` beside the release, if
    /// it is there]
    #[arg(long, value_name = "DIR")]
    pub(crate) notices: Option<PathBuf>,
    /// Time to judge at, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(crate) at: Option<u64>,
    #[command(flatten)]
    pub(crate) sigstore: SigstoreArgs,
    /// Print the verdict as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// A Sigstore bundle that must hold as well, in programs that were built with `--features sigstore`.
#[derive(Args, Debug)]
pub(crate) struct SigstoreArgs {
    /// A Sigstore bundle (v0.3) with an in-toto statement about the release's pin.json, which must hold as well
    #[arg(long, value_name = "FILE", requires_all = ["sigstore_root", "sigstore_identity", "sigstore_issuer"])]
    pub(crate) sigstore: Option<PathBuf>,
    /// Trusted roots of the Sigstore instance (trusted_root.json); never fetched
    #[arg(long, value_name = "FILE", requires = "sigstore")]
    pub(crate) sigstore_root: Option<PathBuf>,
    /// Who must have signed it: the certificate's subject, exactly
    #[arg(long, value_name = "NAME", requires = "sigstore")]
    pub(crate) sigstore_identity: Option<String>,
    /// Who must have vouched for that identity
    #[arg(long, value_name = "URL", requires = "sigstore")]
    pub(crate) sigstore_issuer: Option<String>,
}

/// Say that a release or key is no longer to be used
#[derive(Args, Debug)]
pub(crate) struct NoticeArgs {
    #[command(subcommand)]
    pub(crate) what: Notice,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Notice {
    /// A newer release takes the place of an older one
    Superseded {
        /// Folder of the older release
        #[arg(long, value_name = "DIR")]
        release: PathBuf,
        /// Folder of the newer one
        #[arg(long, value_name = "DIR")]
        by: PathBuf,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// A release must not be used
    Revoked {
        /// Folder of the release
        #[arg(long, value_name = "DIR")]
        release: PathBuf,
        /// Why, for people
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// A key gives way to another; --key is the old one
    KeyRotated {
        /// The new private key, which signs along
        #[arg(long, value_name = "FILE")]
        new_key: PathBuf,
        /// Folder of a release that the old key signed and that stays valid; any other of its is refused from now on
        #[arg(long, value_name = "DIR")]
        keep: Vec<PathBuf>,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// Others may have the private half of --key: nothing that it signed counts any longer
    KeyRevoked {
        /// Why, for people
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        signed: SignedArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct SignedArgs {
    /// The publisher's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// File to write, by custom in a folder `notices` beside the releases
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Keep a transparency log in a folder of tiles (C2SP tlog-tiles)
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    pub(crate) what: Log,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Begin an empty log; it is called what its key is called
    Init {
        /// Folder to make
        log: PathBuf,
        /// The log's private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Enter a release, and print its index
    Append {
        /// Folder of the log
        log: PathBuf,
        /// Folder of the release
        #[arg(long, value_name = "DIR")]
        release: PathBuf,
        /// The log's private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Print the proof of a release under the log's newest checkpoint
    Prove {
        /// Folder of the log
        log: PathBuf,
        /// Folder of the release
        #[arg(long, value_name = "DIR")]
        release: PathBuf,
        /// The log's public key
        #[arg(long, value_name = "FILE")]
        log_key: PathBuf,
    },
    /// Recompute every hash, and that the log continues what it was
    Check {
        /// Folder of the log
        log: PathBuf,
        /// The log's public key
        #[arg(long, value_name = "FILE")]
        log_key: PathBuf,
        /// An older checkpoint or proof of this log
        #[arg(long, value_name = "FILE")]
        since: Vec<PathBuf>,
    },
    /// Cosign the newest checkpoint as a witness, if the log continues what was seen last
    Cosign {
        /// Folder of the log
        log: PathBuf,
        /// The log's public key
        #[arg(long, value_name = "FILE")]
        log_key: PathBuf,
        /// The witness's private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// File in which the witness keeps what it saw last
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
    },
}
