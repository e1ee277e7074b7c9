//! Small images of every format, made of nothing but constants.

use sealstone_formats::{cpio, erofs, fat, gpt, pack, pe, verity};
use uuid::Uuid;

/// 2026-07-06 00:00:00 UTC.
pub(crate) const EPOCH: u64 = 1_783_296_000;

pub(crate) fn initrd() -> Vec<u8> {
    let directory = |path| cpio::Entry { path, mode: 0o755, kind: cpio::Kind::Directory };
    let entries = [
        directory("."),
        directory("dev"),
        cpio::Entry { path: "dev/console", mode: 0o600, kind: cpio::Kind::CharDevice { major: 5, minor: 1 } },
        directory("etc"),
        directory("etc/sealstone"),
        cpio::Entry { path: "etc/sealstone/config.json", mode: 0o444, kind: cpio::Kind::File(b"{}\n") },
        cpio::Entry { path: "init", mode: 0o755, kind: cpio::Kind::File(b"not a program") },
        cpio::Entry { path: "linuxrc", mode: 0o777, kind: cpio::Kind::Symlink("init") },
    ];
    let mut out = Vec::new();
    cpio::write(&entries, EPOCH, &mut out).unwrap();
    out
}

/// A PE32+ image with the given sections (name, address, size), 0x200 bytes of file alignment and a symbol table behind
/// them, as the stub and the kernel have it.
pub(crate) fn image(sections: &[(&str, u32, u32)], image_version: u16, headers: u32) -> Vec<u8> {
    let end = sections.iter().map(|(_, address, size)| address + size).max().unwrap_or(0);
    let mut out = b"MZ".to_vec();
    out.resize(60, 0);
    out.extend(0x80u32.to_le_bytes());
    out.resize(0x80, 0xCC);
    let mut raw = headers;
    let mut table = Vec::new();
    let mut data = Vec::new();
    for (name, address, size) in sections {
        let raw_size = size.next_multiple_of(0x200);
        let mut header = name.as_bytes().to_vec();
        header.resize(8, 0);
        for value in [*size, *address, raw_size, raw, 0, 0, 0, 0x6000_0020] {
            header.extend(value.to_le_bytes());
        }
        table.extend(header);
        let start = data.len();
        data.extend((0..*size).map(|byte| byte as u8));
        data.resize(start + raw_size as usize, 0);
        raw += raw_size;
    }
    out.extend(b"PE\0\0");
    out.extend(0x8664u16.to_le_bytes());
    out.extend((sections.len() as u16).to_le_bytes());
    out.extend(0x6543_2100u32.to_le_bytes()); // time stamp
    out.extend(raw.to_le_bytes()); // symbol table, behind the sections
    out.extend(1u32.to_le_bytes());
    out.extend(240u16.to_le_bytes());
    out.extend(0x206u16.to_le_bytes());
    let optional = out.len();
    out.extend(0x20Bu16.to_le_bytes());
    out.resize(optional + 8, 0);
    out.extend(0x1000u32.to_le_bytes()); // initialized data
    out.resize(optional + 16, 0);
    out.extend(sections[0].1.to_le_bytes()); // entry point
    out.resize(optional + 32, 0);
    out.extend(0x200u32.to_le_bytes());
    out.extend(0x200u32.to_le_bytes());
    out.resize(optional + 44, 0);
    out.extend(image_version.to_le_bytes());
    out.resize(optional + 56, 0);
    out.extend(end.next_multiple_of(0x200).to_le_bytes());
    out.extend(headers.to_le_bytes());
    out.extend(0xDEAD_BEEFu32.to_le_bytes()); // checksum
    out.extend(10u16.to_le_bytes());
    out.resize(optional + 108, 0);
    out.extend(16u32.to_le_bytes());
    out.resize(optional + 240, 0);
    out.extend(table);
    assert!(out.len() <= headers as usize);
    out.resize(headers as usize, 0);
    out.extend(data);
    out.extend([0x53; 18]); // one symbol
    out.extend(4u32.to_le_bytes()); // an empty string table
    out
}

/// Like stub 252, with its misaligned last section.
pub(crate) fn stub() -> Vec<u8> {
    image(&[(".text", 0x1000, 0x345), (".sbat", 0x2000, 0xe2), (".sdmagic", 0x2100, 0x34)], 0, 0x400)
}

pub(crate) fn kernel() -> Vec<u8> {
    image(&[(".setup", 0x1000, 0x200), (".text", 0x2000, 0x777)], 1, 0x400)
}

pub(crate) fn uki() -> Vec<u8> {
    let (kernel, initrd) = (kernel(), initrd());
    let section = |name, content| pe::UkiSection { name, content };
    let sections = [
        section(".osrel", b"ID=sealstone\n".as_slice()),
        section(".cmdline", b"console=ttyS0"),
        section(".linux", &kernel),
        section(".initrd", &initrd),
    ];
    pe::write_uki(&stub(), &sections).unwrap()
}

pub(crate) fn esp() -> Vec<u8> {
    let uki = uki();
    let files = [
        fat::File { path: "loader/entries/a-rather-long-name.conf", content: b"title x\n" },
        fat::File { path: "EFI/BOOT/BOOTX64.EFI", content: &uki },
        fat::File { path: "empty", content: b"" },
    ];
    let spec = fat::VolumeSpec { label: "ESP", id: 0x1234_abcd, epoch: EPOCH + 1, hidden_sectors: 2048, files: &files };
    fat::write(&spec).unwrap()
}

pub(crate) fn disk() -> Vec<u8> {
    let esp = esp();
    let guid = |name| gpt::Guid::derive(&[0x5A; 32], name);
    let partition = gpt::Partition { kind: gpt::Guid::EFI_SYSTEM, guid: guid("esp"), name: "esp", attributes: 0, content: &esp };
    let mut out = Vec::new();
    gpt::write(&gpt::Disk { guid: guid("disk"), partitions: &[partition] }, &mut out).unwrap();
    out
}

/// What is in the sample pack: an empty file, one of a whole block, and names that sort before `.`.
pub(crate) const PACK_FILES: [(&str, &[u8]); 5] = [
    ("model.gguf", &[0x5A; 9000]),
    ("tokenizer/vocab.json", b"{}\n"),
    ("tokenizer/empty", b""),
    ("block", &[0xC3; 4096]),
    ("-dash", b"-"),
];

/// An EROFS image of these files.
pub(crate) fn erofs_of(uuid: Uuid, contents: &[(&str, &[u8])]) -> Vec<u8> {
    let files: Vec<_> = contents.iter().map(|(path, content)| erofs::File { path, size: content.len() as u64 }).collect();
    let open = |file: &erofs::File<'_>| Ok(contents.iter().find(|(path, _)| *path == file.path).unwrap().1);
    let mut out = Vec::new();
    let len = erofs::write(&erofs::Image { uuid, epoch: EPOCH, files: &files }, open, &mut out).unwrap();
    assert_eq!(len, out.len() as u64);
    out
}

pub(crate) fn erofs() -> Vec<u8> {
    erofs_of(identity().uuid, &PACK_FILES)
}

pub(crate) fn identity() -> pack::Identity {
    pack::Identity::derive("sample", &[0x33; 32])
}

/// The sample image with superblock and tree behind it, and the root.
pub(crate) fn pack() -> (Vec<u8>, verity::Root) {
    let (mut image, mut area) = (erofs(), Vec::new());
    let root = verity::write(&image, &identity().salt, identity().uuid, &mut area).unwrap();
    image.extend(area);
    (image, root)
}
