//! The kernel that a build made, with one byte of one function changed in what it unpacks: the place must be named by section and
//! symbol. `ci/reproduce` runs this with a built image, and takes the changed kernel as that of a release which lies about its sources.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "failing loudly is right in tests")]

use std::fs;
use std::io::Read as _;

use sealstone_compare::places::{Symbols, places};

/// Every kernel has it, and nothing that is patched when the kernel starts.
const SYMBOL: &str = "do_exit";

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    let mut value = [0; 8];
    value[..len].copy_from_slice(&bytes[at..at + len]);
    usize::try_from(u64::from_le_bytes(value)).unwrap()
}

/// Where an address of the program stands in its file: by the section headers (gabi, "Section Header").
fn offset_of(elf: &[u8], address: u64) -> usize {
    let address = usize::try_from(address).unwrap();
    let (table, count) = (number(elf, 40, 8), number(elf, 60, 2));
    let sections = (1..count).map(|index| &elf[table + index * 64..][..64]);
    let holds = sections.map(|s| (number(s, 16, 8), number(s, 24, 8), number(s, 32, 8)));
    let (start, offset, _) =
        holds.into_iter().find(|(start, _, size)| *start > 0 && (*start..start + size).contains(&address)).unwrap();
    offset + (address - start)
}

/// The kernel with another payload, which is put behind everything else: it is to be compared and not to be booted.
fn with_payload(kernel: &[u8], vmlinux: &[u8]) -> Vec<u8> {
    let mut payload = ruzstd::encoding::compress_to_vec(vmlinux, ruzstd::encoding::CompressionLevel::Fastest);
    payload.extend(u32::try_from(vmlinux.len()).unwrap().to_le_bytes());
    let mut out = kernel.to_vec();
    let start = (usize::from(kernel[0x1f1]) + 1) * 512;
    let fields = [(0x248, kernel.len() - start), (0x24c, payload.len())];
    for (at, value) in fields {
        out[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
    }
    out.extend(payload);
    out
}

#[test]
fn of_a_built_image() {
    let (Ok(kernel), Ok(map)) = (std::env::var("SEALSTONE_KERNEL"), std::env::var("SEALSTONE_SYSTEM_MAP")) else {
        println!("SKIPPED of_a_built_image: no built kernel is named in SEALSTONE_KERNEL and SEALSTONE_SYSTEM_MAP");
        return;
    };
    let (kernel, map) = (fs::read(kernel).unwrap(), fs::read_to_string(map).unwrap());
    let line = map.lines().find(|line| line.ends_with(&format!(" {SYMBOL}"))).unwrap();
    let address = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();

    let start = (usize::from(kernel[0x1f1]) + 1) * 512 + number(&kernel, 0x248, 4);
    let payload = &kernel[start..][..number(&kernel, 0x24c, 4)];
    let mut vmlinux = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(payload).unwrap().read_to_end(&mut vmlinux).unwrap();
    let at = offset_of(&vmlinux, address) + 1;
    vmlinux[at] ^= 1;
    let changed = with_payload(&kernel, &vmlinux);

    let symbols = Symbols::parse(&map);
    // Of a release nobody has the symbols; those of the kernel that was built again do.
    let found = places(&kernel, &changed, [None, Some(&symbols)]);
    let named: Vec<&str> = found.iter().map(|place| place.place.as_str()).collect();
    assert!(
        matches!(&named[..], [one] if one.starts_with("vmlinux: ELF section .text, bytes ") && one.ends_with("(in do_exit)")),
        "{named:?}"
    );
    println!("{}", named[0]);
    if let Ok(file) = std::env::var("SEALSTONE_CHANGED_KERNEL") {
        fs::write(file, changed).unwrap();
    }
}
