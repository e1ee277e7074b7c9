//! Arguments of `sealstone verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Judge attestation evidence offline: is it genuine, from the pinned image, and what the policy wants?
///
/// Every check runs and is listed, worst first; the exit code is the worst's: 10 signature or certificate chain, 11
/// measurement, 12 policy. Nothing is fetched: certificates and collateral are given, the vendors' roots are compiled in.
/// With a subcommand raw evidence is judged, without a pin.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct VerifyArgs {
    #[command(subcommand)]
    pub(crate) what: Option<Verify>,
    #[command(flatten)]
    pub(crate) pinned: VerifyPinArgs,
}

/// An evidence document against a pin.
#[derive(Args, Debug)]
pub(crate) struct VerifyPinArgs {
    /// The pin, or a folder with a pin.json
    #[arg(long, value_name = "PIN", required_unless_present = "release")]
    pub(crate) pin: Option<PathBuf>,
    /// In place of the pin: the folder of its release, which is judged along by the policy's `release` section
    #[arg(long, value_name = "DIR", conflicts_with = "pin")]
    pub(crate) release: Option<PathBuf>,
    /// The evidence document (`sealstone/evidence/v1`), as the machine sent it
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) evidence: Option<PathBuf>,
    /// The nonce that the evidence was asked for with: 64 lower-case hex digits. Without it, nothing shows that it is fresh
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
    #[command(flatten)]
    pub(crate) vendors: VendorArgs,
    /// Folder with the image that you think was started: says which of its files aren't the pinned ones
    #[arg(long, value_name = "DIR")]
    pub(crate) image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
}

/// What the vendors say of a machine, from files; `sealstone collateral fetch` writes them.
#[derive(Args, Clone, Debug)]
pub(crate) struct VendorArgs {
    /// SEV-SNP: certificates to use instead of the machine's own; PEM of the VCEK or VLEK and those above it
    #[arg(long, value_name = "FILE")]
    pub(crate) certificates: Option<PathBuf>,
    /// SEV-SNP: AMD's revocation list (DER) to use instead of the machine's own
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
    /// TDX: collateral to use instead of the machine's own
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verify {
    Snp(VerifySnpArgs),
    Tdx(VerifyTdxArgs),
    Tpm(VerifyTpmArgs),
}

/// What every kind of evidence is judged by.
#[derive(Args, Debug)]
pub(crate) struct JudgeArgs {
    /// Policy (YAML); without it the defaults hold: no debug, no migration, no Milan, TCB up to date
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Time to judge at, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(crate) at: Option<u64>,
    /// Print the verdict as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// An SEV-SNP attestation report
#[derive(Args, Debug)]
pub(crate) struct VerifySnpArgs {
    /// The report: 1184 raw bytes
    #[arg(long, value_name = "FILE")]
    pub(crate) report: PathBuf,
    /// Certificate of the key that signed it, VCEK or VLEK; DER or PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) vcek: PathBuf,
    /// PEM of the issuer's certificate (ASK or ASVK) and, optionally, the root's [default: the compiled-in ASK]
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: Option<PathBuf>,
    /// AMD's revocation list for the product (DER); then the chain must have the issuer's certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
}

/// A TDX quote
#[derive(Args, Debug)]
pub(crate) struct VerifyTdxArgs {
    /// The quote: raw bytes, format 4 or 5
    #[arg(long, value_name = "FILE")]
    pub(crate) quote: PathBuf,
    /// Collateral: one JSON object with revocation lists, TCB info, QE identity and their issuer chains
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: PathBuf,
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
}

/// A TPM 2.0 quote under an attestation key that you trust
#[derive(Args, Debug)]
pub(crate) struct VerifyTpmArgs {
    /// What the TPM signed (TPMS_ATTEST)
    #[arg(long, value_name = "FILE")]
    pub(crate) quote: PathBuf,
    /// The signature (TPMT_SIGNATURE)
    #[arg(long, value_name = "FILE")]
    pub(crate) sig: PathBuf,
    /// The attestation key: TPM2B_PUBLIC, or a public key in PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) ak: PathBuf,
    /// Event log of the boot (TCG 2.0, binary): the registers are recomputed from it
    #[arg(long, value_name = "FILE")]
    pub(crate) eventlog: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
}
