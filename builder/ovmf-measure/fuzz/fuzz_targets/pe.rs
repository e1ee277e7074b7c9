//! PE images, UKIs, and kernels whose setup header QEMU rewrites.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovmf_measure::boot::patch_setup_header;
use ovmf_measure::digest::Algorithm;
use ovmf_measure::pe::{Pe, Uki, authenticode};

fuzz_target!(|data: &[u8]| {
    if let Ok(image) = Pe::parse(data) {
        authenticode(&image, Algorithm::Sha256);
    }
    if let Ok(uki) = Uki::parse(data) {
        let _ = (uki.linux(), uki.cmdline(), uki.section(".initrd"));
    }
    if let Ok(patched) = patch_setup_header(data, b"initrd", "a=b", 1 << 30) {
        assert_eq!(patched.len(), data.len());
    }
});
