//! How much more than plain SHA-384 over the firmware a launch digest costs: a 4 MiB firmware with 64 vCPUs must stay
//! below 1.5 times. `cargo bench -p ovmf-measure` prints the ratio and fails above it.

#![allow(clippy::panic, clippy::disallowed_methods, reason = "a benchmark reads the clock, and fails loudly")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ovmf_measure::snp::{self, Request};
use sha2::{Digest, Sha384};

#[path = "../tests/second/generate.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod generate;

const LIMIT: f64 = 1.5;
const ROUNDS: usize = 40;

fn main() {
    let sev = vec![
        generate::SevEntry { gpa: 0x80_0000, pages: 12, kind: 1 },
        generate::SevEntry { gpa: 0x80_d000, pages: 1, kind: 2 },
        generate::SevEntry { gpa: 0x80_e000, pages: 1, kind: 3 },
        generate::SevEntry { gpa: 0x81_1000, pages: 31, kind: 1 },
    ];
    let firmware = generate::FirmwareSpec { pages: 1024, sev, ..generate::FirmwareSpec::plain() }.build();
    let request = Request { firmware: &firmware, boot: None, vcpu_type: "EPYC-Milan", guest_features: 1, vmm: "qemu" };
    let launch = || snp::measure(black_box(&request)).and_then(|launch| launch.digest_for(64)).map(drop);
    let plain = || {
        black_box(Sha384::digest(black_box(&firmware)));
    };

    let (mut measure, mut hash) = (Duration::MAX, Duration::MAX);
    // Alternating, and the best of each: another program on the machine then disturbs both alike.
    for _ in 0..ROUNDS {
        hash = hash.min(time(plain));
        measure = measure.min(time(|| launch().unwrap_or_else(|e| panic!("{e}"))));
    }
    let ratio = measure.as_secs_f64() / hash.as_secs_f64();
    println!("launch digest {measure:?}, SHA-384 of the firmware {hash:?}, ratio {ratio:.2} (limit {LIMIT})");
    assert!(ratio <= LIMIT, "measuring costs {ratio:.2} times SHA-384 over the firmware, the limit is {LIMIT}");
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
