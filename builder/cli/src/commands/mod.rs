//! One module a verb: arguments to calls, results to text or JSON.

pub(crate) mod build;
pub(crate) mod chat;
mod client;
pub(crate) mod collateral;
mod compare;
pub(crate) mod coverage;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod lock;
pub(crate) mod manual;
pub(crate) mod measure;
pub(crate) mod pack;
pub(crate) mod page;
pub(crate) mod proxy;
pub(crate) mod release;
pub(crate) mod reproduce;
pub(crate) mod root;
pub(crate) mod run;
pub(crate) mod seed;
pub(crate) mod terms;
pub(crate) mod verify;
