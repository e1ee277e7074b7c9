use sealstone_formats::pack::{PackError, verify};
use sealstone_formats::verity;

use crate::sample;

#[test]
fn a_pack_is_verified_as_a_whole() {
    let (good, root) = sample::pack();
    let salt = sample::identity().salt;
    let size = sample::erofs().len();
    let volume = verify(&good, size as u64, &salt, &root).unwrap();
    assert_eq!(volume.find("model.gguf").unwrap().size, 9000);

    // Not covered by the root, and still checked: the superblock.
    for at in [size + 20, size + 88] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(matches!(verify(&bad, size as u64, &salt, &root), Err(PackError::Layout { .. })), "{at}");
    }
    let mut bad = good.clone();
    bad[size] ^= 1;
    assert!(matches!(verify(&bad, size as u64, &salt, &root), Err(PackError::Superblock(_))));
    for size in [0, 4096, size as u64 + 4096, good.len() as u64 + 4096, u64::MAX] {
        assert!(verify(&good, size, &salt, &root).is_err(), "{size}");
    }
}

/// Something that isn't ours under its own right root.
#[test]
fn other_data_is_refused_though_the_root_is_right() {
    let mut data = sample::erofs();
    data.extend([0; 4096]);
    let mut area = Vec::new();
    let identity = sample::identity();
    let root = verity::write(&data, &identity.salt, identity.uuid, &mut area).unwrap();
    let pack = [data.as_slice(), &area].concat();
    let error = verify(&pack, data.len() as u64, &identity.salt, &root).unwrap_err();
    assert!(matches!(error, PackError::Volume(_)), "{error}");
}
