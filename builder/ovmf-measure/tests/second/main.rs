//! The second calculation: everything that is pinned, computed once more from the specifications, with none of the
//! crate's code, and compared on random inputs.
//!
//! `simple.rs` is deliberately naive: tables, indexing, no error handling. `generate.rs` makes the inputs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

mod generate;
mod simple;

use generate::{FirmwareSpec, SevEntry, TdvfEntry};
use ovmf_measure::boot::{self, Boot, PageOrder};
use ovmf_measure::digest::Algorithm;
use ovmf_measure::firmware::Firmware;
use ovmf_measure::gpt::Gpt;
use ovmf_measure::pe::{Pe, authenticode};
use ovmf_measure::snp::{self, CPU_MODELS, DirectBoot};
use ovmf_measure::{tdx, tpm};
use proptest::prelude::*;

fn cmdline() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{0,60}", "[a-zäß€ =]{1,20}"]
        .prop_filter("QEMU evaluates it", |line| !line.contains("vga="))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn snp_launch_digest(
        spec in generate::firmware(),
        kernel in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        initrd in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        line in cmdline(),
        vcpus in 1u32..513,
        model in proptest::sample::select(CPU_MODELS),
        features in prop_oneof![Just(1u64), Just(0x21), any::<u64>().prop_map(|n| n | 1)],
        vmm in proptest::sample::select(&["qemu", "ec2", "gce", "gce-52bit"][..]),
    ) {
        let firmware = spec.build();
        let kernel = kernel.filter(|_| spec.sev.iter().any(|entry| entry.kind == 0x10));
        let direct = kernel.as_ref().map(|kernel| DirectBoot { kernel, initrd: initrd.as_deref(), cmdline: &line });
        let request = snp::Request {
            firmware: &firmware, boot: direct, vcpu_type: model.name, guest_features: features, vmm,
        };
        let launch = snp::measure(&request).unwrap();
        let hashes = kernel.as_ref().map(|kernel| {
            (kernel.as_slice(), initrd.as_deref().unwrap_or_default(), line.as_str())
        });
        let expected = simple::snp(&firmware, &spec.sev, spec.ap_reset, hashes, spec.hash_table, vcpus, model.name,
                                   features, vmm);
        let digest = launch.digest_for(vcpus).unwrap();
        prop_assert_eq!(digest.as_bytes(), &expected[..]);
        let folded = launch.transcript(vcpus).unwrap().registers().unwrap();
        prop_assert_eq!(folded.into_values().next().unwrap(), vec![digest]);
    }

    #[test]
    fn mrtd(spec in generate::firmware(), add_then_extend in any::<bool>()) {
        let bytes = spec.build();
        let order = if add_then_extend { PageOrder::AddThenExtend } else { PageOrder::PerPage };
        let digest = tdx::mrtd(&Firmware::parse(&bytes).unwrap(), order).unwrap();
        prop_assert_eq!(digest.as_bytes(), &simple::mrtd(&bytes, &spec.tdvf, add_then_extend)[..]);
    }

    #[test]
    fn authenticode_digest(pe in generate::pe()) {
        let image = Pe::parse(&pe.bytes).unwrap();
        for (bank, sha384) in [(Algorithm::Sha256, false), (Algorithm::Sha384, true)] {
            let digest = authenticode(&image, bank);
            prop_assert_eq!(digest.as_bytes(), &simple::authenticode(&pe, sha384)[..]);
        }
    }

    #[test]
    fn gpt_event(disk in generate::disk()) {
        let event = Gpt::parse(&disk.bytes).unwrap().event();
        prop_assert_eq!(event, simple::gpt_event(&disk));
    }

    #[test]
    fn td_hob(gib in 1u64..2000, extra in 0u64..1024) {
        let spec = FirmwareSpec::plain();
        let bytes = spec.build();
        let metadata = Firmware::parse(&bytes).unwrap().tdvf_metadata().unwrap();
        let memory = (gib << 30) + (extra << 20);
        prop_assert_eq!(tdx::td_hob(&metadata, memory).unwrap(), simple::td_hob(&spec.tdvf, memory));
    }

    #[test]
    fn direct_boot(
        kernel in generate::kernel(),
        initrd in proptest::collection::vec(any::<u8>(), 0..10_000),
        line in cmdline(),
        profile in 0usize..6,
        mib in 64u64..6000,
        sha384 in any::<bool>(),
    ) {
        let profile = &boot::boot_profiles()[profile];
        let direct = Boot::Direct(DirectBoot { kernel: &kernel.bytes, initrd: Some(&initrd), cmdline: &line });
        let bank = if sha384 { Algorithm::Sha384 } else { Algorithm::Sha256 };
        let request = tpm::Request { boot: direct, bank, profile, memory: Some(mib << 20) };
        let values = tpm::measure(&request).unwrap().registers().unwrap();
        let ours: Vec<(String, Vec<Vec<u8>>)> = values
            .into_iter()
            .map(|(register, values)| (register.to_string(), values.iter().map(|v| v.as_bytes().to_vec()).collect()))
            .collect();
        prop_assert_eq!(ours, simple::direct_boot_pcrs(&kernel, &initrd, &line, &profile.id, mib << 20, sha384));
    }
}

