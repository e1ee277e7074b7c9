//! Every input that can't be measured is refused with an error of its own, and damaged input never panics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests read vectors and ask oracles, and failing loudly is right"
)]

#[path = "second/generate.rs"]
#[allow(dead_code, reason = "the second calculation uses the rest")]
mod generate;

use generate::{FirmwareSpec, SevEntry};
use ovmf_measure::boot::{Boot, BootError, HeaderError, boot_profile, patch_setup_header};
use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::EventLog;
use ovmf_measure::fat::{FatError, fallback_loader};
use ovmf_measure::firmware::{Firmware, FirmwareError};
use ovmf_measure::gpt::{Gpt, GptError};
use ovmf_measure::pe::{Pe, PeError, Uki, UkiError};
use ovmf_measure::snp::{self, DirectBoot, SnpError};
use ovmf_measure::tdx::{self, TdxError};
use ovmf_measure::tpm;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn one<S: Strategy>(strategy: S) -> S::Value {
    strategy.new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

fn with_sev(sections: &[(u32, u32, u32)]) -> Vec<u8> {
    let sev = sections.iter().map(|(gpa, pages, kind)| SevEntry { gpa: *gpa, pages: *pages, kind: *kind }).collect();
    FirmwareSpec { sev, ..FirmwareSpec::plain() }.build()
}

fn snp<'a>(firmware: &'a [u8], kernel: Option<&'a [u8]>) -> snp::Request<'a> {
    let boot = kernel.map(|kernel| DirectBoot { kernel, initrd: None, cmdline: "" });
    snp::Request { firmware, boot, vcpu_type: "EPYC-Milan", guest_features: 1, vmm: "qemu" }
}

#[test]
fn snp_launches() {
    let plain = with_sev(&[(0x80_0000, 9, 1)]);
    let hashes = with_sev(&[(0x81_0000, 1, 0x10)]);
    let good = snp(&plain, None);
    assert!(snp::measure(&good).is_ok());
    assert!(snp::measure(&snp(&hashes, Some(b"kernel"))).is_ok());

    let without_table =
        FirmwareSpec { hash_table: 0, sev: vec![SevEntry { gpa: 0x81_0000, pages: 1, kind: 0x10 }], ..FirmwareSpec::plain() };
    let off_page = FirmwareSpec { hash_table: 0x81_0fa0, ..without_table.clone() };
    let (without_table, off_page) = (without_table.build(), off_page.build());
    let two_hash_pages = with_sev(&[(0x81_0000, 2, 0x10)]);
    let two_secrets = with_sev(&[(0x81_0000, 2, 2)]);
    let refused: [(snp::Request<'_>, SnpError); 9] = [
        (snp(&plain, Some(b"kernel")), SnpError::NoKernelHashes),
        (snp(&without_table, Some(b"kernel")), SnpError::NoHashTable),
        (snp(&off_page, Some(b"kernel")), SnpError::NoHashTable),
        (snp(&two_hash_pages, Some(b"kernel")), SnpError::HashesPageCount(2)),
        (snp(&two_secrets, None), SnpError::SinglePage { what: "secrets page", pages: 2 }),
        (snp::Request { vmm: "xen", ..good }, SnpError::UnknownVmm("xen".into())),
        (snp::Request { vcpu_type: "epyc", ..good }, SnpError::UnknownCpu("epyc".into())),
        (snp::Request { guest_features: 0x20, ..good }, SnpError::NotSnp(0x20)),
        (snp::Request { firmware: &plain[..4097], ..good }, FirmwareError::Size { size: 4097 }.into()),
    ];
    for (request, expected) in refused {
        assert_eq!(snp::measure(&request).map(|_| ()), Err(expected));
    }
    let launch = snp::measure(&good).unwrap();
    for vcpus in [0, 4097] {
        assert_eq!(launch.digest_for(vcpus), Err(SnpError::VcpuCount(vcpus)));
        assert_eq!(launch.transcript(vcpus).map(|_| ()), Err(SnpError::VcpuCount(vcpus)));
    }
    let sha256 = Algorithm::Sha256.zero();
    let mixed = snp::launch_digest(&sha256, &launch.bsp_vmsa, &launch.ap_vmsa, launch.vmsa_gpa, 1);
    assert_eq!(mixed, Err(SnpError::BadParts));
}

/// Each damage at its place in the generated firmware, counted from the end as `generate.rs` lays it out.
#[test]
fn damaged_firmware() {
    let good = with_sev(&[(0x80_0000, 9, 1)]);
    let length = good.len();
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    let footer = length - 32 - 18;
    let parse = |bytes: &[u8]| Firmware::parse(bytes).map(|_| ());
    assert_eq!(parse(&with(footer + 2, &[0; 16])), Err(FirmwareError::NoFooter));
    assert!(matches!(parse(&with(footer, &[17, 0])), Err(FirmwareError::Footer(_))));
    assert!(matches!(parse(&with(footer, &[0xff, 0xff])), Err(FirmwareError::Footer(_))));
    // The last entry before the footer is the reset block: 22 bytes.
    assert!(matches!(parse(&with(footer - 18, &[17, 0])), Err(FirmwareError::Footer(_))));
    let reset_block = good[footer - 16..footer].to_vec();
    let twice = with(footer - 22 - 16, &reset_block);
    assert!(matches!(parse(&twice), Err(FirmwareError::Footer("an entry occurs twice"))));

    let no_reset = with(footer - 16, &[1; 16]);
    assert_eq!(Firmware::parse(&no_reset).unwrap().ap_reset_address(), Err(FirmwareError::NoResetBlock));

    let sev = |bytes: &[u8]| Firmware::parse(bytes).unwrap().sev_metadata().map(|_| ());
    let at = length - 1024;
    assert!(matches!(sev(&with(at, b"NOPE")), Err(FirmwareError::SevMetadata(_))));
    assert!(matches!(sev(&with(at + 8, &[2])), Err(FirmwareError::SevMetadata(_))));
    assert!(matches!(sev(&with(at + 12, &[2])), Err(FirmwareError::SevMetadata(_))));
    assert!(matches!(sev(&with(at + 16, &[1])), Err(FirmwareError::SevMetadata(_))));
    assert_eq!(sev(&with(at + 24, &[9])), Err(FirmwareError::UnknownSevSection(9)));

    let tdvf = |bytes: &[u8]| Firmware::parse(bytes).unwrap().tdvf_metadata().map(|_| ());
    let at = length - 2048;
    assert!(tdvf(&good).is_ok());
    assert!(matches!(tdvf(&with(at, &[0])), Err(FirmwareError::TdvfMetadata(_))));
    assert!(matches!(tdvf(&with(at + 16 + 8, &[9])), Err(FirmwareError::TdvfMetadata(_))));
    let first = at + 32;
    assert_eq!(tdvf(&with(first + 24, &[77])), Err(FirmwareError::UnknownTdvfSection(77)));
    assert!(matches!(tdvf(&with(first + 28, &[3])), Err(FirmwareError::TdvfMetadata(_))));
    assert!(matches!(tdvf(&with(first + 28, &[4])), Err(FirmwareError::TdvfMetadata(_))));
    assert!(matches!(tdvf(&with(first + 24, &[1])), Err(FirmwareError::TdvfMetadata("it has no boot firmware volume"))));
    let overlap = with(first + 32 + 8, &0x80_0000u64.to_le_bytes());
    assert!(matches!(tdvf(&overlap), Err(FirmwareError::TdvfMetadata("two sections overlap in memory"))));
}

#[test]
fn firmware_without_metadata_and_code_without_variables() {
    let none = FirmwareSpec { sev: Vec::new(), tdvf: Vec::new(), ..FirmwareSpec::plain() }.build();
    let footer = none.len() - 32 - 18;
    let mut renamed = none.clone();
    // The metadata entries are the first two of the table: 22 bytes each, before the hash table's 26 and the reset's 22.
    let first = footer - 22 - 26 - 22 - 22;
    renamed[first + 6..first + 22].fill(1);
    renamed[first + 28..first + 44].fill(2);
    let firmware = Firmware::parse(&renamed).unwrap();
    assert_eq!(firmware.sev_metadata().map(|_| ()), Err(FirmwareError::NoSevMetadata));
    assert_eq!(firmware.tdvf_metadata().map(|_| ()), Err(FirmwareError::NoTdvfMetadata));
    assert_eq!(snp::measure(&snp(&renamed, None)).map(|_| ()), Err(FirmwareError::NoSevMetadata.into()));

    // The variable store stands in front; cut it off, and the sections reach past the file.
    let whole = FirmwareSpec::plain().build();
    let profile = boot_profile("qemu-ovmf-2025.02").unwrap();
    let request = tdx::Request { firmware: &whole[4096..], boot: None, profile: &profile, memory: None, acpi: None };
    let expected = FirmwareError::CodeOnly { described: 12288, actual: 8192 };
    assert_eq!(tdx::measure(&request).map(|_| ()), Err(TdxError::Firmware(expected)));
    assert!(tdx::measure(&tdx::Request { firmware: &whole, ..request }).is_ok());
}

#[test]
fn tdx_shapes() {
    let bytes = FirmwareSpec::plain().build();
    let metadata = Firmware::parse(&bytes).unwrap().tdvf_metadata().unwrap();
    for memory in [0, 1, (1 << 20) + 1, 4 << 20, 17 << 40] {
        assert_eq!(tdx::td_hob(&metadata, memory), Err(TdxError::Memory(memory)));
    }
    let kernel = generate::minimal_pe(b"x");
    let boot = Boot::Direct(DirectBoot { kernel: &kernel, initrd: None, cmdline: "" });
    let profile = boot_profile("qemu-7.2-ovmf-2022.11").unwrap();
    let request = tdx::Request { firmware: &bytes, boot: Some(boot), profile: &profile, memory: None, acpi: None };
    assert_eq!(tdx::measure(&request).map(|_| ()), Err(TdxError::NoRtmrs(profile.id.clone())));
}

#[test]
fn pe_images() {
    let parse = |bytes: &[u8]| Pe::parse(bytes).map(|_| ());
    let good = generate::uki(&[(".linux", &[1; 600]), (".initrd", &[2; 600])]);
    assert_eq!(parse(&good), Ok(()));
    // Section headers follow 24 bytes of PE header at 0x80 and 240 of optional header; .linux is the second.
    let optional = 0x80 + 24;
    let linux = optional + 240 + 40;
    let with = |at: usize, value: u32| {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bad
    };
    let field = |offset: usize| u32::from_le_bytes(good[linux + offset..linux + offset + 4].try_into().unwrap());
    let (offset, address) = (field(20), field(12));
    assert!(matches!(parse(b"\x7fELF"), Err(PeError::NotPe(_))));
    assert!(matches!(parse(&good[..0x90]), Err(PeError::Truncated(_))));
    assert_eq!(parse(&with(linux + 20, offset - 512)), Err(PeError::Overlap(".linux".into())));
    assert_eq!(parse(&with(linux + 20, 0)), Err(PeError::Overlap(".linux".into())));
    assert_eq!(parse(&with(linux + 12, address - 8192)), Err(PeError::OverlapInMemory(".linux".into())));
    assert_eq!(parse(&with(linux + 20, u32::MAX)), Err(PeError::SectionOutside(".linux".into())));
    assert_eq!(parse(&good[..good.len() - 1]), Err(PeError::SectionOutside(".initrd".into())));
    assert_eq!(parse(&with(optional + 60, 64)), Err(PeError::Headers));
    assert_eq!(parse(&with(optional + 112 + 36, 9)), Err(PeError::CertificateTable));
    let mut many = good.clone();
    many[0x86] = 97;
    assert_eq!(parse(&many), Err(PeError::TooManySections(97)));
}

#[test]
fn ukis() {
    let refused = |sections: &[(&str, &[u8])]| Uki::parse(&generate::uki(sections)).map(|_| ()).unwrap_err();
    let linux = (".linux", &b"kernel"[..]);
    assert!(Uki::parse(&generate::uki(&[linux])).is_ok());
    assert_eq!(refused(&[linux, linux]), UkiError::Ambiguous(".linux".into()));
    assert_eq!(refused(&[linux, (".initrd2", b"x")]), UkiError::Ambiguous(".initrd".into()));
    assert!(matches!(refused(&[linux, (".pcrsig", b"x")]), UkiError::ExtraInitrd { .. }));
    assert!(matches!(refused(&[linux, (".ucode", b"x")]), UkiError::UnsupportedSection { .. }));

    let bytes = generate::uki(&[(".cmdline", b"\xff")]);
    let uki = Uki::parse(&bytes).unwrap();
    assert_eq!(uki.linux(), Err(UkiError::NoKernel));
    assert_eq!(uki.cmdline(), Err(UkiError::Cmdline));

    let known = generate::uki(&[linux]);
    let magic = known.windows(4).position(|window| window == b"252.").unwrap();
    let mut newer = known.clone();
    newer[magic..magic + 4].copy_from_slice(b"999.");
    assert_eq!(Uki::parse(&newer).map(|_| ()), Err(UkiError::UnknownStub("999.39-1~deb12u2".into())));
    assert_eq!(Uki::parse(&generate::minimal_pe(b"x")).map(|_| ()), Err(UkiError::NoStub));
    let short = {
        let mut bytes = generate::uki(&[linux]);
        let header = 0x80 + 24 + 240 + 40;
        bytes[header + 8..header + 12].copy_from_slice(&513u32.to_le_bytes());
        bytes
    };
    assert_eq!(Uki::parse(&short).unwrap().linux(), Err(UkiError::ShortSection(".linux".into())));
}

#[test]
fn disks() {
    let good = one(generate::disk()).bytes;
    let parse = |bytes: &[u8]| Gpt::parse(bytes).map(|_| ());
    assert_eq!(parse(&good), Ok(()));
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] ^= byte;
        bad
    };
    let described = good.len() as u64;
    assert_eq!(parse(&good[..100]), Err(GptError::NotGpt));
    assert_eq!(parse(&with(512, 1)), Err(GptError::NotGpt));
    assert_eq!(parse(&with(512 + 60, 1)), Err(GptError::HeaderChecksum));
    assert_eq!(parse(&with(1024 + 200, 1)), Err(GptError::EntriesChecksum));
    assert_eq!(parse(&with(good.len() - 512, 1)), Err(GptError::NoBackup));
    let cut = &good[..good.len() - 512];
    assert_eq!(parse(cut), Err(GptError::Cut { described, actual: described - 512 }));
    assert_eq!(Gpt::parse(&good).unwrap().esp().map(|_| ()), Err(GptError::Esp));
    assert!(matches!(fallback_loader(&[0; 4096]), Err(FatError::Damaged(_))));

    let profile = boot_profile("qemu-7.2-ovmf-2022.11").unwrap();
    let request = tpm::Request { boot: Boot::Disk(cut), bank: Algorithm::Sha256, profile: &profile, memory: None };
    assert!(matches!(tpm::measure(&request), Err(BootError::Gpt(GptError::Cut { .. }))));
}

