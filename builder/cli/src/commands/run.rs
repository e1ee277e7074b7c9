//! `sealstone run`
use sealstone_pipeline::progress::Reporter;
use crate::args::RunArgs;
use crate::exit::{Failure, Outcome};
pub(crate) fn run(_args: &RunArgs, _reporter: &dyn Reporter) -> Outcome {
    Err(Failure::failed("in work"))
}
