//! What can go wrong.

use std::io;
use std::path::PathBuf;

use sealstone_evidence::snp::Product;

/// Nothing was fetched, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The report is of version 2, which doesn't name the processor; whoever has the evidence must know.
    #[error("the report doesn't say which generation of processor made it; say it with --product milan, genoa or turin")]
    ProductUnknown,
    /// The caller named another generation than the report does.
    #[error("the report is a {said}'s, not a {given}'s; leave --product out")]
    ProductOther {
        /// By the report's CPUID.
        said: Product,
        /// By the caller.
        given: Product,
    },
    /// A processor of a generation that this version doesn't know.
    #[error("the report is from a processor of family {family:#x}, model {model:#x}, which this version doesn't know")]
    Processor {
        /// CPUID family.
        family: u8,
        /// CPUID model.
        model: u8,
    },
    /// The host hides which chip it is: the certificate can't be asked for by its name.
    #[error(
        "the report doesn't name its chip (the host masks it), so AMD can't be asked for the certificate; it must come from the host"
    )]
    Masked,
    /// The report isn't signed, or by a kind of key that this version doesn't know.
    #[error("the report isn't signed by a VCEK or VLEK; there is no certificate for it")]
    Unsigned,
    /// The quote's certificate doesn't say which platform it is of.
    #[error("the quote's PCK certificate: {0}")]
    Pck(String),
    /// A TPM's evidence is complete in itself.
    #[error("a TPM's evidence takes nothing from AMD or Intel")]
    Tpm,
    /// An address that isn't one.
    #[error("{option}: `{address}` is no address; write https://host or http://host, without a query")]
    Address {
        /// Which.
        option: &'static str,
        /// What was given.
        address: String,
    },
    /// The service doesn't have it.
    #[error("{what}: {url} {problem}: the service doesn't know the {of}; is the evidence altered, or another product's?")]
    Missing {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// What was answered.
        problem: String,
        /// By what it was asked for.
        of: &'static str,
    },
    /// The service couldn't be reached, or refused.
    #[error("{what}: {url}: {problem}; try again later, or name a cache of yours with {option}")]
    Service {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// What went wrong.
        problem: String,
        /// The option that names another service.
        option: &'static str,
    },
    /// What the service gave isn't what it was asked for. Nothing was written.
    #[error("{what}: {url} gave something else: {why}")]
    Unusable {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file couldn't be written. Files that were there before are as they were, or renewed as a whole.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

impl FetchError {
    /// Whether the arguments are at fault, rather than a service or the disk.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::Missing { .. } | Self::Service { .. } | Self::Unusable { .. } | Self::Write { .. })
    }
}