#[test]
fn the_two_know_the_same_profiles() {
    let ids: Vec<String> = boot::boot_profiles().into_iter().map(|profile| profile.id).collect();
    assert_eq!(ids, simple::PROFILES.map(|profile| profile.0));
}

/// systemd's own test of `systemd-measure` (TEST-70-TPM2): the PCR 11 of two sections.
#[test]
fn pcr_11_known_answer_of_systemd() {
    let uki = generate::uki(&[(".linux", b"HALLO\n"), (".initrd", b"foobar\n")]);
    let uki = ovmf_measure::pe::Uki::parse(&uki).unwrap();
    let mut value = Algorithm::Sha256.zero();
    for name in &uki.stub.stub_sections {
        if let Some(data) = uki.section(name).unwrap() {
            let name = Algorithm::Sha256.hash(&[name.as_bytes(), &[0]].concat());
            value = value.extend(&name).extend(&Algorithm::Sha256.hash(data));
        }
    }
    assert_eq!(value.to_string(), "37b48bd0b222394dbe3cceff2fca4660c4b0a90ae9369ec90b42f14489989c13");
}

#[test]
fn a_whole_uki_boot() {
    let kernel = generate::minimal_pe(b"kernel");
    let uki = generate::uki(&[
        (".initrd", b"initrd"),
        (".linux", &kernel),
        (".cmdline", b"console=ttyS0\tx \n\0garbage"),
        (".osrel", b"ID=x\n"),
    ]);
    let profile = boot::boot_profile("qemu-7.2-ovmf-2022.11").unwrap();
    for sha384 in [false, true] {
        let bank = if sha384 { Algorithm::Sha384 } else { Algorithm::Sha256 };
        let request = tpm::Request { boot: Boot::Uki(&uki), bank, profile: &profile, memory: None };
        let values = tpm::measure(&request).unwrap().registers().unwrap();
        let h = |data: &[u8]| simple::hash(sha384, data);
        let fold = |digests: &[Vec<u8>]| simple::fold(sha384, digests);
        let pcr11 = fold(&[
            h(b".linux\0"),
            h(&kernel),
            h(b".osrel\0"),
            h(b"ID=x\n"),
            h(b".cmdline\0"),
            h(b"console=ttyS0\tx \n\0garbage"),
            h(b".initrd\0"),
            h(b"initrd"),
        ]);
        // The tab became a blank, blank and newline at the end went, the NUL ended it.
        let pcr9 = fold(&[h(&simple::utf16("console=ttyS0 x")), h(b"initrd")]);
        for (register, expected) in [(11, pcr11), (9, pcr9), (12, vec![0; bank.size()])] {
            let register = ovmf_measure::transcript::Register::Pcr(register);
            assert_eq!(values[&register][0].as_bytes(), expected, "{register}");
        }
    }
}

/// The generator must reach the odd shapes, or the properties above prove little.
#[test]
fn the_generator_covers_zero_size_sections_and_hash_pages() {
    let entry = SevEntry { gpa: 0, pages: 0, kind: 1 };
    let with_zero = FirmwareSpec { sev: vec![entry], ..FirmwareSpec::plain() };
    assert!(
        snp::measure(&snp::Request {
            firmware: &with_zero.build(),
            boot: None,
            vcpu_type: "EPYC",
            guest_features: 1,
            vmm: "qemu",
        })
        .is_ok()
    );
    let tail = TdvfEntry { offset: 0, size: 4096, gpa: 0x100_0000, memory: 8192, kind: 3, attributes: 1 };
    let mut spec = FirmwareSpec::plain();
    spec.tdvf.push(tail);
    let bytes = spec.build();
    let digest = tdx::mrtd(&Firmware::parse(&bytes).unwrap(), PageOrder::PerPage).unwrap();
    assert_eq!(digest.as_bytes(), simple::mrtd(&bytes, &spec.tdvf, false));
}
