//! Random firmware, PE images and disks whose layout is known, so that the second calculation needs no parser.

use proptest::prelude::*;

// ---- Firmware ----

#[derive(Debug, Clone)]
pub(crate) struct SevEntry {
    pub(crate) gpa: u32,
    pub(crate) pages: u32,
    pub(crate) kind: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct TdvfEntry {
    pub(crate) offset: u32,
    pub(crate) size: u32,
    pub(crate) gpa: u64,
    pub(crate) memory: u64,
    pub(crate) kind: u32,
    pub(crate) attributes: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct FirmwareSpec {
    pub(crate) pages: usize,
    pub(crate) seed: u64,
    pub(crate) ap_reset: u32,
    pub(crate) hash_table: u32,
    pub(crate) sev: Vec<SevEntry>,
    pub(crate) tdvf: Vec<TdvfEntry>,
}

const FOOTER: [u8; 16] = *b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d";
const HASH_TABLE: [u8; 16] = *b"\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54";
const RESET_BLOCK: [u8; 16] = *b"\xde\x71\xf7\x00\x7e\x1a\xcb\x4f\x89\x0e\x68\xc7\x7e\x2f\xb4\x4e";
const SEV_METADATA: [u8; 16] = *b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc";
const TDVF_METADATA: [u8; 16] = *b"\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2";
const TDVF_GUID: [u8; 16] = *b"\xf3\xf9\xea\xe9\x8e\x16\xd5\x44\xa8\xeb\x7f\x4d\x87\x38\xf6\xae";

impl FirmwareSpec {
    /// The layout of a real OVMF, small.
    pub(crate) fn plain() -> Self {
        let ram = |gpa, memory, kind| TdvfEntry { offset: 0, size: 0, gpa, memory, kind, attributes: 0 };
        let bfv = TdvfEntry { offset: 4096, size: 8192, gpa: 0xffff_e000, memory: 8192, kind: 0, attributes: 1 };
        let tdvf = vec![
            bfv,
            ram(0x81_0000, 0x1_0000, 3),
            ram(0x80_b000, 0x2000, 3),
            ram(0x80_9000, 0x2000, 2),
            ram(0x80_0000, 0x6000, 3),
        ];
        Self { pages: 3, seed: 1, ap_reset: 0x80_b004, hash_table: 0x81_0c00, sev: Vec::new(), tdvf }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut state = self.seed;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let mut bytes: Vec<u8> = (0..self.pages * 4096).map(|_| noise()).collect();
        let length = bytes.len();
        let put = |bytes: &mut Vec<u8>, at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);

        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let mut sev = [b"ASEV".to_vec(), words(&[16 + 12 * self.sev.len() as u32, 1, self.sev.len() as u32])].concat();
        for entry in &self.sev {
            sev.extend(words(&[entry.gpa, entry.pages * 4096, entry.kind]));
        }
        put(&mut bytes, length - 1024, &sev);
        let count = self.tdvf.len() as u32;
        let mut tdvf = [TDVF_GUID.to_vec(), b"TDVF".to_vec(), words(&[16 + 32 * count, 1, count])].concat();
        for entry in &self.tdvf {
            tdvf.extend(words(&[entry.offset, entry.size]));
            tdvf.extend(entry.gpa.to_le_bytes());
            tdvf.extend(entry.memory.to_le_bytes());
            tdvf.extend(words(&[entry.kind, entry.attributes]));
        }
        put(&mut bytes, length - 2048, &tdvf);

        let mut table = Vec::new();
        let entries = [
            (words(&[1024]), SEV_METADATA),
            (words(&[2048 - 16]), TDVF_METADATA),
            (words(&[self.hash_table, 0x400]), HASH_TABLE),
            (words(&[self.ap_reset]), RESET_BLOCK),
        ];
        for (data, guid) in entries {
            table.extend(&data);
            table.extend((data.len() as u16 + 18).to_le_bytes());
            table.extend(guid);
        }
        table.extend((table.len() as u16 + 18).to_le_bytes());
        table.extend(FOOTER);
        put(&mut bytes, length - 32 - table.len(), &table);
        bytes
    }
}

pub(crate) fn firmware() -> impl Strategy<Value = FirmwareSpec> {
    let sec_mem = (0u32..4, 0u32..64).prop_map(|(pages, slot)| (1u32, pages, slot));
    let single = (proptest::sample::select(&[2u32, 3, 4][..]), 0u32..64).prop_map(|(kind, slot)| (kind, 1, slot));
    let sections = proptest::collection::vec(prop_oneof![sec_mem, single], 0..8);
    let tdvf = proptest::collection::vec((0u32..3, 0u64..3, 0u32..3), 0..5);
    let numbers = (any::<u64>(), any::<u32>(), 0u32..0xf50);
    (sections, any::<bool>(), 0usize..8, tdvf, numbers).prop_map(|(sections, hashes, at, tdvf, (seed, ap_reset, table))| {
        let mut sev: Vec<SevEntry> =
            sections.into_iter().map(|(kind, pages, slot)| SevEntry { gpa: 0x80_0000 + slot * 0x1_0000, pages, kind }).collect();
        if hashes {
            sev.insert(at.min(sev.len()), SevEntry { gpa: 0x90_0000, pages: 1, kind: 0x10 });
        }
        let mut plain = FirmwareSpec::plain();
        for (index, (data, more, attributes)) in tdvf.into_iter().enumerate() {
            let gpa = 0x100_0000 + 0x10_0000 * index as u64;
            let size = data.min(2) * 4096;
            plain.tdvf.push(TdvfEntry { offset: 4096, size, gpa, memory: u64::from(size) + more * 4096, kind: 3, attributes });
        }
        // An address whose reset vector isn't the boot processor's; that one selects other segment attributes.
        let ap_reset = if ap_reset == 0xffff_fff0 { 0x80_b004 } else { ap_reset };
        FirmwareSpec { seed, ap_reset, hash_table: 0x90_0000 + table, sev, ..plain }
    })
}

// ---- PE ----

#[derive(Debug, Clone)]
pub(crate) struct PeFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) checksum: usize,
    pub(crate) certificate_entry: usize,
    pub(crate) certificate: usize,
}

