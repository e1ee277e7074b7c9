//! A front with a software TPM and a toy model on loopback, for trying `sealstone proxy` and SDKs by hand:
//! `cargo run -p sealstone-client --example front -- DIR` writes the pin and a policy into DIR and prints the URL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/mod.rs"]
#[allow(unreachable_pub, dead_code)]
mod support;
#[path = "../../../image/daemon/tests/support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).expect("a folder"));
    let front = support::start(sealstone_daemon::channel::Limits::DEFAULT);
    std::fs::write(dir.join("pin.json"), support::pin().to_text()).unwrap();
    std::fs::write(dir.join("other.json"), support::other_pin().to_text()).unwrap();
    std::fs::write(dir.join("policy.yaml"), support::ANY_TPM).unwrap();
    println!("http://{}", front.address);
    loop {
        std::thread::park();
    }
}
