//! Exit codes, and how errors read on a terminal.

use std::process::ExitCode;

use sealstone_pipeline::{Class, PipelineError};

/// Done, accepted, equal.
pub(crate) const DONE: u8 = 0;
/// Failed for a reason that has no code of its own.
pub(crate) const FAILED: u8 = 1;
/// The arguments don't go together.
pub(crate) const USAGE: u8 = 2;
/// A file or value could not be parsed or validated.
pub(crate) const BAD_INPUT: u8 = 3;
/// A measurement does not match the pin.
pub(crate) const MEASUREMENT: u8 = 11;
/// A log isn't what it was, or shows nothing.
pub(crate) const TRANSPARENCY: u8 = 13;
/// Outputs differ that had to be equal.
pub(crate) const NOT_REPRODUCED: u8 = 20;
/// The host lacks something.
pub(crate) const HOST_LACKS: u8 = 21;

/// An error with the code that it ends the program with.
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) error: anyhow::Error,
}

pub(crate) type Outcome = Result<u8, Failure>;

impl Failure {
    pub(crate) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }

    pub(crate) fn bad_input(message: impl std::fmt::Display) -> Self {
        Self::new(BAD_INPUT, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self::new(FAILED, anyhow::anyhow!("{message}"))
    }

    /// Says on standard error what went wrong: first what, then, indented, each thing that led to it.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("sealstone: error: {}", self.error);
        let mut said = self.error.to_string();
        for cause in self.error.chain().skip(1) {
            let text = cause.to_string();
            if !said.contains(&text) {
                eprintln!("  because: {text}");
                said = text;
            }
        }
        if self.code == HOST_LACKS {
            eprintln!("  `sealstone doctor` says what else this host lacks and how to mend it");
        }
        ExitCode::from(self.code)
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        let code = match error.class() {
            Class::Failed => FAILED,
            Class::BadInput => BAD_INPUT,
            Class::NotReproduced => NOT_REPRODUCED,
            Class::HostLacks => HOST_LACKS,
        };
        Self::new(code, error)
    }
}

impl From<sealstone_pipeline::packs::PackError> for Failure {
    fn from(error: sealstone_pipeline::packs::PackError) -> Self {
        PipelineError::from(error).into()
    }
}

impl From<sealstone_inputs::InputsError> for Failure {
    fn from(error: sealstone_inputs::InputsError) -> Self {
        PipelineError::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(FAILED, error)
    }
}