/// Where the PE header begins; a bzImage has its setup header at 0x1f1 to 0x268, so its PE header stands elsewhere.
fn layout(pe_at: usize, sections: &[([u8; 8], Vec<u8>)], rest: &[u8], certificate: usize, boot: &[u8]) -> PeFile {
    let optional = pe_at + 24;
    let table = optional + 240;
    let headers = (table + 40 * sections.len()).next_multiple_of(512).max(1024);
    let mut bytes = vec![0; headers];
    bytes[..boot.len()].copy_from_slice(boot);
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c..0x40].copy_from_slice(&(pe_at as u32).to_le_bytes());
    bytes[pe_at..pe_at + 6].copy_from_slice(b"PE\0\0\x64\x86");
    bytes[pe_at + 6..pe_at + 8].copy_from_slice(&(sections.len() as u16).to_le_bytes());
    bytes[pe_at + 20..pe_at + 22].copy_from_slice(&240u16.to_le_bytes());
    bytes[optional..optional + 2].copy_from_slice(&0x20bu16.to_le_bytes());
    bytes[optional + 60..optional + 64].copy_from_slice(&(headers as u32).to_le_bytes());
    bytes[optional + 64..optional + 68].copy_from_slice(b"csum");
    bytes[optional + 108..optional + 112].copy_from_slice(&16u32.to_le_bytes());
    let entry = optional + 112 + 32;
    let mut address = 0x1000u32;
    for (index, (name, data)) in sections.iter().enumerate() {
        let raw = data.len().next_multiple_of(512);
        let header = table + 40 * index;
        let offset = if raw == 0 { 0 } else { bytes.len() };
        bytes[header..header + 8].copy_from_slice(name);
        for (at, value) in [(8, data.len()), (12, address as usize), (16, raw), (20, offset)] {
            bytes[header + at..header + at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        address += (data.len() as u32).next_multiple_of(4096) + 4096;
    }
    bytes.extend(rest);
    if certificate > 0 {
        let at = bytes.len() as u32;
        bytes[entry..entry + 4].copy_from_slice(&at.to_le_bytes());
        bytes[entry + 4..entry + 8].copy_from_slice(&(certificate as u32).to_le_bytes());
        bytes.resize(bytes.len() + certificate, 0xce);
    }
    PeFile { bytes, checksum: optional + 64, certificate_entry: entry, certificate }
}

/// Sections in file order, a rest of any length (not a multiple of eight), and sometimes a certificate table.
pub(crate) fn pe() -> impl Strategy<Value = PeFile> {
    let data = proptest::collection::vec(any::<u8>(), 0..1500);
    let sections = proptest::collection::vec((any::<[u8; 8]>(), data), 0..6);
    (sections, proptest::collection::vec(any::<u8>(), 0..40), prop_oneof![Just(0usize), 8usize..200])
        .prop_map(|(sections, rest, certificate)| layout(0x80, &sections, &rest, certificate, &[]))
}

/// A PE image that also has a Linux setup header of protocol 2.15.
pub(crate) fn kernel() -> impl Strategy<Value = PeFile> {
    let data = proptest::collection::vec(any::<u8>(), 1..3000);
    (proptest::collection::vec((any::<[u8; 8]>(), data), 1..4), any::<bool>(), 0x10_0000u32..0x8000_0000).prop_map(
        |(sections, above_4g, initrd_max)| {
            let mut boot = vec![0; 0x268];
            boot[0x202..0x206].copy_from_slice(b"HdrS");
            boot[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
            boot[0x211] = 1;
            // The generator's smallest machine has 64 MiB; the initrd fits below any of these limits.
            boot[0x22c..0x230].copy_from_slice(&initrd_max.to_le_bytes());
            boot[0x236] = if above_4g { 3 } else { 1 };
            layout(0x280, &sections, &[], 0, &boot)
        },
    )
}

pub(crate) fn minimal_pe(data: &[u8]) -> Vec<u8> {
    layout(0x80, &[(*b".text\0\0\0", data.to_vec())], &[], 0, &[]).bytes
}

pub(crate) fn uki(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let magic = b"#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####\0";
    let all: Vec<([u8; 8], Vec<u8>)> = [(".sdmagic", &magic[..])]
        .into_iter()
        .chain(sections.iter().copied())
        .map(|(name, data)| {
            let mut padded = [0; 8];
            padded[..name.len().min(8)].copy_from_slice(&name.as_bytes()[..name.len().min(8)]);
            (padded, data.to_vec())
        })
        .collect();
    layout(0x80, &all, &[], 0, &[]).bytes
}

// ---- GPT ----

#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn disk() -> impl Strategy<Value = Disk> {
    proptest::collection::vec((1usize..128, any::<[u8; 32]>(), any::<[u8; 80]>()), 0..6).prop_map(|wanted| {
        let blocks = 256u64;
        let mut entries = vec![0u8; 128 * 128];
        let mut first = 34u64;
        let mut used = std::collections::BTreeSet::new();
        for (slot, guids, name) in wanted {
            if !used.insert(slot) || guids[..16] == [0; 16] {
                continue;
            }
            let entry = &mut entries[slot * 128..slot * 128 + 128];
            entry[..32].copy_from_slice(&guids);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&(first + 9).to_le_bytes());
            entry[48..].copy_from_slice(&name);
            first += 10;
        }
        let header = |own: u64, other: u64, at: u64| {
            let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
            for value in [own, other, 34, blocks - 34] {
                header.extend(value.to_le_bytes());
            }
            header.extend([7; 16]);
            header.extend(at.to_le_bytes());
            header.extend(128u32.to_le_bytes());
            header.extend(128u32.to_le_bytes());
            header.extend(crc(&entries).to_le_bytes());
            let sum = crc(&header);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            header
        };
        let mut bytes = vec![0; 512 * blocks as usize];
        bytes[512..512 + 92].copy_from_slice(&header(1, blocks - 1, 2));
        bytes[1024..1024 + entries.len()].copy_from_slice(&entries);
        let backup = 512 * (blocks as usize - 1);
        bytes[backup - entries.len()..backup].copy_from_slice(&entries);
        bytes[backup..backup + 92].copy_from_slice(&header(blocks - 1, 1, blocks - 33));
        Disk { bytes }
    })
}

/// CRC-32 by polynomial division over bits, most significant first: the textbook form, reflected at both ends.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            let carry = register >> 31;
            register <<= 1;
            if carry == 1 {
                register ^= 0x04c1_1db7;
            }
        }
    }
    !register.reverse_bits()
}
