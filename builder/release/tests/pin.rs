//! `pin.json` from outside: round trips, one id for one meaning, and every damage refused by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

use std::collections::BTreeMap;

use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::snp::{PageInfo, PageType, vmm_profile};
use ovmf_measure::transcript::{Alternative, ControlledBy, Event, Input, Kind, Op, Register, Source as From, registers};
use proptest::prelude::*;
use sealstone_release::hex::{Bytes, Sha256};
use sealstone_release::pin::*;
use serde_json::{Value, json};
use sha2::Digest as _;

fn event(register: Register, kind: Kind, op: Op, digest: Digest) -> Event {
    let source = From { input: Input::Constant, how: "a test".into() };
    Event { register, kind, op, digest, or: Vec::new(), size: None, source, controlled_by: ControlledBy::Image }
}

fn extend(register: Register, fill: u8) -> Event {
    let algorithm = if matches!(register, Register::Pcr(_)) { Algorithm::Sha256 } else { Algorithm::Sha384 };
    event(register, Kind::EventTag, Op::Extend, algorithm.hash(&[fill]))
}

/// The launch digest after one page, by the firmware ABI's text alone: SHA-384 over the 112 bytes of PAGE_INFO.
fn page(before: &[u8], contents: &[u8], kind: u8, gpa: u64) -> Digest {
    let info = [before, contents, &0x70u16.to_le_bytes(), &[kind, 0, 0, 0, 0, 0], &gpa.to_le_bytes()].concat();
    assert_eq!(info.len(), 0x70);
    Digest::Sha384(sha2::Sha384::digest(info).into())
}

fn named(name: &str) -> NamedFile {
    NamedFile { name: name.into(), sha256: Sha256::of(name.as_bytes()), size: 7 }
}

fn snp() -> SnpProfile {
    let sha384 = |byte| Algorithm::Sha384.hash(&[byte]);
    let (firmware, hashes, bsp, ap) = (sha384(1), sha384(2), sha384(3), sha384(4));
    let gpa = vmm_profile("qemu").unwrap().vmsa_gpa();
    assert_eq!(gpa, 0xffff_ffff_f000);
    let vmsa = Op::SnpPages(PageInfo { page_type: PageType::Vmsa, gpa, step: 0, count: 1 });
    let normal = Op::SnpPages(PageInfo { page_type: PageType::Normal, gpa: 0x81_0000, step: 4096, count: 1 });
    let pre_vmsa = page(firmware.as_bytes(), hashes.as_bytes(), 1, 0x81_0000);
    let one = page(pre_vmsa.as_bytes(), bsp.as_bytes(), 2, gpa);
    let two = page(one.as_bytes(), ap.as_bytes(), 2, gpa);
    let three = page(two.as_bytes(), ap.as_bytes(), 2, gpa);
    let count = |number| VcpuCount::new(number).unwrap();
    SnpProfile {
        id: "snp-EPYC-Milan".into(),
        firmware: named("OVMF.amdsev.fd"),
        vmm: "qemu".into(),
        params: SnpParams { vcpu_type: "EPYC-Milan".into(), guest_features: 1 },
        launch: SnpLaunch { pre_vmsa, bsp_vmsa: bsp, ap_vmsa: ap, by_vcpus: [(count(1), one), (count(3), three)].into() },
        events: vec![
            event(Register::Launch, Kind::Firmware, Op::Set, firmware),
            event(Register::Launch, Kind::KernelHashes, normal, hashes),
            event(Register::Launch, Kind::Vmsa, vmsa, bsp),
            event(Register::Launch, Kind::Vmsa, vmsa, ap),
        ],
    }
}

fn tdx() -> TdxProfile {
    let mrtd = event(Register::Mrtd, Kind::TdBuild, Op::Set, Algorithm::Sha384.hash(b"td"));
    let mut kernel = extend(Register::Rtmr(1), 1);
    kernel.or.push(Alternative { digest: Algorithm::Sha384.hash(b"patched"), when: "QEMU rewrote the header".into() });
    let untouched = event(Register::Rtmr(3), Kind::Untouched, Op::Set, Algorithm::Sha384.zero());
    let events = vec![mrtd, kernel, extend(Register::Rtmr(1), 2), extend(Register::Rtmr(2), 3), untouched];
    let mut values = registers(&events).unwrap();
    let mut take = |register| values.remove(&register);
    TdxProfile {
        id: "tdx".into(),
        firmware: named("OVMF.inteltdx.fd"),
        vmm: "qemu".into(),
        params: TdxParams {
            boot: Boot::Direct,
            behaviour: "qemu-ovmf-2025.02".into(),
            page_order: PageOrder::Page,
            kernel_header: vec![KernelHeader::Raw, KernelHeader::Patched],
            memory_mib: vec![4096],
        },
        launch: TdxLaunch {
            mrtd: take(Register::Mrtd).unwrap(),
            rtmr0: None,
            rtmr1: take(Register::Rtmr(1)),
            rtmr2: take(Register::Rtmr(2)),
            rtmr3: take(Register::Rtmr(3)),
        },
        events,
    }
}

