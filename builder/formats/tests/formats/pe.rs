use proptest::prelude::*;
use sealstone_formats::pe::{UkiSection, check_uki, dump, locate, parse, write_uki};

use crate::oracle::{assert_golden, file, oracle, run};
use crate::sample;

#[test]
fn golden() {
    let uki = sample::uki();
    check_uki(&uki).unwrap();
    assert_golden(include_str!("../goldens/uki.txt"), &dump(&uki));
}

#[test]
fn sections_hold_exactly_what_was_given() {
    let (uki, stub) = (sample::uki(), sample::stub());
    let (uki, stub) = (parse(&uki).unwrap(), parse(&stub).unwrap());
    for section in &stub.sections {
        let same = uki.section(&section.name()).unwrap();
        assert_eq!((same.raw, same.raw_offset, same.virtual_address), (section.raw, section.raw_offset, section.virtual_address));
    }
    assert_eq!(uki.section(".cmdline").unwrap().content(), b"console=ttyS0");
    assert_eq!(uki.section(".linux").unwrap().content(), sample::kernel());
    assert_eq!(uki.section(".initrd").unwrap().content(), sample::initrd());
    assert_eq!(uki.section(".cmdline").unwrap().virtual_size, 13);
}

#[test]
fn places() {
    let uki = sample::uki();
    let image = parse(&uki).unwrap();
    let cmdline = image.section(".cmdline").unwrap();
    let raw = cmdline.raw_offset as usize;
    let cases = [
        (0, "PE DOS header, field magic"),
        (64, "PE DOS program, byte 0"),
        (0x80 + 8, "PE COFF header, field TimeDateStamp"),
        (0x80 + 24 + 64, "PE optional header, field CheckSum"),
        (0x80 + 24 + 112 + 5 * 8, "PE data directory base relocation table, byte 0"),
        (cmdline.header_offset + 8, "PE section header .cmdline, field VirtualSize"),
        (0x3ff, "PE headers, space behind the section table"),
        (raw + 3, "PE section .cmdline, byte 3"),
        (raw + 13, "PE section .cmdline, padding behind its data"),
        (uki.len(), "PE, byte 0 behind the last section"),
    ];
    for (offset, expected) in cases {
        assert_eq!(locate(&uki, offset), expected);
    }
}

#[test]
fn objdump_agrees() {
    let Some(mut objdump) = oracle("objdump_agrees", "objdump") else { return };
    let uki = sample::uki();
    let (_folder, path) = file("uki.efi", &uki);
    let text = run(objdump.arg("-h").arg(path));
    for section in parse(&uki).unwrap().sections {
        // Index, name, size, VMA, LMA, file offset. The size is the smaller one of memory and file.
        let expected = format!("{} {:08x} {:016x}", section.name(), section.virtual_size, section.virtual_address);
        let line = text
            .lines()
            .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
            .find(|line| line.starts_with(&expected));
        assert!(line.is_some_and(|line| line.contains(&format!("{:08x}", section.raw_offset))), "no {expected:?} in: {text}");
    }
}

#[test]
fn impossible_ukis_are_refused() {
    let (stub, kernel) = (sample::stub(), sample::kernel());
    let section = |name, content| UkiSection { name, content };
    let linux = section(".linux", kernel.as_slice());
    let old = sample::image(&[(".text", 0x1000, 0x200)], 0, 0x400);
    let full = sample::image(
        &[(".text", 0x1000, 0x10), (".a", 0x2000, 1), (".b", 0x3000, 1), (".c", 0x4000, 1), (".sdmagic", 0x5000, 1)],
        0,
        0x260,
    );
    let prefixed = sample::image(&[(".linux2", 0x1000, 0x10), (".sdmagic", 0x2000, 1)], 0, 0x400);
    let cases: Vec<(&[u8], Vec<UkiSection<'_>>, &str)> = vec![
        (&stub, vec![section(".cmdline", b"x")], "nothing to start"),
        (&stub, vec![linux, section(".cmdline", b"")], "empty"),
        (&stub, vec![linux, linux], "there already"),
        (&stub, vec![linux, section(".sbat", b"x")], "knows no such section"),
        (&stub, vec![linux, section(".cmdlines", b"x")], "knows no such section"),
        (&stub, vec![section(".linux", b"MZ")], "no EFI kernel"),
        (&stub, vec![section(".linux", &old)], "Linux 5.8"),
        (&full, vec![linux], "room for 0 more sections, and 1"),
        (&prefixed, vec![linux], "compares prefixes"),
        (&kernel, vec![linux], "isn't systemd's stub"),
        (b"MZ", vec![linux], "ends inside the DOS header"),
    ];
    for (stub, sections, expected) in cases {
        let message = write_uki(stub, &sections).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected:?}: {message}");
    }
}

