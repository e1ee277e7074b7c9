//! A pin and a configuration that all samples share.

use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::snp::{PageInfo, PageType, vmm_profile};
use ovmf_measure::transcript::{ControlledBy, Event, Input, Kind, Op, Register, Source as From, registers};
use serde_json::{Value, json};

use crate::canonical;
use crate::hex::{Bytes, Sha256};
use crate::pin::*;

/// The nonce of all samples.
pub(super) const NONCE: [u8; 32] = [0x4e; 32];

/// The configuration, as the machine says it.
pub(super) fn config() -> Value {
    json!({
        "attestation": "required", "image": {"name": "inference", "version": "0.1.0"},
        "models": [{"file": "model.gguf", "name": "tiny", "required": true, "root": Sha256::of(b"root"),
                    "salt": Sha256::of(b"salt"), "size": 8192}],
        "network": {"address": "dhcp", "port": 8080}, "schema": "sealstone/config/v1"
    })
}

/// A document in canonical form.
pub(super) fn text(value: &Value) -> String {
    canonical::write(value)
}

fn event(register: Register, kind: Kind, op: Op, digest: Digest, input: Input) -> Event {
    let source = From { input, how: format!("{input:?} of a test") };
    Event { register, kind, op, digest, or: Vec::new(), size: None, source, controlled_by: ControlledBy::Image }
}

fn sha384(text: &str) -> Digest {
    Algorithm::Sha384.hash(text.as_bytes())
}

fn named(name: &str) -> NamedFile {
    NamedFile { name: name.into(), sha256: Sha256::of(name.as_bytes()), size: 7 }
}

fn snp() -> SnpProfile {
    let gpa = vmm_profile("qemu").unwrap().vmsa_gpa();
    let page = |page_type, gpa, step| Op::SnpPages(PageInfo { page_type, gpa, step, count: 1 });
    let launch = |kind, op, digest, input| event(Register::Launch, kind, op, digest, input);
    let before = vec![
        launch(Kind::Firmware, Op::Set, sha384("firmware"), Input::Firmware),
        launch(Kind::KernelHashes, page(PageType::Normal, 0x81_0000, 4096), sha384("hashes"), Input::Kernel),
    ];
    let pre_vmsa = registers(&before).unwrap()[&Register::Launch][0];
    let (bsp_vmsa, ap_vmsa) = (sha384("bsp"), sha384("ap"));
    let vmsa = |digest| launch(Kind::Vmsa, page(PageType::Vmsa, gpa, 0), digest, Input::VcpuType);
    SnpProfile {
        id: "snp-EPYC-v4".into(),
        firmware: named("OVMF.amdsev.fd"),
        vmm: "qemu".into(),
        params: SnpParams { vcpu_type: "EPYC-v4".into(), guest_features: 1 },
        launch: SnpLaunch { pre_vmsa, bsp_vmsa, ap_vmsa, by_vcpus: Default::default() },
        events: before.into_iter().chain([vmsa(bsp_vmsa), vmsa(ap_vmsa)]).collect(),
    }
}

fn tdx() -> TdxProfile {
    let extend = |number, text, input| event(Register::Rtmr(number), Kind::EventTag, Op::Extend, sha384(text), input);
    let events = vec![
        event(Register::Mrtd, Kind::TdBuild, Op::Set, sha384("td"), Input::Firmware),
        extend(1, "kernel", Input::Kernel),
        extend(2, "cmdline", Input::Cmdline),
        extend(2, "initrd", Input::Initrd),
        event(Register::Rtmr(3), Kind::Untouched, Op::Set, Algorithm::Sha384.zero(), Input::Constant),
    ];
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
            kernel_header: vec![KernelHeader::Raw],
            memory_mib: vec![],
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
    let extend = |number, text: &str, input| {
        event(Register::Pcr(number), Kind::EventTag, Op::Extend, Algorithm::Sha256.hash(text.as_bytes()), input)
    };
    let events = vec![
        extend(4, "kernel", Input::Kernel),
        extend(9, "cmdline", Input::Cmdline),
        extend(9, "initrd", Input::Initrd),
        event(Register::Pcr(8), Kind::Untouched, Op::Set, Algorithm::Sha256.zero(), Input::Constant),
    ];
    let pcr = |(register, values)| match register {
        Register::Pcr(number) => (PcrIndex::new(number).unwrap(), values),
        other => panic!("{other}"),
    };
    TpmProfile {
        id: "tpm".into(),
        firmware: Firmware::File(named("OVMF_CODE_4M.fd")),
        vmm: "qemu".into(),
        params: TpmParams {
            boot: Boot::Direct,
            behaviour: "qemu-7.2-ovmf-2022.11".into(),
            kernel_header: vec![KernelHeader::Raw],
            memory_mib: vec![],
        },
        launch: TpmLaunch {
            bank: Algorithm::Sha256,
            pcrs: registers(&events).unwrap().into_iter().map(pcr).collect(),
            unpinned: vec![0, 7],
        },
        events,
    }
}

/// The pin's contents.
pub(super) fn contents() -> Contents {
    let file = |bytes: &[u8]| File::of(bytes);
    Contents {
        schema: SCHEMA.into(),
        image: Image {
            name: "inference".into(),
            version: "0.1.0".into(),
            kernel: file(b"kernel"),
            initrd: file(b"initrd"),
            cmdline: "console=ttyS0".into(),
            uki: file(b"uki"),
            disk: file(b"disk"),
        },
        source: Source { spec_sha256: Sha256::of(b"spec"), lock_sha256: Sha256::of(b"lock") },
        models: vec![Model {
            name: "tiny".into(),
            root: Sha256::of(b"root"),
            salt: Bytes::new(*Sha256::of(b"salt").as_bytes()),
            size: 8192,
        }],
        profiles: vec![Profile::Snp(snp()), Profile::Tdx(tdx()), Profile::Tpm(tpm())],
        validity: None,
        supersedes: None,
    }
}

/// The pin's text.
pub(super) fn pin() -> String {
    Pin::new(contents()).unwrap().to_text()
}

/// The launch digest of a machine with so many vCPUs.
pub(super) fn launch(vcpus: u32) -> [u8; 48] {
    match snp().launch_digest(vcpus).unwrap() {
        Digest::Sha384(bytes) => bytes,
        other => panic!("{other}"),
    }
}

/// Registers of the TDX profile: MRTD, RTMR0 to RTMR3.
pub(super) fn td_registers() -> [[u8; 48]; 5] {
    let values = registers(&tdx().events).unwrap();
    let of = |register| match values.get(&register).map(|values| values[0]) {
        Some(Digest::Sha384(bytes)) => bytes,
        // Left open by the pin.
        _ => [0x77; 48],
    };
    [Register::Mrtd, Register::Rtmr(0), Register::Rtmr(1), Register::Rtmr(2), Register::Rtmr(3)].map(of)
}