fn tpm() -> TpmProfile {
    let events = vec![extend(Register::Pcr(4), 1), extend(Register::Pcr(9), 2), extend(Register::Pcr(4), 3)];
    let pcr = |(register, values)| match register {
        Register::Pcr(number) => (PcrIndex::new(number).unwrap(), values),
        other => panic!("{other}"),
    };
    let pcrs = registers(&events).unwrap().into_iter().map(pcr).collect();
    TpmProfile {
        id: "tpm".into(),
        firmware: Firmware::Packaged(PackagedFile {
            name: "OVMF_CODE_4M.fd".into(),
            package: "ovmf".into(),
            version: "2022.11-6+deb12u2".into(),
            package_sha256: Sha256::of(b"deb"),
            path: "usr/share/OVMF/OVMF_CODE_4M.fd".into(),
        }),
        vmm: "qemu".into(),
        params: TpmParams {
            boot: Boot::Disk,
            behaviour: "qemu-7.2-ovmf-2022.11".into(),
            kernel_header: vec![],
            memory_mib: vec![],
        },
        launch: TpmLaunch { bank: Algorithm::Sha256, pcrs, unpinned: vec![0, 7] },
        events,
    }
}

fn contents() -> Contents {
    let file = |bytes: &[u8]| File::of(bytes);
    Contents {
        schema: SCHEMA.into(),
        image: Image {
            name: "inference".into(),
            version: "0.1.0".into(),
            kernel: file(b"kernel"),
            initrd: file(b"initrd"),
            cmdline: "console=ttyS0 name=\u{e9}".into(),
            uki: file(b"uki"),
            disk: file(b"disk"),
        },
        source: Source { spec_sha256: Sha256::of(b"spec"), lock_sha256: Sha256::of(b"lock") },
        models: vec![Model { name: "tiny".into(), root: Sha256::of(b"root"), salt: Bytes::new([7; 32]), size: 4096 }],
        profiles: vec![Profile::Snp(snp()), Profile::Tdx(tdx()), Profile::Tpm(tpm())],
        validity: None,
        supersedes: None,
    }
}

fn pin() -> Pin {
    Pin::new(contents()).unwrap()
}

#[test]
fn reads_back_what_it_writes() {
    let pin = pin();
    for text in [pin.to_text(), pin.canonical()] {
        let again = Pin::parse(&text).unwrap();
        assert_eq!(again, pin);
        assert_eq!(again.to_text(), pin.to_text());
        assert_eq!(again.id(), pin.id());
    }
    assert_eq!(pin.id(), Sha256::of(pin.canonical().as_bytes()));
    let mut released = contents();
    released.validity = Some(Validity {
        not_before: "2026-07-11T10:16:37Z".parse().unwrap(),
        not_after: "2027-07-11T00:00:00Z".parse().unwrap(),
    });
    released.supersedes = Some(pin.id());
    let released = Pin::new(released).unwrap();
    assert_eq!(Pin::parse(&released.to_text()).unwrap(), released);
    assert_ne!(released.id(), pin.id());
}

#[test]
fn any_number_of_vcpus_follows_from_three_digests() {
    let profile = snp();
    let launch = &profile.launch;
    let mut value = launch.pre_vmsa;
    for vcpus in 1..=9 {
        let contents = if vcpus == 1 { launch.bsp_vmsa } else { launch.ap_vmsa };
        value = page(value.as_bytes(), contents.as_bytes(), 2, 0xffff_ffff_f000);
        assert_eq!(profile.launch_digest(vcpus).unwrap(), value, "{vcpus}");
    }
    assert!(profile.launch_digest(0).is_err());
    assert!(profile.launch_digest(4097).is_err());
}

