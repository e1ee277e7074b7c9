//! Launch measurements of confidential VMs, from bytes: SEV-SNP, TDX and TPM.
//!
//! Bytes go in, a [`transcript::Transcript`] comes out: the ordered list of everything that is measured, each event with
//! its source and with who controls it. Registers are the fold of their events. The crate touches no files, clock,
//! environment or network, builds for `wasm32-unknown-unknown`, and re-reads every format with parsers of its own, so
//! that a mistake of the writer can't hide in the reader. How it all works by hand: `docs/formats/measurement.md`.
//!
//! | to predict | call | then |
//! | --- | --- | --- |
//! | an SNP launch digest | [`snp::measure`] | [`snp::Launch::digest_for`], [`snp::Launch::transcript`] |
//! | any vCPU count from a pin | [`snp::launch_digest`] | |
//! | a TD's MRTD and RTMRs | [`tdx::measure`] | [`transcript::Transcript::registers`] |
//! | a TPM's PCRs | [`tpm::measure`] | [`transcript::Transcript::registers`] |
//! | a PE image's digest | [`pe::authenticode`] | |
//!
//! | to check | call |
//! | --- | --- |
//! | a transcript out of a pin | [`transcript::registers`] |
//! | an event log | [`eventlog::EventLog::parse`], [`eventlog::EventLog::replay`], [`eventlog::first_divergence`] |
//! | an unexpected SNP measurement | [`snp::other_shape`] |

pub mod boot;
pub mod digest;
pub mod eventlog;
pub mod fat;
pub mod firmware;
pub mod gpt;
pub mod guid;
pub mod pe;
mod read;
pub mod snp;
pub mod tdx;
pub mod tpm;
pub mod transcript;
