//! What the tests of both services share.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test program uses its part; failing loudly is right here"
)]

#[path = "../../../inputs/tests/common/mod.rs"]
mod server;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use sealstone_collateral::service::{Event, Request, Service};
use sealstone_inputs::{Document, Documents, Network, Patience, Refused};

pub use server::{Reply, Server, ok};

/// A recorded piece of evidence.
pub fn vector(test: &str, name: &str) -> Option<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/evidence");
    let bytes = std::fs::read(dir.join(name)).ok();
    if bytes.is_none() {
        println!("SKIPPED {test}: no test vectors in ../shared/vectors");
    }
    bytes
}

/// The builder's client, without patience.
pub fn documents(attempts: u32) -> Documents {
    let patience =
        Patience { attempts, pause: Duration::ZERO, connect: Duration::from_secs(60), silence: Duration::from_millis(1500) };
    Documents::new(&Network { patience, ..Network::default() }).unwrap()
}

pub fn silent(_: Event<'_>) {}

/// Knows nothing, and remembers what it was asked.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Service for Recorder {
    fn get(&self, request: &Request, _: &dyn Fn(&str, Duration)) -> Result<Document, Refused> {
        self.0.lock().unwrap().push(request.url.clone());
        Err(Refused::Missing("answered 404".into()))
    }
}
