//! Options of `sealstone collateral`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sealstone_evidence::snp::Product;

/// Fetch what verifying evidence takes besides the evidence, from AMD or Intel
#[derive(Args, Debug)]
pub(crate) struct CollateralArgs {
    #[command(subcommand)]
    pub(crate) what: CollateralVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CollateralVerb {
    Fetch(FetchArgs),
}

/// Fetch what is missing to verify a piece of evidence
///
/// Of SEV-SNP that is the certificate of the key that signed the report, those above it, and AMD's revocation list; of TDX TCB info, the
/// quoting enclave's identity and Intel's revocation lists. What the machine sent along isn't fetched again. Nothing that is fetched is
/// trusted: whether it is the vendor's and goes with the evidence, `sealstone verify` decides.
#[derive(Args, Debug)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Folder to put the files in
    #[arg(long, value_name = "DIR", default_value = "collateral")]
    pub(crate) out: PathBuf,
    /// Fetch what the machine sent along, too: it may be out of date
    #[arg(long, conflicts_with_all = ["report", "quote"])]
    pub(crate) renew: bool,
    /// SEV-SNP: generation of the processor, for reports of version 2, which don't say it
    #[arg(long, value_name = "NAME", conflicts_with = "quote")]
    pub(crate) product: Option<ProductArg>,
    /// Address of AMD's Key Distribution Service or a cache of it [default: https://kdsintf.amd.com]
    #[arg(long, value_name = "URL")]
    pub(crate) amd: Option<String>,
    /// Address of Intel's Provisioning Certification Service or a cache of it [default: https://api.trustedservices.intel.com]
    #[arg(long, value_name = "URL")]
    pub(crate) intel: Option<String>,
    /// Where Intel's root's revocation list is [default: where the root certificate says]
    #[arg(long, value_name = "URL")]
    pub(crate) intel_root_crl: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the collateral is for.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// An evidence document (`sealstone/evidence/v1`)
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
    /// A raw SEV-SNP report
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// A raw TDX quote
    #[arg(long, value_name = "FILE")]
    pub(crate) quote: Option<PathBuf>,
}

/// A generation of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProductArg {
    /// Third-generation EPYC
    Milan,
    /// Fourth, with Bergamo and Siena
    Genoa,
    /// Fifth
    Turin,
}

impl From<ProductArg> for Product {
    fn from(name: ProductArg) -> Self {
        match name {
            ProductArg::Milan => Self::Milan,
            ProductArg::Genoa => Self::Genoa,
            ProductArg::Turin => Self::Turin,
        }
    }
}
