//! Readers, dumps and places on damaged images: they may refuse, but never panic.

use std::sync::OnceLock;

use proptest::prelude::*;
use sealstone_formats::{cpio, erofs, fat, gpt, pack, pe, place, verity};

use crate::sample;

/// Changes to an image: bytes set, a cut, bytes doubled.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Word(usize, u32),
    Cut(usize),
    Insert(usize, Vec<u8>),
}

fn changes(within: usize) -> impl Strategy<Value = Vec<Change>> {
    let interesting = prop_oneof![Just(0u32), Just(1), Just(u32::MAX), Just(0x7FFF_FFFF), Just(0x0FFF_FFFF), any::<u32>()];
    let change = prop_oneof![
        4 => (0..within, any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        4 => (0..within, interesting).prop_map(|(at, value)| Change::Word(at, value)),
        1 => (0..within).prop_map(Change::Cut),
        1 => (0..within, proptest::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ];
    proptest::collection::vec(change, 1..6)
}

fn damaged(good: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for change in changes {
        match change {
            Change::Set(at, value) => bytes.iter_mut().skip(*at).take(1).for_each(|byte| *byte = *value),
            Change::Word(at, value) => {
                bytes.iter_mut().skip(*at).zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Change::Cut(at) => bytes.truncate(*at),
            Change::Insert(at, more) => {
                let at = (*at).min(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
    bytes
}

/// Makes the superblock's CRC-32C right again, so that damage gets past it.
fn mend_checksum(image: &mut [u8]) {
    let Some(block) = image.get_mut(1024..4096) else { return };
    block[4..8].fill(0);
    let crc = block.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 })
    });
    block[4..8].copy_from_slice(&crc.to_le_bytes());
}

fn esp() -> &'static [u8] {
    static ESP: OnceLock<Vec<u8>> = OnceLock::new();
    ESP.get_or_init(sample::esp)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn initrd(changes in changes(2048), offset in 0usize..4096) {
        let bytes = damaged(&sample::initrd(), &changes);
        let _ = (cpio::parse(&bytes), cpio::parse_canonical(&bytes), cpio::dump(&bytes), cpio::locate(&bytes, offset));
        let _ = place::locate(&bytes, offset);
    }

    #[test]
    fn uki(changes in changes(0x600), offset in 0usize..9000) {
        let bytes = damaged(&sample::uki(), &changes);
        let _ = (pe::parse(&bytes), pe::check_uki(&bytes), pe::dump(&bytes), pe::locate(&bytes, offset));
        let sections = [pe::UkiSection { name: ".linux", content: &bytes }];
        let _ = (pe::write_uki(&bytes, &sections), pe::write_uki(&sample::stub(), &sections), place::locate(&bytes, offset));
    }

    /// Changes in superblock and inodes, and in the directories behind them.
    #[test]
    fn file_system(changes in changes(4 * 4096), near in changes(4096), offset in 0u64..60_000) {
        for (changes, from) in [(changes, 0), (near, 4096)] {
            let good = sample::erofs();
            let (head, rest) = good.split_at(from);
            let mut bytes = [head, &damaged(rest, &changes)].concat();
            for mended in [false, true] {
                if mended {
                    mend_checksum(&mut bytes);
                }
                let _ = (erofs::parse(&bytes), erofs::parse_canonical(&bytes), erofs::dump(&bytes), erofs::locate(&bytes, offset));
                let _ = place::locate(&bytes, offset as usize);
            }
        }
    }

    /// Any change of a pack's data or tree is refused, and only a superblock that is as it was is accepted.
    #[test]
    fn hash_area(changes in changes(20 * 4096), near in changes(512), offset in 0u64..60_000) {
        let (good, root) = sample::pack();
        let size = sample::erofs().len();
        for (changes, from) in [(changes, 0), (near, size)] {
            let (head, rest) = good.split_at(from);
            let bytes = [head, &damaged(rest, &changes)].concat();
            let area = bytes.get(size..).unwrap_or(&[]);
            let _ = (verity::Superblock::parse(area), verity::dump(area), verity::locate(area, offset));
            let accepted = pack::verify(&bytes, size as u64, &sample::identity().salt, &root).is_ok();
            prop_assert_eq!(accepted, bytes == good);
            let _ = place::locate(&bytes, offset as usize);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn volume(changes in changes(560_000), near in changes(600), offset in any::<prop::sample::Index>()) {
        for changes in [changes, near] {
            let bytes = damaged(esp(), &changes);
            let _ = (fat::parse(&bytes), fat::dump(&bytes), fat::locate(&bytes, offset.index(esp().len())));
        }
    }

    #[test]
    fn disk(changes in changes(2000), offset in any::<prop::sample::Index>()) {
        let whole = sample::disk();
        let bytes = damaged(&whole, &changes);
        let _ = (gpt::parse(&bytes), gpt::dump(&bytes), place::locate(&bytes, offset.index(whole.len())));
    }
}
