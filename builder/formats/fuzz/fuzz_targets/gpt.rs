//! Any bytes as a disk, and a valid disk with bytes changed: checksums keep the first from getting far.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealstone_formats::gpt;

static DISK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let guid = |name| gpt::Guid::derive(&[1; 32], name);
    let partition = gpt::Partition { kind: gpt::Guid::EFI_SYSTEM, guid: guid("esp"), name: "esp", attributes: 0, content: &[1; 512] };
    let mut out = Vec::new();
    gpt::write(&gpt::Disk { guid: guid("disk"), partitions: &[partition] }, &mut out).expect("a constant disk");
    out
});

fuzz_target!(|data: &[u8]| {
    let mut disk = DISK.clone();
    for patch in data.chunks_exact(4) {
        let [at0, at1, value, end] = patch else { continue };
        let at = usize::from(u16::from_le_bytes([*at0, *at1]));
        let at = if end & 1 == 0 { at } else { disk.len() - 1 - at };
        disk[at] = *value;
    }
    for disk in [data, &disk] {
        let _ = gpt::parse(disk);
        gpt::dump(disk);
        for offset in (0..4096usize).step_by(37).chain([disk.len().saturating_sub(600), disk.len(), 1 << 20]) {
            gpt::locate(disk, offset);
        }
    }
});
