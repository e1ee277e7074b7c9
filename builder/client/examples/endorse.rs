//! A software TPM with a certified endorsement key, for `ci/endorsed`:
//! `cargo run -p sealstone-client --example endorse -- DIR` puts the state of `swtpm`, the authority's certificate (root.pem) and that of
//! another authority (other.pem) into DIR. The authorities' keys are in the source, so nobody should believe them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "../tests/support/certified.rs"]
#[allow(unreachable_pub)]
mod certified;
#[path = "../../../image/daemon/tests/support/swtpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod swtpm;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sealstone_daemon::tpm::Transport as _;

const DAY: u64 = 24 * 60 * 60;
/// The NV index of the certificate of a key on P-256.
const INDEX: u32 = 0x01c0_000a;
const ROOT: u8 = 1;
const OTHER: u8 = 2;

/// TPM2_Shutdown, after which the state is complete.
const SHUTDOWN: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0];

fn main() {
    let folder = std::env::args().nth(1).expect("usage: endorse DIR");
    let folder = Path::new(&folder);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let validity = (now - DAY, now + 30 * DAY);
    let swtpm = swtpm::Swtpm::start("endorse").expect("swtpm");
    let mut socket = swtpm.connect();
    sealstone_client::run(async {
        certified::certify(&mut socket, INDEX, ROOT, validity).await;
        let answer = swtpm::Socket::transact(&mut socket, &SHUTDOWN).await.unwrap();
        assert_eq!(answer[6..10], [0; 4], "TPM2_Shutdown");
    })
    .unwrap();
    std::fs::copy(swtpm.folder.join("tpm2-00.permall"), folder.join("tpm2-00.permall")).unwrap();
    for (name, holder) in [("root.pem", ROOT), ("other.pem", OTHER)] {
        std::fs::write(folder.join(name), certified::root(holder, validity)).unwrap();
    }
}
