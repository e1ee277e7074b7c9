use sealstone_formats::place::locate;
use sealstone_formats::{cpio, fat, gpt, pe};

use crate::sample;

/// One byte of the innermost file, named through all four layers.
#[test]
fn through_all_layers() {
    let (disk, esp, uki, initrd) = (sample::disk(), sample::esp(), sample::uki(), sample::initrd());
    let partition = gpt::parse(&disk).unwrap().partitions[0].offset;
    let volume = fat::parse(&esp).unwrap();
    let file = volume.nodes.iter().find(|node| node.path == "EFI/BOOT/BOOTX64.EFI").unwrap();
    let file = volume.data_offset + (file.clusters[0] as usize - 2) * volume.cluster_len;
    let section = pe::parse(&uki).unwrap().section(".initrd").unwrap().raw_offset as usize;
    let archive = cpio::parse(&initrd).unwrap();
    let init = archive.members.iter().find(|member| member.name == "init").unwrap().offset;

    let prefix = "GPT partition `esp`: FAT file EFI/BOOT/BOOTX64.EFI";
    let cases = [
        (partition + file + section + init + 46, format!("{prefix}: PE section .initrd: cpio entry `init`, header field mtime")),
        (partition + file + 0x80 + 8, format!("{prefix}: PE COFF header, field TimeDateStamp")),
        (partition + 67, "GPT partition `esp`: FAT boot sector, field volume id".to_owned()),
        (512 + 56, "GPT primary header, field disk GUID".to_owned()),
    ];
    for (offset, expected) in cases {
        assert_eq!(locate(&disk, offset), expected);
    }
    assert_eq!(locate(&initrd, init + 46), "cpio entry `init`, header field mtime");
    assert_eq!(locate(b"something else", 4), "byte 4");
}

/// The file system of a pack, and what stands behind it.
#[test]
fn in_a_pack() {
    let (pack, _) = sample::pack();
    let end = sample::erofs().len();
    let cases = [
        (1024 + 48, "EROFS superblock, field UUID"),
        (4096 + 2 * 64 + 8, "EROFS inode of `block`, field size"),
        (end + 72, "verity superblock, field data blocks"),
        (end + 4096 + 33, "verity level 0, hash block 0, entry 1 (data block 1)"),
    ];
    for (offset, expected) in cases {
        assert_eq!(locate(&pack, offset), expected);
    }
    // Without the rest of the pack, nothing is behind the image.
    assert_eq!(locate(&pack[..end], end), format!("EROFS, byte {end}, behind the image"));
}
