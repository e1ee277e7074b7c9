//! A valid volume with words changed in its boot sectors, FATs and directories. (A FAT32 volume has at least 33 MiB: any
//! bytes wouldn't get past the first check.) Both copies of a structure can be changed alike.
#![no_main]

use std::sync::Mutex;

use libfuzzer_sys::fuzz_target;
use sealstone_formats::fat;

/// The volume, damaged and mended in place: copying 33 MiB for each run would be most of the run.
static VOLUME: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn pristine() -> Vec<u8> {
    let content = vec![7; 3000];
    let files = [
        fat::File { path: "EFI/BOOT/BOOTX64.EFI", content: &content },
        fat::File { path: "some-long-directory-name/and-a-file.conf", content: b"x" },
    ];
    let spec = fat::VolumeSpec { label: "ESP", id: 1, epoch: 0, hidden_sectors: 0, files: &files };
    fat::write(&spec).expect("a constant volume")
}

fuzz_target!(|data: &[u8]| {
    let mut volume = VOLUME.lock().expect("no run panics and goes on");
    if volume.is_empty() {
        *volume = pristine();
    }
    // Boot sector (its backup 6 sectors on), FAT (its copy 520 sectors on), directories.
    let areas = [(0, 6 * 512), (32 * 512, 520 * 512), (1072 * 512, 0)];
    let mut undo = Vec::new();
    for patch in data.chunks_exact(7) {
        let [area, at0, at1, rest @ ..] = patch else { continue };
        let (start, copy) = areas[usize::from(area % 3)];
        let at = start + usize::from(u16::from_le_bytes([*at0, *at1]) % 4096);
        let both = if area & 0x80 != 0 && copy != 0 { vec![at, at + copy] } else { vec![at] };
        for at in both {
            let len = rest.len().min(1 + usize::from(area >> 2 & 3));
            undo.push((at, volume[at..at + len].to_vec()));
            volume[at..at + len].copy_from_slice(&rest[..len]);
        }
    }
    let _ = fat::parse(&volume);
    for offset in [0, 600, 1072 * 512 + 40, 1074 * 512, volume.len()] {
        fat::locate(&volume, offset);
    }
    for (at, bytes) in undo.into_iter().rev() {
        volume[at..at + bytes.len()].copy_from_slice(&bytes);
    }
});