#[test]
fn unknown_profiles_are_listed() {
    assert_eq!(pin().profile("tdx").unwrap().tee(), "tdx");
    assert_eq!(
        pin().profile("tpm3").unwrap_err().to_string(),
        "the pin has no profile \"tpm3\"; it has: snp-EPYC-Milan, tdx, tpm"
    );
}

/// A pin's JSON with one thing changed, and what the refusal must say.
type Damage = (&'static str, fn(&mut Value), &'static str);

const ZERO48: &str = "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn each_damage_is_refused_by_name() {
    let cases: &[Damage] = &[
        ("other schema", |v| v["schema"] = json!("sealstone/pin/v2"), "sealstone/pin/v2"),
        ("no schema", |v| drop(v.as_object_mut().unwrap().remove("schema")), "`schema` is missing, not"),
        ("unknown field", |v| v["extra"] = json!(1), "unknown field `extra`"),
        ("unknown field below", |v| v["image"]["extra"] = json!(1), "unknown field `extra`"),
        ("unknown field of a profile", |v| v["profiles"][0]["extra"] = json!(1), "unknown field `extra`"),
        ("unknown field of an event", |v| v["profiles"][1]["events"][0]["extra"] = json!(1), "unknown field `extra`"),
        ("unknown field of launch", |v| v["profiles"][2]["launch"]["extra"] = json!(1), "unknown field `extra`"),
        ("missing field", |v| drop(v["image"].as_object_mut().unwrap().remove("uki")), "missing field `uki`"),
        (
            "missing although it may be null",
            |v| drop(v.as_object_mut().unwrap().remove("supersedes")),
            "missing field `supersedes`",
        ),
        (
            "missing register",
            |v| drop(v["profiles"][1]["launch"].as_object_mut().unwrap().remove("rtmr0")),
            "missing field `rtmr0`",
        ),
        ("upper-case hex", |v| upper(&mut v["image"]["kernel"]["sha256"]), "64 lower-case hexadecimal digits"),
        ("short digest", |v| v["source"]["lock_sha256"] = json!("00"), "64 lower-case hexadecimal digits"),
        ("upper-case register", |v| upper(&mut v["profiles"][1]["launch"]["mrtd"][0]), "lower-case hex"),
        ("negative size", |v| v["image"]["disk"]["size"] = json!(-1), "invalid value"),
        ("size beyond 2^53", |v| v["image"]["disk"]["size"] = json!(1u64 << 53), "beyond"),
        ("fraction", |v| v["image"]["disk"]["size"] = json!(1.0), "without fractions"),
        ("name with a slash", |v| v["image"]["name"] = json!("../x"), "image.name"),
        ("NUL in the command line", |v| v["image"]["cmdline"] = json!("a\0b"), "image.cmdline"),
        ("unknown tee", |v| v["profiles"][0]["tee"] = json!("sgx"), "unknown variant `sgx`"),
        ("two profiles of one name", |v| v["profiles"][1]["id"] = json!("tpm"), "tpm is listed twice"),
        ("two models of one name", |v| double(&mut v["models"]), "tiny is listed twice"),
        (
            "validity backwards",
            |v| v["validity"] = json!({"not_before": "2027-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"}),
            "ends before",
        ),
        (
            "validity in local time",
            |v| v["validity"] = json!({"not_before": "2027-01-01", "not_after": "2026-01-01"}),
            "not a moment",
        ),
        ("unknown VMM", |v| v["profiles"][0]["vmm"] = json!("xen"), "no VMM whose launch is known"),
        ("pre_vmsa", |v| flip(&mut v["profiles"][0]["launch"]["pre_vmsa"]), "launch.pre_vmsa"),
        ("bsp_vmsa", |v| flip(&mut v["profiles"][0]["launch"]["bsp_vmsa"]), "launch.bsp_vmsa"),
        ("ap_vmsa", |v| flip(&mut v["profiles"][0]["launch"]["ap_vmsa"]), "launch.ap_vmsa"),
        ("by_vcpus", |v| flip(&mut v["profiles"][0]["launch"]["by_vcpus"]["3"]), "launch.by_vcpus.3"),
        ("vCPUs spelled oddly", |v| respell(&mut v["profiles"][0]["launch"]["by_vcpus"], "3", "03"), "number of vCPUs"),
        ("no vCPU", |v| respell(&mut v["profiles"][0]["launch"]["by_vcpus"], "3", "0"), "number of vCPUs"),
        ("an SNP event's digest", |v| flip(&mut v["profiles"][0]["events"][1]["digest"]), "launch.pre_vmsa"),
        (
            "an SNP event's address",
            |v| v["profiles"][0]["events"][1]["op"]["snp_pages"]["gpa"] = json!(0x82_0000),
            "launch.pre_vmsa",
        ),
        (
            "an SNP event's page type",
            |v| v["profiles"][0]["events"][1]["op"]["snp_pages"]["type"] = json!("zero"),
            "launch.pre_vmsa",
        ),
        ("VMSA at another address", |v| v["profiles"][0]["events"][2]["op"]["snp_pages"]["gpa"] = json!(0), "VMSAs of two vCPUs"),
        ("a VMSA less", |v| drop(v["profiles"][0]["events"].as_array_mut().unwrap().pop()), "VMSAs of two vCPUs"),
        ("no SNP events", |v| v["profiles"][0]["events"] = json!([]), "VMSAs of two vCPUs"),
        ("mrtd", |v| flip(&mut v["profiles"][1]["launch"]["mrtd"][0]), "launch says"),
        ("mrtd of no value", |v| v["profiles"][1]["launch"]["mrtd"] = json!([]), "launch says nothing for mrtd"),
        (
            "rtmr0 pinned without events",
            |v| v["profiles"][1]["launch"]["rtmr0"] = json!([ZERO48]),
            "for rtmr0, its events give nothing",
        ),
        (
            "rtmr1 with one value more",
            |v| v["profiles"][1]["launch"]["rtmr1"].as_array_mut().unwrap().push(json!(ZERO48)),
            "for rtmr1",
        ),
        ("rtmr1 with one value less", |v| drop(v["profiles"][1]["launch"]["rtmr1"].as_array_mut().unwrap().pop()), "for rtmr1"),
        ("rtmr2 left open with events", |v| v["profiles"][1]["launch"]["rtmr2"] = Value::Null, "says nothing for rtmr2"),
        ("rtmr3", |v| flip(&mut v["profiles"][1]["launch"]["rtmr3"][0]), "for rtmr3"),
        (
            "an event of another algorithm",
            |v| v["profiles"][1]["events"][2]["digest"] = json!("00".repeat(32)),
            "not all of the register's algorithm",
        ),
        ("an event's register", |v| v["profiles"][1]["events"][3]["register"] = json!("rtmr9"), "unknown register"),
        (
            "direct boot without a header",
            |v| v["profiles"][1]["params"]["kernel_header"] = json!([]),
            "at least one kernel_header",
        ),
        ("patched without memory", |v| v["profiles"][1]["params"]["memory_mib"] = json!([]), "memory_mib goes with"),
        ("memory from disk", |v| v["profiles"][2]["params"]["memory_mib"] = json!([1]), "empty for a boot from disk"),
        ("a PCR", |v| flip(&mut v["profiles"][2]["launch"]["pcrs"]["9"][0]), "for pcr9"),
        (
            "a PCR without events",
            |v| v["profiles"][2]["launch"]["pcrs"]["5"] = json!(["00".repeat(32)]),
            "for pcr5, its events give nothing",
        ),
        (
            "a PCR less",
            |v| drop(v["profiles"][2]["launch"]["pcrs"].as_object_mut().unwrap().remove("4")),
            "launch says nothing for pcr4",
        ),
        ("a PCR spelled oddly", |v| respell(&mut v["profiles"][2]["launch"]["pcrs"], "9", "09"), "number of a PCR"),
        ("a PCR that isn't", |v| respell(&mut v["profiles"][2]["launch"]["pcrs"], "9", "24"), "number of a PCR"),
        ("both pinned and not", |v| v["profiles"][2]["launch"]["unpinned"] = json!([4]), "has PCR 4, which is pinned as well"),
        ("unpinned out of order", |v| v["profiles"][2]["launch"]["unpinned"] = json!([7, 0]), "each once, in order"),
        ("unpinned twice", |v| v["profiles"][2]["launch"]["unpinned"] = json!([7, 7]), "each once, in order"),
        ("another bank", |v| v["profiles"][2]["launch"]["bank"] = json!("sha384"), "for pcr4"),
        ("an unknown bank", |v| v["profiles"][2]["launch"]["bank"] = json!("sha1"), "unknown variant `sha1`"),
        (
            "firmware of neither form",
            |v| drop(v["profiles"][2]["firmware"].as_object_mut().unwrap().remove("path")),
            "firmware is neither",
        ),
        ("firmware of both forms", |v| v["profiles"][2]["firmware"]["size"] = json!(1), "firmware is neither"),
        (
            "an event in another spelling",
            |v| v["profiles"][2]["events"][0]["size"] = Value::Null,
            "in another way than its canonical form",
        ),
        ("empty alternatives", |v| v["profiles"][2]["events"][0]["or"] = json!([]), "in another way than its canonical form"),
    ];
    let good: Value = serde_json::from_str(&pin().to_text()).unwrap();
    Pin::parse(&good.to_string()).unwrap();
    for (what, damage, says) in cases {
        let mut bad = good.clone();
        damage(&mut bad);
        assert_ne!(bad, good, "{what}: nothing was damaged");
        match Pin::parse(&bad.to_string()) {
            Err(error) => assert!(error.to_string().contains(says), "{what}: {error}"),
            Ok(_) => panic!("{what}: not refused"),
        }
    }
}

