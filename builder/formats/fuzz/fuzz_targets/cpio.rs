//! Any bytes as an archive. What the strict reader takes must be what the writer makes of it: it checks that itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_formats::{cpio, place};

fuzz_target!(|data: &[u8]| {
    let strict = cpio::parse_canonical(data);
    if strict.is_ok() {
        assert_eq!(strict, cpio::parse(data));
    }
    cpio::dump(data);
    for offset in (0..data.len().saturating_add(600)).step_by(97) {
        cpio::locate(data, offset);
    }
    place::locate(data, data.len() / 2);
});
