use std::process::Command;

use proptest::prelude::*;
use sealstone_formats::verity::{
    BLOCK, Geometry, Place, Root, Salt, Superblock, VerifyError, dump, locate, verify, write, write_tree,
};
use uuid::Uuid;

use crate::oracle::{assert_golden, file, oracle, run};
use crate::sample;

const SALT: [u8; 32] = [0x5C; 32];
const UUID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

/// So many blocks, no two alike.
fn blocks(count: usize) -> Vec<u8> {
    (0..count as u32).flat_map(|block| block.to_le_bytes().repeat(BLOCK / 4)).collect()
}

fn tree(data: &Vec<u8>) -> (Vec<u8>, Root) {
    let mut tree = Vec::new();
    let root = write_tree(data, &Salt::from_bytes(SALT), &mut tree).unwrap();
    (tree, root)
}

fn veritysetup(mut command: Command, verb: &str) -> Command {
    command.args([verb, "--hash=sha256", "--data-block-size=4096", "--hash-block-size=4096"]);
    command
}

/// `veritysetup format` makes the same tree and the same root, bare and with superblock, for every shape of tree: one
/// level to three, the last block full or not.
#[test]
fn veritysetup_makes_the_same() {
    for count in [2, 127, 128, 129, 300, 16_384, 16_385] {
        let Some(bare) = oracle("veritysetup_makes_the_same", "veritysetup") else { return };
        let Some(whole) = oracle("veritysetup_makes_the_same", "veritysetup") else { return };
        let data = blocks(count);
        let (ours, root) = tree(&data);
        let (folder, data_file) = file("data", &data);
        let tree_file = folder.path().join("tree");
        let salt = format!("--salt={}", Salt::from_bytes(SALT));
        let text = run(veritysetup(bare, "format").args(["--no-superblock", &salt]).arg(&data_file).arg(&tree_file));
        assert!(text.contains(&root.to_string()), "{count}: {root} isn't in {text}");
        assert!(std::fs::read(&tree_file).unwrap() == ours, "{count} blocks");

        let offset = format!("--hash-offset={}", data.len());
        let uuid = format!("--uuid={UUID}");
        run(veritysetup(whole, "format").args([&salt, &uuid, &offset]).arg(&data_file).arg(&data_file));
        let mut area = Vec::new();
        assert_eq!(write(&data, &Salt::from_bytes(SALT), UUID, &mut area).unwrap(), root);
        assert!(std::fs::read(&data_file).unwrap()[data.len()..] == area, "{count} blocks, with superblock");
    }
}

