//! One module a verb: arguments to calls, results to text or JSON.

pub(crate) mod build;
pub(crate) mod doctor;
pub(crate) mod lock;
pub(crate) mod root;
pub(crate) mod run;