#[test]
fn damage_that_a_value_cannot_show_is_refused_too() {
    let text = pin().canonical();
    for (what, bad, says) in [
        ("a field twice", text.replacen("\"schema\":", "\"schema\":\"sealstone/pin/v1\",\"schema\":", 1), "stands twice"),
        ("a vCPU count twice", text.replacen("\"by_vcpus\":{", "\"by_vcpus\":{\"1\":\"00\",", 1), "stands twice"),
        ("the technology twice", text.replacen("\"tee\":", "\"tee\":\"tdx\",\"tee\":", 1), "stands twice"),
        ("cut", text[..text.len() - 1].to_owned(), "EOF"),
        ("more behind it", format!("{text}{{}}"), "trailing"),
        ("not JSON", "pin".to_owned(), "not a pin"),
        ("a list", "[]".to_owned(), "`schema` is missing, not"),
        ("too long", " ".repeat(MAX_TEXT + 1), "the most is"),
    ] {
        let error = Pin::parse(&bad).unwrap_err().to_string();
        assert!(error.contains(says), "{what}: {error}");
    }
}

fn upper(value: &mut Value) {
    *value = json!(value.as_str().unwrap().to_uppercase());
}

/// Changes the first digit of a hex string.
fn flip(value: &mut Value) {
    let text = value.as_str().unwrap();
    let digit = if text.starts_with('0') { '1' } else { '0' };
    *value = json!(format!("{digit}{}", &text[1..]));
}

