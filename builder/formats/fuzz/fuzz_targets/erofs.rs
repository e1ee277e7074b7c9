//! Any bytes as an EROFS image, the superblock's checksum made right so that the fuzzer needn't guess it. What the strict
//! reader takes must be what the writer makes of it: it checks that itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_formats::{erofs, place};

/// The kernel's `crc32c(~0, …)` over the superblock to the end of its block, its own field zero.
fn mend(image: &mut [u8]) {
    let Some(block) = image.get_mut(1024..4096) else { return };
    block[4..8].fill(0);
    let crc = block.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 })
    });
    block[4..8].copy_from_slice(&crc.to_le_bytes());
}

fuzz_target!(|data: &[u8]| {
    let mut image = data.to_vec();
    mend(&mut image);
    if let Ok(volume) = erofs::parse(&image) {
        for (index, node) in volume.nodes.iter().enumerate() {
            volume.path(index);
            let mut content = [0; 100];
            let len = usize::try_from(node.size.min(100)).expect("at most 100");
            let read = node.read(&image, 0, &mut content[..len]);
            assert!(read.is_ok() || node.kind == erofs::Kind::Special, "{node:?} lies outside the image");
        }
    }
    if let Ok(volume) = erofs::parse_canonical(&image) {
        assert_eq!(volume, erofs::parse(&image).expect("what the strict reader takes"));
    }
    erofs::dump(&image);
    for offset in (0..data.len() as u64 + 600).step_by(397) {
        erofs::locate(&image, offset);
    }
    place::locate(&image, image.len() / 2);
});
