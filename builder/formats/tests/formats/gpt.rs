use proptest::prelude::*;
use sealstone_formats::gpt::{Disk, Guid, Partition, dump, locate, parse, write};

use crate::oracle::{assert_golden, file, oracle, run};
use crate::sample;

/// Two partitions of that many bytes.
fn disk(len: usize) -> Vec<u8> {
    let (one, two) = (vec![1; len], vec![2; len]);
    let guid = |name| Guid::derive(&[0x5A; 32], name);
    let partition = |name, content| Partition { kind: Guid::EFI_SYSTEM, guid: guid(name), name, attributes: 0, content };
    let partitions = [partition("esp", one.as_slice()), partition("packs-ä", two.as_slice())];
    let mut out = Vec::new();
    write(&Disk { guid: guid("disk"), partitions: &partitions }, &mut out).unwrap();
    out
}

#[test]
fn golden() {
    let disk = disk(1024);
    assert_eq!(disk.len(), 3 << 20);
    assert_golden(include_str!("../goldens/disk.txt"), &dump(&disk));
}

#[test]
fn places() {
    let disk = disk(1024);
    let end = disk.len();
    let cases = [
        (0, "GPT protective MBR, field boot code"),
        (510, "GPT protective MBR, field signature"),
        (512 + 56, "GPT primary header, field disk GUID"),
        (512 + 92, "GPT primary header, reserved byte 92"),
        (1024 + 16, "GPT primary entry 0 (`esp`), field unique partition GUID"),
        (1024 + 128 + 56, "GPT primary entry 1 (`packs-ä`), field partition name"),
        (20_000, "GPT disk, space between partitions"),
        ((1 << 20) + 1023, "GPT partition `esp`, byte 1023"),
        ((1 << 20) + 1024, "GPT disk, space between partitions"),
        (end - 512 - 16384 + 32, "GPT backup entry 0 (`esp`), field starting LBA"),
        (end - 512 + 16, "GPT backup header, field header CRC32"),
    ];
    for (offset, expected) in cases {
        assert_eq!(locate(&disk, offset), expected);
    }
}

#[test]
fn sgdisk_finds_no_problem() {
    let Some(mut sgdisk) = oracle("sgdisk_finds_no_problem", "sgdisk") else { return };
    let (_folder, path) = file("disk.raw", &disk(1 << 20));
    let text = run(sgdisk.args(["-v", "-p", "-i", "1"]).arg(&path));
    let guid = |name| Guid::derive(&[0x5A; 32], name).to_string().to_uppercase();
    for expected in [
        "No problems found",
        &format!("Disk identifier (GUID): {}", guid("disk")),
        "First usable sector is 34, last usable sector is 8158",
        &format!("Partition unique GUID: {}", guid("esp")),
        "Partition GUID code: C12A7328-F81F-11D2-BA4B-00A0C93EC93B (EFI system partition)",
        "Partition name: 'esp'",
        "First sector: 2048 ",
        "Last sector: 4095 ",
        "packs-ä",
    ] {
        assert!(text.contains(expected), "no {expected:?} in: {text}");
    }
    assert!(!text.contains("Warning") && !text.contains("Caution"), "{text}");
}

#[test]
fn the_whole_disk_is_read_back() {
    let disk = sample::disk();
    let table = parse(&disk).unwrap();
    assert_eq!(table.partitions.len(), 1);
    assert_eq!(table.partitions[0].content, sample::esp());
    assert_eq!(table.partitions[0].offset, 1 << 20);
    assert_eq!(table.header.len(), 92);
    assert_eq!(table.partitions[0].raw.len(), 128);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn round_trip(
        names in proptest::collection::btree_set("[a-zA-Zäß€0-9 ]{1,36}", 0..6),
        sectors in proptest::collection::vec(1usize..3000, 6),
        seed in any::<[u8; 32]>(),
        offset in any::<prop::sample::Index>(),
    ) {
        let contents: Vec<Vec<u8>> = sectors.iter().map(|count| vec![*count as u8; count * 512]).collect();
        let partitions: Vec<Partition<'_>> = names
            .iter()
            .zip(&contents)
            .map(|(name, content)| Partition { kind: Guid::EFI_SYSTEM, guid: Guid::derive(&seed, name), name, attributes: 1, content })
            .collect();
        let mut out = Vec::new();
        let guid = Guid::derive(&seed, "the disk itself, longer than any name");
        prop_assert_eq!(write(&Disk { guid, partitions: &partitions }, &mut out).unwrap(), out.len() as u64);
        let table = parse(&out).unwrap();
        prop_assert_eq!(table.disk_guid, guid);
        prop_assert_eq!(table.partitions.len(), partitions.len());
        for (read, written) in table.partitions.iter().zip(&partitions) {
            prop_assert_eq!(read.name.as_str(), written.name);
            prop_assert_eq!(read.guid, written.guid);
            prop_assert_eq!(read.content, written.content);
            prop_assert_eq!(read.offset % (1 << 20), 0);
        }
        prop_assert!(locate(&out, offset.index(out.len())).starts_with("GPT"));
    }
}
