//! Partition tables and the FAT file system in the EFI system partition.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovmf_measure::fat::fallback_loader;
use ovmf_measure::gpt::Gpt;

fuzz_target!(|data: &[u8]| {
    let _ = fallback_loader(data);
    if let Ok(gpt) = Gpt::parse(data) {
        assert!(gpt.event().len() >= 100);
        if let Ok(esp) = gpt.esp() {
            let _ = fallback_loader(esp);
        }
    }
});
