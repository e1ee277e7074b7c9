use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use sealstone_formats::erofs::{Kind, ReadError, Volume, dump, locate, parse, parse_canonical};
use uuid::Uuid;

use crate::oracle::{assert_golden, file, oracle, run};
use crate::sample::{self, EPOCH, erofs_of};

const UUID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

type Tree = BTreeMap<String, Vec<u8>>;

fn image(tree: &Tree) -> Vec<u8> {
    let contents: Vec<(&str, &[u8])> = tree.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    erofs_of(UUID, &contents)
}

/// The files that a reader finds.
fn files(volume: &Volume, image: &Vec<u8>) -> Tree {
    let nodes = volume.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::File);
    nodes
        .map(|(index, node)| {
            let mut content = vec![0; node.size as usize];
            node.read(image, 0, &mut content).unwrap();
            (volume.path(index), content)
        })
        .collect()
}

/// The files in a folder of the machine.
fn files_on_disk(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                tree.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    tree
}

/// Trees that reach every shape of an image: lengths around a block, directories of several blocks, exactly filled ones,
/// long names, deep paths, nothing at all.
fn shapes() -> Vec<(&'static str, Tree)> {
    let bytes = |len: usize| (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    let lengths = [0, 1, 4095, 4096, 4097, 8192, 100_000];
    let name = |n: usize| format!("{n:0255}");
    let deep = |depth: usize| format!("{}leaf", "directory/".repeat(depth));
    vec![
        ("nothing", Tree::new()),
        ("lengths", lengths.iter().map(|len| (format!("of-{len}"), bytes(*len))).collect()),
        ("many files", (0..2000).map(|n| (format!("shard-{n:05}.bin"), bytes(n % 50))).collect()),
        ("long names", (0..40).map(|n| (name(n), bytes(1))).collect()),
        ("filled block", (0..15).map(|n| (name(n), bytes(1))).chain([("x".repeat(52), bytes(1))]).collect()),
        ("overfull block", (0..15).map(|n| (name(n), bytes(1))).chain([("x".repeat(53), bytes(1))]).collect()),
        ("deep", (1..100).step_by(7).map(|depth| (deep(depth), bytes(depth))).collect()),
        ("order", ["-", "a", "a-b/c", "a b", "#", "z/.hidden", "A"].map(|name| (name.to_owned(), bytes(3))).into()),
        ("sample", sample::PACK_FILES.map(|(path, content)| (path.to_owned(), content.to_owned())).into()),
    ]
}

#[test]
fn golden() {
    assert_golden(include_str!("../goldens/erofs.txt"), &dump(&sample::erofs()));
}

#[test]
fn shapes_are_read_back() {
    for (what, tree) in shapes() {
        let image = image(&tree);
        let volume = parse_canonical(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(files(&volume, &image) == tree, "{what}");
        assert_eq!((volume.uuid, volume.epoch), (UUID, EPOCH));
        for path in tree.keys() {
            assert_eq!(volume.find(path).unwrap().kind, Kind::File, "{what}: {path}");
        }
        assert!(volume.find("no/such/file").is_none());
    }
}

/// fsck.erofs finds nothing to complain of, and takes the same files out. Its exit status doesn't tell: version 1.5 returns
/// 0 after a wrong checksum.
#[test]
fn fsck_erofs_agrees() {
    for (what, tree) in shapes() {
        let Some(mut fsck) = oracle("fsck_erofs_agrees", "fsck.erofs") else { return };
        let (folder, path) = file("image", &image(&tree));
        let out = folder.path().join("out");
        let text = run(fsck.arg("-d3").arg(format!("--extract={}", out.display())).arg(&path));
        assert!(
            text.contains("Extracted filesystem successfully") && !text.contains("<E>") && !text.contains("<W>"),
            "{what}: {text}"
        );
        assert!(files_on_disk(&out) == tree, "{what}");
    }
}

/// A changed superblock is noticed by fsck.erofs, too: the checksum is the one that it means.
#[test]
fn fsck_erofs_notices_damage() {
    let Some(mut fsck) = oracle("fsck_erofs_notices_damage", "fsck.erofs") else { return };
    let mut image = sample::erofs();
    image[4000] ^= 1;
    let (_folder, path) = file("image", &image);
    let output = fsck.arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("<E>") && text.contains("superblock"), "{text}");
}

/// What mkfs.erofs makes of a folder, with compact inodes and inline data, is read as what the folder holds. It shows that the
/// reader doesn't just mirror the writer. Names stay below 255 bytes, of which version 1.5 looks for the first 254 only.
#[test]
fn images_of_mkfs_erofs_are_read() {
    let short = |(_, tree): &(&str, Tree)| tree.keys().all(|path| path.split('/').all(|name| name.len() < 255));
    for (what, tree) in shapes().into_iter().filter(short) {
        let Some(mut mkfs) = oracle("images_of_mkfs_erofs_are_read", "mkfs.erofs") else { return };
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        for (path, content) in &tree {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let path = folder.path().join("image");
        run(mkfs.args(["-x-1", "-T1000", "-U", &UUID.to_string()]).arg(&path).arg(&source));
        let image = fs::read(&path).unwrap();
        let volume = parse(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(files(&volume, &image) == tree, "{what}");
        assert_eq!((volume.uuid, volume.nodes[0].mtime), (UUID, 1000), "{what}");
        assert!(matches!(parse_canonical(&image), Err(ReadError::NotCanonical { .. })), "{what}");
    }
}

/// A loop device and a mount, both undone in the end.
struct Mounted<'a> {
    device: String,
    folder: &'a Path,
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder).status();
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

/// The kernel mounts it and shows the same files, owners, modes, times and link counts. It needs root, a kernel with EROFS,
/// and loop devices.
#[test]
fn the_kernel_mounts_it() {
    const TEST: &str = "the_kernel_mounts_it";
    let user = fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    if user.is_ok_and(|user| user != 0) {
        return eprintln!("SKIPPED {TEST}: only root may mount");
    }
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.split_whitespace().any(|word| word == "erofs")) {
        return eprintln!("SKIPPED {TEST}: this kernel has no EROFS");
    }
    for (what, tree) in shapes() {
        let Some(mut losetup) = oracle(TEST, "losetup") else { return };
        let (folder, path) = file("image", &image(&tree));
        let output = losetup.args(["--find", "--show", "--read-only"]).arg(&path).output().unwrap();
        if !output.status.success() {
            return eprintln!("SKIPPED {TEST}: no loop device: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let device = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let target = folder.path().join("mounted");
        fs::create_dir(&target).unwrap();
        let mounted = Mounted { device, folder: &target };
        let status = Command::new("mount").args(["-t", "erofs", "-o", "ro", &mounted.device]).arg(&target).status().unwrap();
        assert!(status.success(), "{what}: the kernel doesn't mount it");
        assert!(files_on_disk(&target) == tree, "{what}");
        assert_attributes(&target);
    }
}

fn assert_attributes(mounted: &Path) {
    use std::os::unix::fs::MetadataExt;
    let found = parse(&fs::read(mounted.parent().unwrap().join("image")).unwrap()).unwrap();
    for (index, node) in found.nodes.iter().enumerate() {
        let seen = fs::symlink_metadata(mounted.join(found.path(index))).unwrap();
        assert_eq!((seen.mode(), seen.uid(), seen.gid()), (u32::from(node.mode), 0, 0), "{}", node.name);
        assert_eq!((seen.mtime() as u64, seen.nlink(), seen.size()), (EPOCH, u64::from(node.links), node.size), "{}", node.name);
        let permissions = if node.kind == Kind::Directory { 0o040555 } else { 0o100444 };
        assert_eq!(seen.mode(), permissions);
    }
}

#[test]
fn places() {
    let image = sample::erofs();
    let volume = parse(&image).unwrap();
    let directory = volume.find("tokenizer").unwrap().extents[0].start;
    let model = volume.find("model.gguf").unwrap().extents[0].start;
    let cases = [
        (0, "EROFS space for boot sectors, byte 0"),
        (1024, "EROFS superblock, field magic"),
        (1152, "EROFS space that nothing uses, byte 1152"),
        (4096 + 32, "EROFS inode of ``, field mtime"),
        (volume.find("tokenizer").unwrap().inode.start + 44, "EROFS inode of `tokenizer`, field links"),
        (directory + 24 + 8, "EROFS directory `tokenizer`, entry `empty`, field name offset"),
        (directory + 48 + 3, "EROFS directory `tokenizer`, name of entry `empty`"),
        (directory + 4000, "EROFS directory `tokenizer`, padding behind the last byte"),
        (model + 8999, "EROFS file `model.gguf`, byte 8999"),
        (model + 9000, "EROFS file `model.gguf`, padding behind the last byte"),
        (image.len() as u64, "behind the image"),
    ];
    for (offset, expected) in cases {
        assert!(locate(&image, offset).contains(expected), "{offset}: {}", locate(&image, offset));
    }
    assert!(locate(&vec![0u8; 8192], 5000).contains("can't be read"));
}

/// Any single changed bit outside of the files' content is refused by the strict reader, unless it makes another valid image: one with
/// another name or length, which nothing but dm-verity can tell.
#[test]
fn any_changed_bit_of_the_metadata_is_refused() {
    let good = sample::erofs();
    let volume = parse(&good).unwrap();
    let content: Vec<_> =
        volume.nodes.iter().filter(|node| node.kind == Kind::File).map(|node| node.extents[0].clone()).collect();
    let mut refused = 0;
    for at in (0..good.len()).step_by(7) {
        if content.iter().any(|extent| extent.contains(&(at as u64))) {
            continue;
        }
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        match parse_canonical(&bad) {
            Err(_) => refused += 1,
            Ok(other) => {
                let what = |volume: &Volume| volume.nodes.iter().map(|node| (node.name.clone(), node.size)).collect::<Vec<_>>();
                assert!(what(&other) != what(&volume), "{at:#x}: {}", locate(&good, at as u64));
            }
        }
    }
    assert!(refused > 1000);
    for len in [0, 1024, 4096, good.len() - 4096, good.len() - 1] {
        assert!(parse(&good[..len]).is_err(), "{len}");
    }
    assert!(parse_canonical(&[good.as_slice(), &[0; 4096]].concat()).is_err());
}

/// Files in directories of directories.
fn tree() -> impl Strategy<Value = Tree> {
    let name = "[ -.0-~]{1,40}".prop_filter("reserved", |name| !matches!(name.as_str(), "." | ".."));
    let path = proptest::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    proptest::collection::btree_map(path, proptest::collection::vec(any::<u8>(), 0..9000), 0..12).prop_map(|mut tree| {
        let paths: Vec<String> = tree.keys().cloned().collect();
        tree.retain(|path, _| {
            !paths.iter().any(|other| other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/')))
        });
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn round_trip(tree in tree(), offset in any::<prop::sample::Index>()) {
        let image = image(&tree);
        let volume = parse_canonical(&image).unwrap();
        prop_assert!(files(&volume, &image) == tree);
        prop_assert!(locate(&image, offset.index(image.len()) as u64).starts_with("EROFS"));
    }
}
