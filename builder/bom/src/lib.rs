//! What is in an image, and what it was made from, as documents that other tools read.
//!
//! | module | holds |
//! | --- | --- |
//! | [`sbom`] | the bill of materials: CycloneDX 1.6, `sbom.cdx.json` |
//! | [`crates`] | the crates of a program, read back from the program |
//! | [`provenance`] | every input and what each step made of it: in-toto Statement with SLSA provenance, `provenance.json` |
//! | [`source`] | the files of the source tree that a build reads, as one archive: `source.tar` |
//! | [`purl`] | package URLs |
//!
//! The crate is a pure function of its arguments: no files, clock, environment or network. Equal arguments give equal
//! bytes, so all three documents can be compared between builders like any artefact.

#![forbid(unsafe_code)]

pub mod crates;
mod error;
pub mod provenance;
pub mod purl;
pub mod sbom;
pub mod source;

pub use error::BomError;
