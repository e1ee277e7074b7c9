//! Partition tables and the FAT file system in the EFI system partition.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovmf_measure::fat::fallback_loader;
use ovmf_measure::gpt::Gpt;

fuzz_target!(|data: &[u8]| {
    let _ = fallback_loader(data);
    let _ = Gpt::parse(data);
    // Checksums would keep the fuzzer out of everything behind them.
    let mut disk = data.to_vec();
    correct(&mut disk);
    if let Ok(gpt) = Gpt::parse(&disk) {
        assert!(gpt.event().len() >= 100);
        if let Ok(esp) = gpt.esp() {
            let _ = fallback_loader(esp);
        }
    }
});

/// Makes the checksums of the primary table right, if it has its usual place.
fn correct(disk: &mut [u8]) {
    let Some(header) = disk.get(512..604) else { return };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let start = word(72).saturating_mul(512);
    let Some(entries) = disk.get(start..start.saturating_add(word(80).min(1024) * 128)) else { return };
    let sum = crc(entries);
    disk[600..604].copy_from_slice(&sum.to_le_bytes());
    disk[528..532].fill(0);
    let sum = crc(&disk[512..604]);
    disk[528..532].copy_from_slice(&sum.to_le_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