#[test]
fn kernels_whose_header_qemu_would_rewrite() {
    let kernel = one(generate::kernel()).bytes;
    let patch = |kernel: &[u8], line: &str| patch_setup_header(kernel, b"initrd", line, 4 << 30).map(|_| ());
    assert_eq!(patch(&kernel, ""), Ok(()));
    assert_eq!(patch(&kernel, "quiet vga=791"), Err(HeaderError::VideoMode));
    assert_eq!(patch(&kernel[..0x200], ""), Err(HeaderError::NoHeader));
    let mut old = kernel.clone();
    old[0x206] = 0x0b;
    assert_eq!(patch(&old, ""), Err(HeaderError::OldProtocol(0x20b)));
    let tiny = patch_setup_header(&kernel, &[0; 4096], "", 0x2_8000);
    assert_eq!(tiny.map(|_| ()), Err(HeaderError::InitrdTooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Flips of a good file reach deeper than random bytes do.
    #[test]
    fn no_parser_panics(
        seed in 0usize..5,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<proptest::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut bytes = match seed {
            0 => with_sev(&[(0x80_0000, 9, 1), (0x81_0000, 1, 0x10)]),
            1 => generate::uki(&[(".linux", &generate::minimal_pe(b"x")), (".cmdline", b"a b")]),
            2 => one(generate::disk()).bytes,
            3 => one(generate::kernel()).bytes,
            _ => log(),
        };
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let _ = snp::measure(&snp(&bytes, Some(b"kernel")));
        let profile = boot_profile("qemu-ovmf-2025.02").unwrap();
        let direct = Boot::Direct(DirectBoot { kernel: &bytes, initrd: Some(b"i"), cmdline: "a" });
        let request = tdx::Request {
            firmware: &bytes, boot: Some(direct), profile: &profile, memory: Some(1 << 30), acpi: None,
        };
        let _ = tdx::measure(&request);
        for boot in [direct, Boot::Uki(&bytes), Boot::Disk(&bytes)] {
            let request = tpm::Request { boot, bank: Algorithm::Sha384, profile: &profile, memory: None };
            let _ = tpm::measure(&request);
        }
        if let Ok(log) = EventLog::parse(&bytes) {
            let _ = log.replay(Algorithm::Sha384);
        }
        let _ = fallback_loader(&bytes);
    }
}

/// A small log: header with one bank, a separator, an action.
fn log() -> Vec<u8> {
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 12, 0, 48, 0, 0]].concat();
    let mut bytes = [&0u32.to_le_bytes()[..], &3u32.to_le_bytes(), &[0; 20]].concat();
    bytes.extend((spec.len() as u32).to_le_bytes());
    bytes.extend(spec);
    for (kind, data) in [(4u32, &[0u8; 4][..]), (0x8000_0007, b"Exit Boot Services Invocation")] {
        for word in [4, kind, 1] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([12, 0]);
        bytes.extend(Algorithm::Sha384.hash(data).as_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
    }
    bytes
}