#[test]
fn inconsistent_images_are_refused() {
    let uki = sample::uki();
    let image = parse(&uki).unwrap();
    let header = |name| image.section(name).unwrap().header_offset;
    let linux = image.section(".linux").unwrap();
    let pe = image.pe_offset;
    let cases = [
        (0, 0u32, "DOS magic"),
        (60, 0x10, "e_lfanew"),
        (60, 0x7FFF_FFFF, "ends inside the COFF header"),
        (pe, 0, "PE signature"),
        (pe + 24, 0x10B, "only PE32+"),
        (pe + 24 + 36, 3, "FileAlignment"),
        (pe + 24 + 32, 0x100, "SectionAlignment"),
        (pe + 24 + 16, u32::MAX, "AddressOfEntryPoint"),
        (pe + 24 + 60, 0x100, "SizeOfHeaders"),
        (pe + 24 + 56, 0x3000, "SizeOfImage"),
        (pe + 24 + 108, 17, "NumberOfRvaAndSizes"),
        (pe + 24 + 112 + 5 * 8 + 4, u32::MAX, "base relocation table"),
        (header(".linux") + 8, 0, "VirtualSize is 0"),
        (header(".linux") + 12, 0x1000, "before the end of the section before it"),
        (header(".linux") + 16, u32::MAX, "outside the file"),
        (header(".cmdline") + 20, linux.raw_offset, "overlaps"),
        (header(".linux") + 24, 1, "COFF relocations"),
    ];
    for (at, value, expected) in cases {
        let mut bad = uki.clone();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let message = parse(&bad).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected:?}: {message}");
    }
}

#[test]
fn other_than_canonical_ukis_are_refused() {
    let uki = sample::uki();
    let image = parse(&uki).unwrap();
    let pe = image.pe_offset;
    let padding = image.section(".cmdline").unwrap().raw_offset as usize + 13;
    for at in [pe + 8, pe + 12, pe + 16, pe + 24 + 64, 0x3ff, padding] {
        let mut bad = uki.clone();
        bad[at] = 1;
        assert!(parse(&bad).is_ok() && check_uki(&bad).is_err(), "{at:#x}");
    }
    let mut longer = uki.clone();
    longer.push(0);
    assert!(check_uki(&longer).unwrap_err().to_string().contains("follows the last section"));
    assert!(check_uki(&sample::stub()).is_err());
}

proptest! {
    #[test]
    fn round_trip(
        osrel in proptest::collection::vec(any::<u8>(), 1..2000),
        initrd in proptest::collection::vec(any::<u8>(), 1..9000),
        swap in any::<bool>(),
        offset in 0usize..20_000,
    ) {
        let kernel = sample::kernel();
        let mut sections = vec![
            UkiSection { name: ".osrel", content: &osrel },
            UkiSection { name: ".linux", content: &kernel },
            UkiSection { name: ".initrd", content: &initrd },
        ];
        if swap {
            sections.reverse();
        }
        let uki = write_uki(&sample::stub(), &sections).unwrap();
        let image = check_uki(&uki).unwrap();
        for section in &sections {
            prop_assert_eq!(image.section(section.name).unwrap().content(), section.content);
        }
        prop_assert!(locate(&uki, offset).starts_with("PE"));
    }
}
