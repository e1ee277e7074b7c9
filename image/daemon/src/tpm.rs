//! A TPM 2.0, as far as evidence needs it: an attestation key made at boot, the PCR banks, the quote itself, and what shows
//! that the key is in the same TPM as a certified endorsement key.
//!
//! Commands are marshalled by hand. There are nine, their shapes are fixed, and the usual library (tpm2-tss) is more C
//! code than everything else in the image. Source: TCG, Trusted Platform Module Library, Family 2.0, Level 00,
//! Revision 1.59, Part 2 (structures) and Part 3 (commands).
//!
//! The TPM belongs to the host or its cloud, so an answer is parsed as a stranger's: exact lengths, nothing left over, and
//! the quote must be the one that was asked for. Whether it is genuine is the client's to find out.
//!
//! - [`Tpm`]: the commands; [`Transport`]: how they travel
//! - [`EndorsementCertificate`], [`Credential`]: the endorsement key
//! - [`Device`]: the kernel's TPM device

mod commands;
mod device;
mod endorsement;
mod structures;
#[cfg(test)]
mod tests;
mod wire;

use std::future::Future;
use std::io;

pub use commands::{AttestationKey, Quote, Tpm};
pub use device::Device;
pub use endorsement::{Credential, EndorsementCertificate, EndorsementKey};
pub use structures::Bank;

/// The longest answer that is looked at: the buffer of the kernel's TPM devices (`TPM_BUFSIZE`).
pub const MAX_RESPONSE: usize = 4096;

/// Carries one command to a TPM and its answer back.
pub trait Transport: Send {
    /// Sends `command`; the answer is everything that came back, at most [`MAX_RESPONSE`] bytes, unparsed.
    fn transact(&mut self, command: &[u8]) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
}

/// Why the TPM didn't do what it was asked for. None of it holds bytes of a request, so it may be said on the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TpmError {
    /// The kernel gave the command or its answer not through; the operating system's error number.
    #[error("errno {0}")]
    Transport(i32),
    /// The TPM refused the command. The code is one of TPM_RC (Part 2, section 6.6).
    #[error("{command}: response code {code:#x}")]
    Refused {
        /// The command's name.
        command: &'static str,
        /// The response code.
        code: u32,
    },
    /// The answer isn't one to this command, or not a well-formed one: a defect of the TPM, or an attempt.
    #[error("{command}: malformed {field}")]
    Malformed {
        /// The command's name.
        command: &'static str,
        /// Where parsing ended.
        field: &'static str,
    },
    /// The TPM keeps no complete SHA-256 bank of PCRs 0 to 15, and a pin has no other for all TPMs.
    #[error("no SHA-256 bank of PCRs")]
    NoBank,
}
