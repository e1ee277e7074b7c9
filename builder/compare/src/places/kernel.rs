//! A kernel as x86 boot loaders take it: the setup header, the code that unpacks, and what is unpacked.
//!
//! Source: Linux, `Documentation/arch/x86/boot.rst`.

use std::collections::BTreeMap;
use std::io::Read;

use super::elf::u32_at;
use super::{Leaf, Parts};

/// Where the header's magic stands, and what it says.
const MAGIC_AT: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";
/// Number of 512-byte sectors of setup code.
const SETUP_SECTS: usize = 0x1f1;
/// Fields of the header that say something of their own; the others are constants or follow from the payload.
const FIELDS: &[(&str, usize, usize, bool)] = &[
    ("protocol version", 0x206, 2, false),
    ("loadflags", 0x211, 1, false),
    ("kernel_alignment", 0x230, 4, false),
    ("relocatable_kernel", 0x234, 1, false),
    ("xloadflags", 0x236, 2, false),
    ("cmdline_size", 0x238, 4, false),
    ("pref_address", 0x258, 8, false),
    ("setup_sects", SETUP_SECTS, 1, true),
    ("syssize", 0x1f4, 4, true),
    ("payload_offset", 0x248, 4, true),
    ("payload_length", 0x24c, 4, true),
    ("init_size", 0x260, 4, true),
    ("handover_offset", 0x264, 4, true),
    ("kernel_info_offset", 0x268, 4, true),
];
/// The version text: its offset, less 0x200.
const VERSION_AT: usize = 0x20e;

/// A kernel that unpacks to more is not taken apart. The default image's has 12 MB.
const MAX_UNPACKED: u64 = 256 << 20;

pub(super) fn is_kernel(bytes: &[u8]) -> bool {
    bytes.get(MAGIC_AT..).is_some_and(|rest| rest.starts_with(MAGIC))
}

pub(super) fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut leaves = Vec::new();
    leaves.push(Leaf::text("kernel version", version(bytes)?));
    for (field, at, len, derived) in FIELDS {
        let mut value = [0; 8];
        value.get_mut(..*len)?.copy_from_slice(bytes.get(*at..at.checked_add(*len)?)?);
        let leaf = Leaf::text(format!("kernel setup header, field {field}"), format!("{:#x}", u64::from_le_bytes(value)));
        leaves.push(Leaf { derived: *derived, ..leaf });
    }
    let start = usize::from(*bytes.get(SETUP_SECTS)?).checked_add(1)?.checked_mul(512)?;
    let payload = start.checked_add(usize::try_from(u32_at(bytes, 0x248)?).ok()?)?;
    let end = payload.checked_add(usize::try_from(u32_at(bytes, 0x24c)?).ok()?)?;
    match unpack(bytes.get(payload..end)?) {
        Some(kernel) => {
            leaves.push(Leaf::bytes("vmlinux", kernel));
            // The same kernel packed in another way: a difference of the compressor alone.
            leaves.push(Leaf::bytes("kernel payload, as compressed", bytes.get(payload..end)?).derived());
        }
        None => leaves.push(Leaf::bytes("kernel payload", bytes.get(payload..end)?)),
    }
    // What stands around it follows from the sizes of what is in it, mostly.
    leaves.push(Leaf::bytes("kernel code that unpacks, before the payload", bytes.get(start..payload)?).derived());
    leaves.push(Leaf::bytes("kernel code that unpacks, behind the payload", bytes.get(end..)?).derived());
    leaves.push(Leaf::bytes("kernel setup code", bytes.get(..start)?).derived());
    Some(Parts { format: "kernel", leaves })
}

/// The version text up to the first blank; who built it where, and when, stands behind.
fn version(bytes: &[u8]) -> Option<String> {
    let at = usize::from(u16::from_le_bytes(*bytes.get(VERSION_AT..)?.first_chunk()?)).checked_add(0x200)?;
    let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
    Some(text.get(..text.len().min(200))?.escape_ascii().to_string())
}

/// The kernel's ELF file, if the payload is compressed with zstd as our kernels' are. Its last four bytes are the length.
fn unpack(payload: &[u8]) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    let decoder = ruzstd::decoding::StreamingDecoder::new(payload).ok()?;
    decoder.take(MAX_UNPACKED).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}

/// The addresses of a kernel's functions and objects, as `System.map` lists them.
#[derive(Clone, Debug, Default)]
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Reads `System.map`: lines of address, type, name. Lines that say something else are passed over.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let (address, _, name) = (words.next()?, words.next()?, words.next()?);
            Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// The last symbol at or before `address`.
    pub(super) fn at(&self, address: u64) -> Option<&str> {
        self.0.range(..=address).next_back().map(|(_, name)| name.as_str())
    }
}
