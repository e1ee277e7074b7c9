//! Any bytes as a tar, plain or compressed: an error or files, all of them below the folder they were meant for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_sandbox::{Order, unpack_tar};

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder in it");
    let _ = unpack_tar(data, &inner, 1, Order::Archive);
    let beside: Vec<_> = std::fs::read_dir(folder.path()).expect("it is there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(beside, ["inner"], "something was written beside the folder");
});
