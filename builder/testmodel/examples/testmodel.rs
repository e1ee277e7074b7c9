//! Writes a model to standard output: `cargo run -p sealstone-testmodel --example testmodel -- tiny|q4k|q8 SEED > FILE`.

use std::io::{self, Write};
use std::process::ExitCode;

use sealstone_testmodel::{Kind, large, tiny};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (kind, seed) = match words.as_slice() {
        [kind, seed] => (kind.as_str(), seed.parse()),
        _ => ("", "".parse()),
    };
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let written = match (kind, seed) {
        ("tiny", Ok(seed)) => out.write_all(&tiny(seed)),
        ("q4k", Ok(seed)) => large(Kind::Q4K, seed, &mut out).map(drop),
        ("q8", Ok(seed)) => large(Kind::Q8, seed, &mut out).map(drop),
        _ => {
            eprintln!("usage: testmodel tiny|q4k|q8 SEED > FILE");
            return ExitCode::from(2);
        }
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testmodel: {error}");
            ExitCode::FAILURE
        }
    }
}
