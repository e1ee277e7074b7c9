//! The front with a software TPM and a real engine on loopback, for `ci/bench/engine`:
//! `cargo run --release -p sealstone-client --example daemon -- DIR ENGINE MODEL` starts `ENGINE bench MODEL` (the example `outside` of
//! image/engine) with a socket, writes the pin and a policy into DIR, and prints the URL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/mod.rs"]
#[allow(unreachable_pub, dead_code)]
mod support;
#[path = "../../../image/daemon/tests/support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sealstone_config::MeasuredConfig;
use sealstone_daemon::api;
use sealstone_daemon::channel::{Channel, Limits, Source};
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::evidence::quotes::Quoter;
use sealstone_daemon::front::Front;
use sealstone_daemon::server;

/// The configuration that the API is made of. That of the evidence has no model, so that the tests' pin holds for any.
const WITH_MODEL: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[{"file":"m","name":"bench","required":true,"root":"0000000000000000000000000000000000000000000000000000000000000000","salt":"0000000000000000000000000000000000000000000000000000000000000000","size":8192}],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, engine, model] = words.as_slice() else { panic!("usage: daemon DIR ENGINE MODEL") };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut engine = Command::new(engine).args(["bench", model]).env_clear().stdin(OwnedFd::from(theirs)).spawn().unwrap();
    ours.set_nonblocking(true).unwrap();
    std::fs::write(Path::new(folder).join("pin.json"), support::pin().to_text()).unwrap();
    std::fs::write(Path::new(folder).join("policy.yaml"), support::ANY_TPM).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(async move {
        let measured = MeasuredConfig::parse(support::CONFIG.into()).unwrap();
        let with_model = MeasuredConfig::parse(WITH_MODEL.into()).unwrap();
        let quotes = Quoter::new(support::tpm(), &measured, b"").await.unwrap().start();
        let channel = Channel::new(Source::Tpm(quotes.clone()), Limits::DEFAULT).unwrap();
        let front = Front::new(&measured, Kind::Tpm2, Path::new("/nonexistent")).with_quotes(quotes).with_channel(channel);
        let front = front.with_api(api::attach(&with_model, vec![Some(ours)]).unwrap());
        // As in the image (`daemon/src/start.rs`): accepted connections inherit it.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        rustix::net::sockopt::set_tcp_nodelay(&listener, true).unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        let _ = server::serve(listener, Arc::new(front), server::Limits::DEFAULT).await;
    });
    engine.wait().unwrap();
}
