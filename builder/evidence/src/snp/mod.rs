//! SEV-SNP attestation reports.
//!
//! Sources: "SEV Secure Nested Paging Firmware ABI Specification" (AMD 56860, revision 1.58), chapter 7.3 for the report;
//! "Versioned Chip Endorsement Key Certificate and KDS Interface Specification" (AMD 57230) for the certificates.

mod endorsement;
mod report;
pub(crate) mod roots;
mod tcb;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

pub use endorsement::{Endorsement, EndorsementError, HardwareId};
pub use report::{GuestPolicy, PlatformInfo, REPORT_LENGTH, Report, ReportError, SigningKey};
pub use roots::Product;
pub use tcb::{Tcb, TcbVersion};
pub use verify::{Authenticity, MANDATORY, verify};