/// `veritysetup verify` takes what we write, by the superblock or by parameters, and nothing else.
#[test]
fn veritysetup_verifies() {
    let data = blocks(300);
    let mut area = Vec::new();
    let root = write(&data, &Salt::from_bytes(SALT), UUID, &mut area).unwrap();
    let pack = [data.as_slice(), &area].concat();
    let salt = format!("--salt={}", Salt::from_bytes(SALT));
    let from = |block: usize| format!("--hash-offset={}", block * BLOCK);
    let by_parameters = ["--no-superblock", "--data-blocks=300", &salt, &from(301)];
    for (changed, good) in [(None, true), (Some(5000), false), (Some(data.len() + BLOCK + 1), false)] {
        let mut pack = pack.clone();
        changed.into_iter().for_each(|at: usize| pack[at] ^= 1);
        let (_folder, path) = file("pack", &pack);
        for arguments in [&[from(300).as_str()] as &[&str], &by_parameters] {
            let Some(command) = oracle("veritysetup_verifies", "veritysetup") else { return };
            let mut command = if arguments.len() == 1 { command } else { veritysetup(command, "verify") };
            if arguments.len() == 1 {
                command.arg("verify");
            }
            let output = command.args(arguments).arg(&path).arg(&path).arg(root.to_string()).output().unwrap();
            assert_eq!(output.status.success(), good, "{changed:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn golden() {
    let (pack, _) = sample::pack();
    assert_golden(include_str!("../goldens/verity.txt"), &dump(&pack[sample::erofs().len()..]));
}

#[test]
fn places() {
    let data = blocks(300);
    let mut area = Vec::new();
    write(&data, &Salt::from_bytes(SALT), UUID, &mut area).unwrap();
    let cases = [
        (90, "verity superblock, field salt"),
        (512, "verity superblock, padding, byte 512"),
        (4096 + 65, "verity level 1, hash block 0, entry 2 (level 0, hash block 2)"),
        (4096 + 96, "verity level 1, hash block 0, padding"),
        (3 * 4096 + 32, "verity level 0, hash block 1, entry 1 (data block 129)"),
        (5 * 4096, "verity, byte 16384 behind the superblock"),
    ];
    for (offset, expected) in cases {
        assert_eq!(locate(&area, offset), expected);
    }
    area[0] = 0;
    assert_eq!(locate(&area, 4096), "verity, byte 0 behind the superblock");
}

#[test]
fn a_superblock_of_another_kind_is_refused() {
    let (pack, _) = sample::pack();
    let good = &pack[sample::erofs().len()..][..BLOCK];
    let read = Superblock::parse(good).unwrap();
    assert_eq!((read.uuid, read.salt), (sample::identity().uuid, sample::identity().salt));
    let cases = [
        (0, "none"),
        (8, "field version"),
        (12, "field hash type"),
        (37, "field algorithm"),
        (65, "field data block size"),
        (69, "field hash block size"),
        (79, "data blocks"),
        (80, "field salt size"),
        (84, "field padding 1"),
        (130, "padding behind the salt"),
        (4095, "padding behind the salt"),
    ];
    for (at, expected) in cases {
        let mut bad = good.to_vec();
        bad[at] ^= 0x40;
        let message = Superblock::parse(&bad).unwrap_err().to_string();
        assert!(message.contains(expected), "{at}: {message}");
    }
    assert!(Superblock::parse(&good[..BLOCK - 1]).is_err());
}

/// What is damaged is named: in the data, in a lower level, at the top.
#[test]
fn damage_is_named() {
    let data = blocks(16_385);
    let (tree, root) = tree(&data);
    let salt = Salt::from_bytes(SALT);
    verify(&data, &tree, &salt, &root).unwrap();
    let in_data = |block: u64| Place::Data { block };
    let in_tree = |level, block| Place::Hash { level, block };
    let cases = [
        (Some(0), None, Some(in_data(0))),
        (Some(16_384 * BLOCK + 4095), None, Some(in_data(16_384))),
        (Some(200 * BLOCK + 7), Some(3 * BLOCK), Some(in_tree(0, 0))),
        (None, Some(131 * BLOCK + 32), Some(in_tree(0, 128))),
        (None, Some(2 * BLOCK), Some(in_tree(1, 1))),
        (None, Some(63), None),
        (None, Some(64), None),
    ];
    for (data_at, tree_at, expected) in cases {
        let (mut data, mut tree) = (data.clone(), tree.clone());
        data_at.into_iter().for_each(|at: usize| data[at] ^= 0x80);
        tree_at.into_iter().for_each(|at: usize| tree[at] ^= 0x80);
        match (verify(&data, &tree, &salt, &root).unwrap_err(), expected) {
            (VerifyError::Damaged { place }, Some(expected)) => assert_eq!(place, expected),
            (VerifyError::Root { expected, .. }, None) => assert_eq!(expected, root),
            (error, expected) => panic!("{error}, not {expected:?}"),
        }
    }
    let other = Salt::from_bytes([0; 32]);
    assert!(matches!(verify(&data, &tree, &other, &root), Err(VerifyError::Root { .. })));
    assert!(matches!(verify(&data, &tree[..tree.len() - BLOCK], &salt, &root), Err(VerifyError::TreeSize { .. })));
    assert!(matches!(verify(&data[BLOCK..], &tree, &salt, &root), Err(VerifyError::TreeSize { .. })));
}

/// The number of threads is no input.
#[test]
fn any_number_of_threads_makes_the_same() {
    let data = blocks(128 * 40 + 5);
    let expected = tree(&data);
    for threads in [1, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| tree(&data)) == expected, "{threads}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn round_trip(count in 2usize..700, salt in any::<[u8; 32]>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut data = blocks(count);
        let salt = Salt::from_bytes(salt);
        let mut tree = Vec::new();
        let root = write_tree(&data, &salt, &mut tree).unwrap();
        prop_assert_eq!(tree.len() as u64, Geometry::new(count as u64).unwrap().tree_bytes());
        prop_assert!(verify(&data, &tree, &salt, &root).is_ok());
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        let block = (at / BLOCK) as u64;
        match verify(&data, &tree, &salt, &root) {
            Err(VerifyError::Damaged { place }) => prop_assert_eq!(place, Place::Data { block }),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
