//! The calculations, from the specifications, as plainly as possible. Shares no code with the crate.

use sha2::{Digest, Sha256, Sha384};

use crate::generate::{Disk, PeFile, SevEntry, TdvfEntry};

pub(crate) fn hash(sha384: bool, data: &[u8]) -> Vec<u8> {
    if sha384 { Sha384::digest(data).to_vec() } else { Sha256::digest(data).to_vec() }
}

/// PCR and RTMR extension.
pub(crate) fn fold(sha384: bool, digests: &[Vec<u8>]) -> Vec<u8> {
    let mut value = vec![0; if sha384 { 48 } else { 32 }];
    for digest in digests {
        value = hash(sha384, &[value, digest.clone()].concat());
    }
    value
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for unit in text.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
    }
    bytes.extend([0, 0]);
    bytes
}

// ---- SEV-SNP ----

/// Family, model, stepping by the first word after "EPYC-".
const CPUS: [(&str, u32, u32, u32); 5] =
    [("Rome", 23, 0x31, 0), ("Milan", 25, 1, 1), ("Genoa", 25, 0x11, 0), ("Turin", 26, 0, 0), ("", 23, 1, 2)];

/// Name, es/ds/fs/gs, cs of the BSP, cs of APs, ss, tr, PAT, rdx (`None`: the CPU's signature), MXCSR, FCW, VMSA address,
/// SEC memory's page type, CPUID page last.
type Vmm = (&'static str, [u16; 4], u64, Option<u64>, u32, u16, u64, u8, bool);
const VMMS: [Vmm; 4] = [
    ("qemu", [0x9b, 0x9b, 0x93, 0x8b], 0x0007_0406_0007_0406, None, 0x1f80, 0x37f, 0x0000_ffff_ffff_f000, 3, false),
    ("ec2", [0x9a, 0x9b, 0x92, 0x83], 0x0007_0406_0007_0406, Some(0x600), 0, 0, 0x0000_ffff_ffff_f000, 3, true),
    ("gce", [0x9b, 0x9b, 0x93, 0x8b], 0x70106, Some(0x600), 0, 0, 0x0000_ffff_ffff_f000, 4, false),
    ("gce-52bit", [0x9b, 0x9b, 0x93, 0x8b], 0x70106, Some(0x600), 0, 0, 0x000f_ffff_ffff_f000, 4, false),
];

fn page_info(ld: &[u8], page_type: u8, gpa: u64, contents: &[u8]) -> Vec<u8> {
    let mut info = ld.to_vec();
    info.extend(contents);
    info.extend([0x70, 0, page_type, 0, 0, 0, 0, 0]);
    info.extend(gpa.to_le_bytes());
    assert_eq!(info.len(), 0x70);
    Sha384::digest(info).to_vec()
}

#[allow(clippy::too_many_arguments, reason = "a plain function of everything that is measured")]
pub(crate) fn snp(
    firmware: &[u8],
    sections: &[SevEntry],
    ap_reset: u32,
    boot: Option<(&[u8], &[u8], &str)>,
    hash_table: u32,
    vcpus: u32,
    cpu: &str,
    features: u64,
    vmm: &str,
) -> Vec<u8> {
    let vmm = VMMS.iter().find(|row| row.0 == vmm).unwrap();
    let zero = [0u8; 48];
    let mut ld = zero.to_vec();
    for (index, page) in firmware.chunks(4096).enumerate() {
        let gpa = 0x1_0000_0000 - firmware.len() as u64 + 4096 * index as u64;
        ld = page_info(&ld, 1, gpa, &Sha384::digest(page));
    }
    let mut order: Vec<&SevEntry> = sections.iter().filter(|s| !(vmm.8 && s.kind == 3)).collect();
    order.extend(sections.iter().filter(|s| vmm.8 && s.kind == 3));
    for section in order {
        for index in 0..section.pages {
            let gpa = u64::from(section.gpa + 4096 * index);
            ld = match (section.kind, boot) {
                (1, _) => page_info(&ld, vmm.7, gpa, &zero),
                (2, _) => page_info(&ld, 5, gpa, &zero),
                (3, _) => page_info(&ld, 6, gpa, &zero),
                (0x10, Some(boot)) => page_info(&ld, 1, gpa, &Sha384::digest(hashes_page(boot, hash_table))),
                _ => page_info(&ld, 3, gpa, &zero),
            };
        }
    }
    for index in 0..vcpus {
        let reset = if index == 0 { 0xffff_fff0 } else { ap_reset };
        ld = page_info(&ld, 2, vmm.6, &Sha384::digest(vmsa(vmm, reset, cpu, features)));
    }
    ld
}

fn hashes_page((kernel, initrd, cmdline): (&[u8], &[u8], &str), hash_table: u32) -> Vec<u8> {
    // GUIDs as stored, copied from the bytes that QEMU writes.
    let guids: [[u8; 16]; 4] = [
        *b"\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21",
        *b"\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a",
        *b"\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d",
        *b"\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b",
    ];
    let contents = [&[], &[cmdline.as_bytes(), &[0]].concat()[..], initrd, kernel];
    let mut page = vec![0; (hash_table & 0xfff) as usize];
    page.extend(guids[0]);
    page.extend([168, 0]);
    for index in 1..4 {
        page.extend(guids[index]);
        page.extend([50, 0]);
        page.extend(Sha256::digest(contents[index]));
    }
    page.resize(4096, 0);
    page
}

fn vmsa(vmm: &Vmm, reset: u32, cpu: &str, features: u64) -> Vec<u8> {
    let word = cpu.strip_prefix("EPYC-").unwrap_or("").split('-').next().unwrap();
    let row = CPUS.iter().find(|row| row.0 == word).unwrap_or(&CPUS[4]);
    // CPUID Fn0000_0001_EAX: 31-28 reserved, 27-20 extended family, 19-16 extended model, 11-8 family, 7-4 model, 3-0.
    let signature = ((row.1 - 15) << 20) + ((row.2 / 16) << 16) + (15 << 8) + ((row.2 % 16) << 4) + row.3;
    let [cs_bsp, cs_ap, ss, tr] = vmm.1;
    let cs = if reset == 0xffff_fff0 { cs_bsp } else { cs_ap };
    let mut page = vec![0u8; 4096];
    // es cs ss ds fs gs gdtr ldtr idtr tr
    let attributes = [0x93, cs, ss, 0x93, 0x93, 0x93, 0, 0x82, 0, tr];
    for (index, attribute) in attributes.iter().enumerate() {
        page[16 * index + 2..16 * index + 4].copy_from_slice(&attribute.to_le_bytes());
        page[16 * index + 4..16 * index + 8].copy_from_slice(&0xffffu32.to_le_bytes());
    }
    page[0x10..0x12].copy_from_slice(&0xf000u16.to_le_bytes());
    page[0x18..0x20].copy_from_slice(&u64::from(reset / 0x10000 * 0x10000).to_le_bytes());
    let longs = [
        (0x0d0, 0x1000),
        (0x148, 0x40),
        (0x158, 0x10),
        (0x160, 0x400),
        (0x168, 0xffff_0ff0),
        (0x170, 2),
        (0x178, u64::from(reset % 0x10000)),
        (0x268, vmm.2),
        (0x310, vmm.3.unwrap_or(signature.into())),
        (0x3b0, features),
        (0x3e8, 1),
        (0x408, u64::from(vmm.4)),
    ];
    for (offset, value) in longs {
        page[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    page[0x410..0x412].copy_from_slice(&vmm.5.to_le_bytes());
    page
}

// ---- TDX ----

pub(crate) fn mrtd(firmware: &[u8], sections: &[TdvfEntry], add_then_extend: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    for section in sections {
        let mut adds = Vec::new();
        let mut extends = Vec::new();
        let mut mixed = Vec::new();
        let mut data = firmware[section.offset as usize..(section.offset + section.size) as usize].to_vec();
        data.resize(section.memory as usize, 0);
        for page in 0..section.memory / 4096 {
            let gpa = section.gpa + page * 4096;
            let mut add = b"MEM.PAGE.ADD\0\0\0\0".to_vec();
            add.extend(gpa.to_le_bytes());
            add.resize(128, 0);
            let mut extend = Vec::new();
            for part in 0..16 {
                let mut head = b"MR.EXTEND\0\0\0\0\0\0\0".to_vec();
                head.extend((gpa + part * 256).to_le_bytes());
                head.resize(128, 0);
                let at = (page * 4096 + part * 256) as usize;
                extend.extend(head);
                extend.extend(&data[at..at + 256]);
            }
            if section.attributes & 2 != 0 {
                add.clear();
            }
            if section.attributes & 1 == 0 {
                extend.clear();
            }
            mixed.extend([add.clone(), extend.clone()].concat());
            adds.extend(add);
            extends.extend(extend);
        }
        stream.extend(if add_then_extend { [adds, extends].concat() } else { mixed });
    }
    Sha384::digest(stream).to_vec()
}

/// A page-by-page map of RAM, then runs of equal pages: slow, and nothing like the first calculation.
pub(crate) fn td_hob(sections: &[TdvfEntry], memory: u64) -> Vec<u8> {
    const MIB: u64 = 1 << 20;
    let low = if memory >= 2816 * MIB { 2048 * MIB } else { memory };
    let added = |page: u64| {
        let at = page * 4096;
        // TD HOB and temporary memory; every section starts a run of its own.
        sections.iter().position(|s| matches!(s.kind, 2 | 3) && at >= s.gpa && at < s.gpa + s.memory)
    };
    let mut runs: Vec<(u64, u64, Option<usize>)> = Vec::new();
    for page in 0..(16 * MIB).min(low) / 4096 {
        match runs.last_mut() {
            Some(run) if run.2 == added(page) => run.1 += 4096,
            _ => runs.push((page * 4096, 4096, added(page))),
        }
    }
    runs.last_mut().unwrap().1 += low - (16 * MIB).min(low);
    if memory > low {
        runs.push((4096 * MIB, memory - low, None));
    }
    let end = 0x80_9000 + 56 + 48 * runs.len() as u64 + 8;
    let mut hob = vec![1, 0, 56, 0, 0, 0, 0, 0, 9, 0, 0, 0];
    hob.resize(48, 0);
    hob.extend(end.to_le_bytes());
    for (start, length, section) in runs {
        hob.extend([3, 0, 48, 0]);
        hob.resize(hob.len() + 20, 0);
        hob.extend(u32::to_le_bytes(if section.is_some() { 0 } else { 7 }));
        hob.extend(7u32.to_le_bytes());
        hob.extend(start.to_le_bytes());
        hob.extend(length.to_le_bytes());
    }
    hob
}

// ---- PE, GPT ----

pub(crate) fn authenticode(pe: &PeFile, sha384: bool) -> Vec<u8> {
    let mut hashed = pe.bytes.clone();
    hashed.truncate(hashed.len() - pe.certificate);
    // From the back, so that offsets stay right.
    hashed.drain(pe.certificate_entry..pe.certificate_entry + 8);
    hashed.drain(pe.checksum..pe.checksum + 4);
    hash(sha384, &hashed)
}

pub(crate) fn gpt_event(disk: &Disk) -> Vec<u8> {
    let mut event = disk.bytes[512..512 + 92].to_vec();
    let entries: Vec<&[u8]> = disk.bytes[1024..1024 + 128 * 128].chunks(128).filter(|e| e[..16] != [0; 16]).collect();
    event.extend((entries.len() as u64).to_le_bytes());
    event.extend(entries.concat());
    event
}

// ---- Boot ----

/// Profile; raw digest accepted; rewritten digest accepted; text in front and behind if there is an initrd.
pub(crate) const PROFILES: [(&str, bool, bool, &str, &str); 6] = [
    ("qemu-7.2-ovmf-2022.11", false, true, "", " initrd=initrd"),
    ("qemu-7.2-ovmf-2025.02", false, true, "", " initrd=initrd"),
    ("qemu-10.0-ovmf-2022.11", false, true, "", " initrd=initrd"),
    ("qemu-10.0-ovmf-2025.02", true, false, "", " initrd=initrd"),
    ("qemu-ovmf-2025.02", true, true, "", " initrd=initrd"),
    ("qemu-ovmf-2026.08", true, true, "initrd=initrd ", ""),
];

pub(crate) fn direct_boot_pcrs(
    kernel: &PeFile,
    initrd: &[u8],
    cmdline: &str,
    profile: &str,
    memory: u64,
    sha384: bool,
) -> Vec<(String, Vec<Vec<u8>>)> {
    let (_, raw, patched, front, behind) = *PROFILES.iter().find(|row| row.0 == profile).unwrap();
    let h = |data: &[u8]| hash(sha384, data);
    let f = |digests: &[Vec<u8>]| fold(sha384, digests);

    let mut kernels = Vec::new();
    if raw {
        kernels.push(authenticode(kernel, sha384));
    }
    if patched {
        let mut rewritten = PeFile { bytes: kernel.bytes.clone(), ..*kernel };
        let low = if memory >= 0xb000_0000 { 0x8000_0000 } else { memory };
        let bytes = &mut rewritten.bytes;
        bytes[0x210] = 0xb0;
        bytes[0x211] |= 0x80;
        bytes[0x224..0x226].copy_from_slice(&[0x00, 0xfe]);
        bytes[0x228..0x22c].copy_from_slice(&[0, 0, 2, 0]);
        if !initrd.is_empty() {
            let above = bytes[0x236] & 2 != 0;
            let allowed = u64::from(u32::from_le_bytes(bytes[0x22c..0x230].try_into().unwrap()));
            let allowed = if above { 0xffff_ffff } else { allowed };
            let top = allowed.min(low - 0x28000 - 1);
            let address = (top - initrd.len() as u64) / 4096 * 4096;
            bytes[0x218..0x21c].copy_from_slice(&(address as u32).to_le_bytes());
            bytes[0x21c..0x220].copy_from_slice(&(initrd.len() as u32).to_le_bytes());
        }
        kernels.push(authenticode(&rewritten, sha384));
    }
    let pcr4 = |kernel: &Vec<u8>| f(&[kernel.clone(), h(b"Calling EFI Application from Boot Option"), h(&[0; 4])]);
    let pcr5 = f(&[h(&[0; 4]), h(b"Exit Boot Services Invocation"), h(b"Exit Boot Services Returned with Success")]);
    let (front, behind) = if initrd.is_empty() { ("", "") } else { (front, behind) };
    let mut line = Vec::new();
    for byte in format!("{front}{cmdline}{behind}").bytes() {
        line.extend([byte, 0]);
    }
    let mut pcr9 = Vec::new();
    if !line.is_empty() {
        line.extend([0, 0]);
        pcr9.push(h(&line));
    }
    if !initrd.is_empty() {
        pcr9.push(h(initrd));
    }
    let zero = vec![0; if sha384 { 48 } else { 32 }];
    vec![
        ("pcr4".into(), kernels.iter().map(pcr4).collect()),
        ("pcr5".into(), vec![pcr5]),
        ("pcr8".into(), vec![zero.clone()]),
        ("pcr9".into(), vec![f(&pcr9)]),
        ("pcr11".into(), vec![zero.clone()]),
        ("pcr12".into(), vec![zero]),
    ]
}
