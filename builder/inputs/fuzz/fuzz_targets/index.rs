//! Any text as the indexes of an archive, which are read after their digest has been checked, and as a Release file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_inputs::debian::{Release, packages, sources};

fuzz_target!(|text: &str| {
    let _ = packages(text);
    let _ = sources(text);
    let _ = Release::parse(text);
});
