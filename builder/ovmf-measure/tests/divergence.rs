//! `first_divergence`: from a log that agrees, change one thing at a time and expect its name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests read vectors and ask oracles, and failing loudly is right"
)]

use ovmf_measure::boot::{Boot, boot_profile};
use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::{Cause, EventLog, first_divergence};
use ovmf_measure::snp::{self, DirectBoot, Expected, Request};
use ovmf_measure::tpm;
use ovmf_measure::transcript::{Event, Kind, Op, Register, Transcript};

#[path = "second/generate.rs"]
#[allow(dead_code, reason = "the second calculation uses the rest")]
mod generate;

struct Inputs {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
    cmdline: &'static str,
    profile: &'static str,
}

fn predict(inputs: &Inputs) -> Transcript {
    let profile = boot_profile(inputs.profile).unwrap();
    let direct = DirectBoot { kernel: &inputs.kernel, initrd: Some(&inputs.initrd), cmdline: inputs.cmdline };
    let request = tpm::Request { boot: Boot::Direct(direct), bank: Algorithm::Sha256, profile: &profile, memory: None };
    tpm::measure(&request).unwrap()
}

fn inputs() -> Inputs {
    Inputs {
        kernel: generate::minimal_pe(b"kernel"),
        initrd: b"initrd".to_vec(),
        cmdline: "a=b",
        profile: "qemu-10.0-ovmf-2025.02",
    }
}

/// A log as a machine would have it whose boot is `transcript`.
fn log(events: &[Event]) -> EventLog {
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 11, 0, 32, 0, 0]].concat();
    let mut bytes = [&0u32.to_le_bytes()[..], &3u32.to_le_bytes(), &[0; 20]].concat();
    bytes.extend((spec.len() as u32).to_le_bytes());
    bytes.extend(spec);
    for event in events.iter().filter(|event| event.op == Op::Extend) {
        let Register::Pcr(pcr) = event.register else { unreachable!("the transcript is of a TPM") };
        let (kind, data) = match event.kind {
            Kind::Separator => (4u32, &[0; 4][..]),
            Kind::EfiAction => (0x8000_0007, &b"an action"[..]),
            Kind::EventTag => (6, &b"tag"[..]),
            Kind::BootServicesApplication => (0x8000_0003, &b"path"[..]),
            other => unreachable!("{other:?} isn't in a direct boot"),
        };
        bytes.extend(u32::from(pcr).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend([1, 0, 0, 0, 11, 0]);
        bytes.extend(event.digest.as_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
    }
    // Firmware leaves room behind.
    bytes.extend([0xff; 100]);
    EventLog::parse(&bytes).unwrap()
}

#[test]
fn the_prediction_agrees_with_its_own_log() {
    let transcript = predict(&inputs());
    let log = log(&transcript.events);
    assert_eq!(first_divergence(&transcript, &log), None);
    let replayed = log.replay(Algorithm::Sha256).unwrap();
    for (register, values) in transcript.registers().unwrap() {
        assert_eq!(values[0], replayed[&register], "{register}");
    }
    // Registers that no event names hold their reset values, and are there.
    assert_eq!(replayed.len(), 24);
    assert_eq!(replayed[&Register::Pcr(16)], Algorithm::Sha256.zero());
    assert_eq!(replayed[&Register::Pcr(17)].as_bytes(), [0xff; 32]);
}

#[test]
fn each_changed_input_is_named() {
    let predicted = predict(&inputs());
    let cases = [
        (Inputs { kernel: generate::minimal_pe(b"other"), ..inputs() }, Register::Pcr(4), 0, Cause::OtherKernel),
        (Inputs { cmdline: "a=c", ..inputs() }, Register::Pcr(9), 0, Cause::OtherCmdline),
        (Inputs { initrd: b"other".to_vec(), ..inputs() }, Register::Pcr(9), 1, Cause::OtherInitrd),
        (Inputs { initrd: Vec::new(), ..inputs() }, Register::Pcr(9), 0, Cause::OtherCmdline),
    ];
    for (changed, register, index, cause) in cases {
        let divergence = first_divergence(&predicted, &log(&predict(&changed).events)).unwrap();
        assert_eq!((divergence.register, divergence.index, divergence.cause), (register, index, cause));
        assert!(divergence.to_string().contains(cause.explanation()), "{divergence}");
    }
}

#[test]
fn missing_and_extra_events_are_named() {
    let predicted = predict(&inputs());
    let mut fewer = predicted.events.clone();
    let last = fewer.iter().rposition(|event| event.register == Register::Pcr(5) && event.op == Op::Extend).unwrap();
    fewer.remove(last);
    let divergence = first_divergence(&predicted, &log(&fewer)).unwrap();
    assert_eq!((divergence.register, divergence.cause), (Register::Pcr(5), Cause::MissingEvent));

    // PCR 12 was predicted to stay untouched.
    let mut more = predicted.events.clone();
    let extra = Event { register: Register::Pcr(12), ..more[0].clone() };
    more.push(extra);
    let divergence = first_divergence(&predicted, &log(&more)).unwrap();
    assert_eq!((divergence.register, divergence.cause), (Register::Pcr(12), Cause::ExtraEvent));
    assert_eq!(divergence.expected, None);
}

#[test]
fn a_log_of_another_bank_is_named() {
    let predicted = predict(&inputs());
    let sha384 = Transcript { algorithm: Algorithm::Sha384, ..predicted.clone() };
    let divergence = first_divergence(&sha384, &log(&predicted.events)).unwrap();
    assert_eq!(divergence.cause, Cause::OtherBank);
}

/// A launch digest has no log, but its tail can be tried.
#[test]
fn another_shape_of_an_snp_guest_is_found() {
    let sev = vec![generate::SevEntry { gpa: 0x81_0000, pages: 1, kind: 0x10 }];
    let firmware = generate::FirmwareSpec { sev, ..generate::FirmwareSpec::plain() }.build();
    let qemu = snp::vmm_profile("qemu").unwrap();
    let measure = |vcpu_type, guest_features, cmdline| {
        let boot = Some(DirectBoot { kernel: b"kernel", initrd: None, cmdline });
        snp::measure(&Request { firmware: &firmware, boot, vcpu_type, guest_features, vmm: "qemu" }).unwrap()
    };
    let launch = measure("EPYC-Milan", 1, "a=b");
    let expected =
        Expected { pre_vmsa: launch.pre_vmsa, vmm: &qemu, vcpu_type: "EPYC-Milan", guest_features: 1, ap_reset: launch.ap_reset };
    let cases = [
        (("EPYC-Milan", 1, "a=b"), 3, Some(("EPYC-Milan", 1, false, false))),
        (("EPYC-Milan-v2", 1, "a=b"), 512, Some(("EPYC-Milan", 1, false, false))),
        (("EPYC-Genoa", 1, "a=b"), 2, Some(("EPYC-Genoa", 1, true, false))),
        (("EPYC-Turin", 0x21, "a=b"), 64, Some(("EPYC-Turin", 0x21, true, true))),
        (("EPYC-Milan", 1, "a=c"), 1, None),
    ];
    for ((vcpu_type, features, cmdline), vcpus, shape) in cases {
        let found = measure(vcpu_type, features, cmdline).digest_for(vcpus).unwrap();
        let other = snp::other_shape(&expected, &found);
        let told = other.as_ref().map(|o| (o.vcpu_type.as_str(), o.guest_features, o.other_vcpu_type, o.other_guest_features));
        assert_eq!((told, other.as_ref().map_or(vcpus, |o| o.vcpus)), (shape, vcpus));
    }
}
