//! Any bytes as a superblock with a tree behind it, and as data with a tree of which a byte is changed: what is
//! written is verified, what is changed is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_formats::verity::{self, BLOCK, Salt, Superblock, VerifyError};

fuzz_target!(|data: &[u8]| {
    if let Ok(superblock) = Superblock::parse(data) {
        let written = verity::write_superblock(&superblock.geometry, &superblock.salt, superblock.uuid);
        assert!(data.starts_with(&written));
    }
    verity::dump(data);
    for offset in (0..data.len() as u64 + 600).step_by(397) {
        verity::locate(data, offset);
    }

    // The first two bytes choose what to change; the rest, repeated, is the data.
    let Some((choice, seed)) = data.split_first_chunk::<2>().filter(|(_, seed)| !seed.is_empty()) else { return };
    let blocks = 2 + seed.len() % 200;
    let mut content: Vec<u8> = seed.iter().copied().cycle().take(blocks * BLOCK).collect();
    let salt = Salt::from_bytes([seed[0]; 32]);
    let mut tree = Vec::new();
    let root = verity::write_tree(&content, &salt, &mut tree).expect("whole blocks");
    verity::verify(&content, &tree, &salt, &root).expect("what was written");
    let at = usize::from(u16::from_le_bytes(*choice)) * 31;
    let changed = if choice[0] & 1 == 0 { &mut content } else { &mut tree };
    let at = at % changed.len();
    changed[at] ^= 0x10;
    let error = verity::verify(&content, &tree, &salt, &root).expect_err("a changed byte");
    assert!(matches!(error, VerifyError::Damaged { .. } | VerifyError::Root { .. }), "{error}");
});