fn double(value: &mut Value) {
    let first = value[0].clone();
    value.as_array_mut().unwrap().push(first);
}

fn respell(value: &mut Value, from: &str, to: &str) {
    let map = value.as_object_mut().unwrap();
    let moved = map.remove(from).unwrap();
    map.insert(to.into(), moved);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a pin says, reading its text gives the same pin and the same id.
    #[test]
    fn round_trip(
        (name, version, cmdline) in ("[a-z][a-z0-9._-]{0,20}", "[0-9]{1,3}(\\.[0-9]{1,3}){2}", "[^\\p{Cc}]{0,60}"),
        fills in prop::collection::vec((0u8..24, any::<u8>()), 1..12),
        size in 0u64..=(1 << 53) - 1,
        words in prop::collection::vec(any::<String>(), 12),
    ) {
        let mut contents = contents();
        (contents.image.name, contents.image.version, contents.image.cmdline) = (name, version, cmdline);
        contents.image.disk.size = size;
        let mut profile = tpm();
        profile.events = fills.iter().zip(&words).map(|((pcr, fill), how)| {
            let mut event = extend(Register::Pcr(*pcr), *fill);
            event.source.how.clone_from(how);
            event
        }).collect();
        let mut pcrs = BTreeMap::new();
        for (register, values) in registers(&profile.events).unwrap() {
            if let Register::Pcr(number) = register {
                pcrs.insert(PcrIndex::new(number).unwrap(), values);
            }
        }
        profile.launch.unpinned = (0..24).filter(|number| !pcrs.contains_key(&PcrIndex::new(*number).unwrap())).collect();
        profile.launch.pcrs = pcrs;
        contents.profiles = vec![Profile::Tpm(profile)];
        let pin = Pin::new(contents).unwrap();
        let again = Pin::parse(&pin.to_text()).unwrap();
        prop_assert_eq!(&again, &pin);
        prop_assert_eq!(again.id(), Pin::parse(&pin.canonical()).unwrap().id());
    }
}
