//! One file of any bytes as every file of a log of any size: reading it ends, and appending to it or refusing does, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_release::tlog::merkle::{empty_root, inclusion};
use sealstone_release::tlog::tiles::{Files, Tiles, append};

struct Same<'a>(&'a [u8]);

impl Files for Same<'_> {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.to_vec())
    }
}

fuzz_target!(|input: (u64, u64, &[u8])| {
    let (size, index, bytes) = input;
    let files = Same(bytes);
    drop(inclusion(&Tiles::new(&files, size), index, size));
    drop(append(&files, size, b"entry"));
    // Checking reads every bundle, so only of logs that are small.
    drop(Tiles::new(&files, size % 1024).check(&empty_root()));
});
