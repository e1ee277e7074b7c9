use std::io::Read;

use proptest::prelude::*;
use sealstone_formats::fat::{File, VolumeSpec, dump, locate, parse, write};

use crate::oracle::{assert_golden, file, oracle, run};
use crate::sample;

fn volume(files: &[File<'_>]) -> Vec<u8> {
    write(&VolumeSpec { label: "ESP", id: 7, epoch: sample::EPOCH, hidden_sectors: 0, files }).unwrap()
}

#[test]
fn golden() {
    assert_golden(include_str!("../goldens/esp.txt"), &dump(&sample::esp()));
}

#[test]
fn places() {
    let esp = sample::esp();
    let volume = parse(&esp).unwrap();
    let node = |path| volume.nodes.iter().find(|node| node.path == path).unwrap();
    let start = |path| volume.data_offset + (node(path).clusters[0] as usize - 2) * 512;
    let boot = "EFI/BOOT/BOOTX64.EFI";
    let conf = "loader/entries/a-rather-long-name.conf";
    let first = node(boot).clusters[0] as usize;
    let cases = [
        (67, "FAT boot sector, field volume id".to_owned()),
        (512 + 488, "FAT FSInfo sector, field free cluster count".to_owned()),
        (6 * 512 + 67, "FAT backup boot sector, field volume id".to_owned()),
        (2 * 512, "FAT reserved sector 2".to_owned()),
        (volume.fat.0 + 4 * first, format!("FAT table 1, entry of cluster {first} (file {boot})")),
        (volume.fat.0 + volume.fat.1, "FAT table 2, entry of cluster 0".to_owned()),
        (start(""), "FAT directory /, volume label entry, field short name".to_owned()),
        (start("EFI"), "FAT directory /EFI, entry for itself or its parent, field short name".to_owned()),
        (node(boot).entry_offset + 24, format!("FAT directory /EFI/BOOT, entry of {boot}, field write date")),
        (node(conf).entry_offset - 32, format!("FAT directory /loader/entries, long name of {conf}, field order")),
        (start("EFI/BOOT") + 500, "FAT directory /EFI/BOOT, behind its last entry".to_owned()),
        (start(boot) + 12, format!("FAT file {boot}, byte 12")),
        (start(conf) + 8, format!("FAT file {conf}, behind its end, byte 8")),
        (esp.len() - 1, format!("FAT free cluster {}, byte 511", volume.clusters + 1)),
    ];
    for (offset, expected) in cases {
        assert_eq!(locate(&esp, offset), expected);
    }
    let mut stray = esp.clone();
    stray[esp.len() - 1] = 1;
    assert!(parse(&stray).is_err());
    assert_eq!(locate(&stray, esp.len() - 1), locate(&esp, esp.len() - 1));
}

#[test]
fn fsck_and_mtools_agree() {
    let esp = sample::esp();
    let (folder, path) = file("esp.img", &esp);
    if let Some(mut fsck) = oracle("fsck_and_mtools_agree", "fsck.fat") {
        let text = run(fsck.args(["-n", "-v"]).arg(&path));
        assert!(text.contains("8 files, "), "{text}");
        assert!(text.trim_end().ends_with("clusters"), "complaints behind the summary: {text}");
        assert!(text.contains("2048 hidden sectors"), "{text}");
    }
    if let Some(mut mdir) = oracle("fsck_and_mtools_agree", "mdir") {
        let text = run(mdir.args(["-i"]).arg(&path).args(["-/", "-a", "::"]));
        for expected in ["Serial Number is 1234-ABCD", "BOOTX64  EFI", "a-rather-long-name.conf", "2026-07-06   0:00", "empty"] {
            assert!(text.contains(expected), "no {expected:?} in: {text}");
        }
    }
    if let Some(mut mcopy) = oracle("fsck_and_mtools_agree", "mcopy") {
        let copy = folder.path().join("copy");
        run(mcopy.args(["-i"]).arg(&path).arg("::/EFI/BOOT/BOOTX64.EFI").arg(&copy));
        assert!(std::fs::read(copy).unwrap() == sample::uki());
    }
}

/// The fatfs crate, an independent implementation, reads what we wrote.
#[test]
fn fatfs_agrees() {
    let esp = sample::esp();
    let volume = fatfs::FileSystem::new(std::io::Cursor::new(esp), fatfs::FsOptions::new()).unwrap();
    assert_eq!(volume.fat_type(), fatfs::FatType::Fat32);
    assert_eq!(volume.volume_id(), 0x1234_abcd);
    assert_eq!(volume.read_volume_label_from_root_dir().unwrap().as_deref(), Some("ESP"));
    let mut content = Vec::new();
    let root = volume.root_dir();
    root.open_file("efi/boot/bootx64.efi").unwrap().read_to_end(&mut content).unwrap();
    assert!(content == sample::uki());
    let entry = root.open_dir("loader/entries").unwrap().iter().nth(2).unwrap().unwrap();
    assert_eq!(entry.file_name(), "a-rather-long-name.conf");
    assert_eq!(entry.short_file_name(), "A-RATH~1.CON");
    assert_eq!(entry.created().time.sec, 1);
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let file = |path| File { path, content: b"x" };
    let forward = [file("a/longer-name-1"), file("a/longer-name-2"), file("B"), file("a-b")];
    let mut backward = forward.clone();
    backward.reverse();
    assert!(volume(&forward) == volume(&backward));
}

/// A directory of several clusters, and clusters of 4 KiB in a large volume.
#[test]
fn many_and_large_files() {
    let names: Vec<String> = (0..300).map(|n| format!("dir/some-long-file-name-{n}.txt")).collect();
    let files: Vec<File<'_>> = names.iter().map(|path| File { path, content: path.as_bytes() }).collect();
    let many = volume(&files);
    let read = parse(&many).unwrap();
    assert_eq!(read.nodes.len(), 302);
    assert_eq!(read.read_file("DIR/some-long-file-name-299.TXT").unwrap(), b"dir/some-long-file-name-299.txt");
    if let Some(mut fsck) = oracle("many_and_large_files", "fsck.fat") {
        let (_folder, path) = file("esp.img", &many);
        run(fsck.arg("-n").arg(path));
    }
}

/// Damage that a tolerant reader would overlook.
#[test]
fn damage_is_named() {
    let esp = sample::esp();
    let read = parse(&esp).unwrap();
    let boot = read.nodes.iter().find(|node| node.path.ends_with("EFI")).unwrap().entry_offset;
    let conf = read.nodes.iter().find(|node| node.path.ends_with(".conf")).unwrap().clusters[0];
    let conf = read.data_offset + (conf as usize - 2) * 512;
    let (fat, fat_len) = read.fat;
    let both_fats = |cluster: usize, value: u32| vec![(fat + cluster * 4, value), (fat + fat_len + cluster * 4, value)];
    let free = read.clusters as usize + 1;
    let cases = [
        (vec![(67, 0)], "backup in sector 6 differs"),
        (vec![(fat + 40, 0)], "two FATs differ"),
        (both_fats(free, 0x0FFF_FFFF), "lost"),
        (both_fats(3, 2), "two chains meet"),
        (both_fats(3, 0x0EEE_EEEE), "leaves the volume"),
        (both_fats(3, 0xFFFF_FFFF), "reserved bits"),
        (vec![(boot + 28, 1)], "size"),
        (vec![(512 + 488, 1), (7 * 512 + 488, 1)], "counts"),
        (vec![(boot, 0)], "half-empty"),
        (vec![(read.data_offset, 0x2020_2020)], "label"),
        (vec![(2 * 512, 1)], "belongs to no file"),
        (vec![(conf + 8, 1)], "belongs to no file"),
        (vec![(esp.len() - 4, 1)], "belongs to no file"),
    ];
    for (changes, expected) in cases {
        let mut bad = esp.clone();
        for (at, value) in changes {
            bad[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        let message = parse(&bad).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected:?}: {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn round_trip(
        files in proptest::collection::btree_map("([A-Z]{1,3}/){0,3}[a-z0-9~+-]{1,20}(\\.[a-z]{1,5})?", proptest::collection::vec(any::<u8>(), 0..3000), 0..12),
        offset in any::<prop::sample::Index>(),
    ) {
        let files: Vec<File<'_>> = files.iter().map(|(path, content)| File { path, content }).collect();
        let image = volume(&files);
        let read = parse(&image).unwrap();
        for file in &files {
            prop_assert_eq!(read.read_file(file.path).unwrap(), file.content);
        }
        prop_assert_eq!(read.nodes.iter().filter(|node| !node.directory).count(), files.len());
        prop_assert!(locate(&image, offset.index(image.len())).starts_with("FAT"));
    }
}
