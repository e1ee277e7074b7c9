//! Any bytes as an image, as a stub and as a kernel.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_formats::{pe, place};

fuzz_target!(|data: &[u8]| {
    pe::dump(data);
    for offset in (0..data.len().saturating_add(9)).step_by(61) {
        place::locate(data, offset);
    }
    let Ok(image) = pe::parse(data) else { return };
    for section in &image.sections {
        assert!(section.content().len() <= section.virtual_size as usize);
    }
    // Whatever stub is taken, the UKI is a consistent image.
    let sections = [pe::UkiSection { name: ".cmdline", content: b"x" }, pe::UkiSection { name: ".linux", content: data }];
    if let Ok(uki) = pe::write_uki(data, &sections) {
        assert!(pe::parse(&uki).is_ok());
    }
});
