//! Any text as a log's proof: what is read is written the same, and proves nothing without keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_release::tlog::merkle::{leaf, verify_consistency, verify_inclusion};
use sealstone_release::tlog::proof::{Proof, Witnesses};

fuzz_target!(|text: &str| {
    let Ok(proof) = Proof::parse(text) else { return };
    assert_eq!(proof.to_text(), text);
    assert!(proof.verify(leaf(b"entry"), &[], Witnesses { keys: &[], quorum: 0 }).is_err());
    // Hashes from the input can't lead to a root that isn't theirs; sizes of any kind must end.
    let root = leaf(b"root");
    for size in [proof.index.saturating_add(1), proof.index.saturating_mul(2), u64::MAX] {
        assert!(verify_inclusion(leaf(b"entry"), proof.index, size, &proof.path, &root).is_err());
        assert!(proof.index == size || verify_consistency((proof.index, leaf(b"old")), (size, root), &proof.path).is_err());
    }
});
