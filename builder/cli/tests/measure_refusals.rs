//! What `measure` and `explain` refuse, as their users meet it: for each damage its own message, on standard error alone, and exit code 3.
//!
//! Each file is made here, whole first: the undamaged one must be accepted, so that a refusal is of the damage and of nothing else.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

use std::path::Path;
use std::process::{Command, Output};

/// Bad input.
const REFUSED: i32 = 3;

fn sealstone(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealstone")).args(arguments).output().unwrap()
}

/// A file for this test.
fn file(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("measure_refusals.{name}"));
    std::fs::write(&path, bytes).unwrap();
    path.to_string_lossy().into_owned()
}

fn accepted(arguments: &[&str]) {
    let output = sealstone(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn refused(arguments: &[&str], message: &str) {
    let output = sealstone(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(REFUSED), "{arguments:?}: {said}");
    assert!(said.starts_with("sealstone: error: ") && said.contains(message), "{arguments:?}: expected {message:?}, got {said}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed data although it failed");
}

#[test]
fn a_kernel_that_the_firmware_would_not_check() {
    let kernel = file("kernel", b"kernel");
    let launch = |firmware: &str, with_kernel: bool| {
        let mut arguments = vec!["measure", "snp", "--firmware", firmware, "--vcpus", "1", "--vcpu-type", "EPYC-Milan"];
        if with_kernel {
            arguments.extend(["--kernel", &kernel]);
        }
        arguments.into_iter().map(String::from).collect::<Vec<_>>()
    };
    let run = |check: &dyn Fn(&[&str]), arguments: Vec<String>| check(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let hashes = file("with-hashes.fd", &firmware(Some(&[(0x80_0000, 0x1000, 1), (0x81_0000, 0x1000, 0x10)]), false));
    let none = file("without-hashes.fd", &firmware(Some(&[(0x80_0000, 0x1000, 1)]), false));
    run(&accepted, launch(&hashes, true));
    run(&accepted, launch(&none, false));
    let refusal = "a kernel is given, but the firmware has no KERNEL_HASHES section: it would run any kernel";
    run(&|arguments| refused(arguments, refusal), launch(&none, true));
}

#[test]
fn firmware_without_metadata() {
    let bare = file("bare.fd", &firmware(None, false));
    let snp = ["measure", "snp", "--firmware", &bare, "--vcpus", "1", "--vcpu-type", "EPYC-Milan"];
    refused(&snp, "firmware has no SEV metadata; it can't be launched as an SEV-SNP guest. Use OVMF 2022.05 or later");
    let tdx = ["measure", "tdx", "--firmware", &bare];
    refused(&tdx, "firmware has no TDVF metadata; it can't be launched as a TD. Use an IntelTdx or combined OVMF build");
    let none = file("none.fd", &[0; 8192]);
    refused(&["measure", "tdx", "--firmware", &none], "firmware has no OVMF footer table 48 bytes before its end");
}

#[test]
fn the_code_part_alone() {
    let whole = firmware(None, true);
    let path = file("whole.fd", &whole);
    accepted(&["measure", "tdx", "--firmware", &path]);
    // The variable store stands in front of the code.
    let code = file("code.fd", &whole[PAGE..]);
    let refusal = "TDVF metadata describes 8192 bytes of firmware, the file has 4096: this is the CODE part alone.";
    refused(&["measure", "tdx", "--firmware", &code], refusal);
}

#[test]
fn sections_that_overlap() {
    let apart = file("apart.efi", &pe([(1024, 0x1000), (1536, 0x2000)]));
    accepted(&["measure", "pe", &apart]);
    let in_file = file("in-file.efi", &pe([(1024, 0x1000), (1280, 0x2000)]));
    let refusal = "PE section \".two\" overlaps another section or the headers in the file; its digest would be ambiguous";
    refused(&["measure", "pe", &in_file], refusal);
    let in_memory = file("in-memory.efi", &pe([(1024, 0x1000), (1536, 0x1100)]));
    let refusal = "PE section \".two\" overlaps another section in memory; what is measured would depend on the loader";
    refused(&["measure", "pe", &in_memory], refusal);
    refused(&["measure", "tpm", "--uki", &in_file], "overlaps another section");
}

#[test]
fn a_cut_disk() {
    let disk = disk();
    let whole = file("whole.raw", &disk);
    // It is read up to the system partition, which is empty here.
    refused(&["measure", "tpm", "--disk", &whole], "file system");
    let cut = file("cut.raw", &disk[..disk.len() - BLOCK]);
    let refusal = "disk is cut off: its partition table describes 36864 bytes, the file has 36352";
    refused(&["measure", "tpm", "--disk", &cut], refusal);
    let mut flipped = disk.clone();
    flipped[BLOCK + 56] ^= 1;
    let flipped = file("flipped.raw", &flipped);
    refused(&["measure", "tpm", "--disk", &flipped], "partition table's header checksum is wrong");
}

#[test]
fn a_log_with_a_hole() {
    let (log, events) = log();
    let whole = file("whole.log", &log);
    accepted(&["measure", "eventlog", &whole]);
    for fill in [0, 0xff] {
        let mut hole = log.clone();
        hole[events[1]..events[2]].fill(fill);
        let hole = file("hole.log", &hole);
        let refusal = format!("event log has a hole: padding at byte {}, and more data behind it", events[1]);
        refused(&["measure", "eventlog", &hole], &refusal);
    }
    let cut = file("cut.log", &log[..log.len() - 1]);
    let refusal = format!("event log is cut off within the event at byte {}", events[2]);
    refused(&["measure", "eventlog", &cut], &refusal);
}

const PAGE: usize = 4096;
const BLOCK: usize = 512;

fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    bytes[at..at + data.len()].copy_from_slice(data);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Two pages with OVMF's table of GUIDs at the end: SEV sections of (address, length, type), and TDVF sections that are the file as
/// variable store and code.
fn firmware(sev: Option<&[(u32, u32, u32)]>, tdvf: bool) -> Vec<u8> {
    let mut bytes = vec![0xa5; 2 * PAGE];
    let length = bytes.len();
    let mut table = Vec::new();
    let mut entry = |data: &[u8], guid: &[u8; 16]| {
        table.extend(data);
        table.extend((data.len() as u16 + 18).to_le_bytes());
        table.extend(guid);
    };
    if let Some(sections) = sev {
        let count = sections.len() as u32;
        let mut metadata = [b"ASEV".to_vec(), words(&[16 + 12 * count, 1, count])].concat();
        sections.iter().for_each(|(address, length, kind)| metadata.extend(words(&[*address, *length, *kind])));
        put(&mut bytes, length - 1024, &metadata);
        entry(&words(&[1024]), b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc");
    }
    if tdvf {
        let mut metadata = b"\xf3\xf9\xea\xe9\x8e\x16\xd5\x44\xa8\xeb\x7f\x4d\x87\x38\xf6\xaeTDVF".to_vec();
        metadata.extend(words(&[16 + 32 * 4, 1, 4]));
        // Offset and length in the file, address and length in memory, type, attributes: code, variables, TD HOB, temporary memory.
        metadata.extend(words(&[4096, 4096, 0xffff_f000, 0, 4096, 0, 0, 1]));
        metadata.extend(words(&[0, 4096, 0xffff_e000, 0, 4096, 0, 1, 0]));
        metadata.extend(words(&[0, 0, 0x80_9000, 0, 0x2000, 0, 2, 0]));
        metadata.extend(words(&[0, 0, 0x80_0000, 0, 0x6000, 0, 3, 0]));
        put(&mut bytes, length - 2048, &metadata);
        entry(&words(&[2048 - 16]), b"\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2");
    }
    entry(&words(&[0x81_0c00, 0x400]), b"\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54");
    entry(&words(&[0x80_b004]), b"\xde\x71\xf7\x00\x7e\x1a\xcb\x4f\x89\x0e\x68\xc7\x7e\x2f\xb4\x4e");
    let own = (table.len() as u16 + 18).to_le_bytes();
    table.extend(own);
    table.extend(b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d");
    put(&mut bytes, length - 32 - table.len(), &table);
    bytes
}

/// A PE32+ image with two sections of 512 bytes, each at (offset in the file, address in memory).
fn pe(sections: [(u32, u32); 2]) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    put(&mut bytes, 0, b"MZ");
    put(&mut bytes, 0x3c, &words(&[0x40]));
    put(&mut bytes, 0x40, b"PE\0\0\x64\x86\x02\0"); // x86-64, two sections
    put(&mut bytes, 0x54, &240u16.to_le_bytes()); // optional header
    put(&mut bytes, 0x58, &0x20bu16.to_le_bytes());
    put(&mut bytes, 0x58 + 60, &words(&[1024])); // size of headers
    put(&mut bytes, 0x58 + 108, &words(&[16])); // data directories
    for (index, (offset, address)) in sections.into_iter().enumerate() {
        let at = 0x58 + 240 + 40 * index;
        put(&mut bytes, at, [b".one", b".two"][index]);
        put(&mut bytes, at + 8, &words(&[512, address, 512, offset]));
    }
    bytes
}

/// A disk of 72 blocks with one empty EFI system partition.
fn disk() -> Vec<u8> {
    let mut disk = vec![0; 72 * BLOCK];
    let long = |number: u64| number.to_le_bytes();
    let mut entry = b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b".to_vec();
    entry.extend([7; 16]);
    entry.extend([long(34), long(37)].concat());
    put(&mut disk, 2 * BLOCK, &entry);
    let sum = crc32(&disk[2 * BLOCK..34 * BLOCK]);
    let mut header = [b"EFI PART".to_vec(), words(&[0x1_0000, 92, 0, 0])].concat();
    header.extend([long(1), long(71), long(34), long(38)].concat());
    header.extend([9; 16]);
    header.extend([long(2).to_vec(), words(&[128, 128, sum])].concat());
    let sum = crc32(&header);
    put(&mut header, 16, &words(&[sum]));
    put(&mut disk, BLOCK, &header);
    put(&mut disk, 71 * BLOCK, b"EFI PART");
    disk
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// A TPM's log with three separators, and where each begins.
fn log() -> (Vec<u8>, Vec<usize>) {
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 11, 0, 32, 0, 0]].concat();
    let mut log = [words(&[0, 3]), vec![0; 20], words(&[spec.len() as u32]), spec].concat();
    let mut events = Vec::new();
    for pcr in [4, 5, 9] {
        events.push(log.len());
        log.extend(words(&[pcr, 4, 1]));
        log.extend([11, 0]);
        log.extend(ovmf_measure::digest::Algorithm::Sha256.hash(&[0; 4]).as_bytes());
        log.extend(words(&[4, 0]));
    }
    (log, events)
}
