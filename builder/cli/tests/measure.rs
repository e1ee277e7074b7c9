//! `measure` and `explain` as their users meet them: JSON shapes, exit codes, and the public vectors' known answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn sealstone(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealstone")).args(arguments).output().unwrap()
}

/// The one JSON document that a command prints.
fn json(arguments: &[&str]) -> Value {
    let output = sealstone(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn keys(document: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A file for one test, named after it.
fn scratch(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_string_lossy().into_owned()
}

fn vectors(test: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !dir.is_dir() {
        println!("SKIPPED {test}: no test vectors in ../shared/vectors");
        return None;
    }
    Some(dir)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn snp_vectors() {
    let Some(dir) = vectors("snp_vectors") else { return };
    let document: Value = serde_json::from_slice(&std::fs::read(dir.join("snp/cases.json")).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() >= 16, "the vectors shrank");
    for case in cases {
        let text = |key: &str| case[key].as_str();
        let firmware = dir.join("snp").join(text("firmware").unwrap());
        let (vcpus, features) = (case["vcpus"].to_string(), case["guest_features"].to_string());
        let kernel = text("kernel_hex").map(|hex| scratch("snp_vectors.kernel", &unhex(hex)));
        let initrd = text("initrd_hex").map(|hex| scratch("snp_vectors.initrd", &unhex(hex)));
        let mut arguments = vec!["measure", "snp", "--json", "--firmware", firmware.to_str().unwrap(), "--vcpus", &vcpus];
        arguments.extend([
            "--vcpu-type",
            text("vcpu_type").unwrap(),
            "--guest-features",
            &features,
            "--vmm",
            text("vmm").unwrap(),
        ]);
        if let Some(kernel) = &kernel {
            arguments.extend(["--kernel", kernel, "--cmdline", text("cmdline").unwrap_or_default()]);
            arguments.extend(initrd.iter().flat_map(|initrd| ["--initrd", initrd.as_str()]));
        }
        let found = json(&arguments);
        assert_eq!(found["measurement"].as_str(), text("expected"), "{}", case["name"]);
        assert_eq!(keys(&found), ["ap_vmsa", "bsp_vmsa", "events", "measurement", "pre_vmsa"]);
    }
}

#[test]
fn recorded_event_log() {
    let Some(dir) = vectors("recorded_event_log") else { return };
    let log = dir.join("eventlog/ccel_data.dat");
    let found = json(&["measure", "eventlog", "--json", log.to_str().unwrap()]);
    assert_eq!((keys(&found), &found["algorithm"]), (vec!["algorithm", "events", "registers"], &Value::from("sha384")));
    // The quote of the same machine: header of 48 bytes, then RTMR0 at 328 of the body.
    let quote = std::fs::read(dir.join("eventlog/cos-113-tdx-quote.dat")).unwrap();
    for (number, register) in ["rtmr0", "rtmr1", "rtmr2"].iter().enumerate() {
        let at = 48 + 328 + 48 * number;
        assert_eq!(unhex(found["registers"][register].as_str().unwrap()), quote[at..at + 48], "{register}");
    }
}

/// The smallest PE32+ image that UEFI would load: headers of 512 bytes and nothing else.
fn tiny_pe() -> Vec<u8> {
    let mut pe = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| pe[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86"); // x86-64, no sections
    put(0x54, &240u16.to_le_bytes()); // optional header
    put(0x58, &0x20bu16.to_le_bytes());
    put(0x58 + 60, &512u32.to_le_bytes()); // size of headers
    put(0x58 + 108, &16u32.to_le_bytes()); // data directories
    pe
}

#[test]
fn shapes_of_pe_and_tpm() {
    let image = tiny_pe();
    let file = scratch("shapes.efi", &image);
    // Authenticode: everything but the checksum (64 into the optional header) and the certificate entry (144 into it).
    let covered = [&image[..0x58 + 64], &image[0x58 + 68..0x58 + 144], &image[0x58 + 152..]].concat();
    let digest = ovmf_measure::digest::Algorithm::Sha384.hash(&covered).to_string();
    let found = json(&["measure", "pe", &file, "--hash", "sha384", "--json"]);
    assert_eq!((keys(&found), found["authenticode"].as_str()), (vec!["authenticode"], Some(digest.as_str())));

    let initrd = scratch("shapes.initrd", b"initrd");
    let arguments = ["measure", "tpm", "--kernel", &file, "--initrd", &initrd, "--cmdline", "a=b", "--json"];
    let found = json(&[&arguments[..], &["--profile", "qemu-10.0-ovmf-2025.02"]].concat());
    assert_eq!((keys(&found), keys(&found["pcrs"])), (vec!["events", "pcrs"], vec!["11", "12", "4", "5", "8", "9"]));
    assert_eq!(found["pcrs"]["12"].as_str(), Some("0".repeat(64).as_str()));
    let wider = json(&[&arguments[..], &["--profile", "qemu-10.0-ovmf-2025.02", "--bank", "sha384"]].concat());
    assert_eq!(wider["pcrs"]["9"].as_str().unwrap().len(), 96);
}

#[test]
fn exit_codes() {
    let junk = scratch("exit_codes.junk", b"junk");
    let pe = scratch("exit_codes.efi", &tiny_pe());
    let snp = ["measure", "snp", "--firmware", &junk, "--vcpu-type", "EPYC-v4"];
    for (arguments, code, says) in [
        (vec!["measure"], 2, "Usage"),
        (vec!["measure", "tpm"], 2, "required"),
        (vec!["measure", "tpm", "--uki", &junk, "--disk", &junk], 2, "cannot be used with"),
        (vec!["measure", "tpm", "--initrd", &junk], 2, "required"),
        ([&snp[..], &["--vcpus", "0"]].concat(), 2, "1..=4096"),
        ([&snp[..], &["--vcpus", "1", "--vmm", "xen"]].concat(), 2, "possible values"),
        ([&snp[..], &["--vcpus", "1", "--guest-features", "x"]].concat(), 2, "decimal"),
        (vec!["measure", "tdx", "--firmware", &junk, "--memory", "2048"], 2, "2048M"),
        ([&snp[..], &["--vcpus", "1"]].concat(), 3, "exit_codes.junk"),
        ([&snp[..], &["--vcpus", "1", "--guest-features", "2"]].concat(), 3, "bit 0"),
        (vec!["measure", "snp", "--firmware", &junk, "--vcpus", "1", "--vcpu-type", "i486"], 3, "unknown CPU model"),
        (vec!["measure", "tdx", "--firmware", &junk], 3, "exit_codes.junk"),
        (vec!["measure", "tpm", "--kernel", &pe, "--profile", "none"], 3, "qemu-10.0-ovmf-2025.02"),
        (vec!["measure", "tpm", "--disk", &junk], 3, "error"),
        (vec!["measure", "pe", &junk], 3, "not a PE image"),
        (vec!["measure", "pe", "no such file"], 3, "reading no such file"),
        (vec!["measure", "eventlog", &junk], 3, "event log"),
        (vec!["explain", &junk], 3, "not a pin"),
        (vec!["explain", &junk, "--eventlog", "a", "--evidence", "b"], 2, "cannot be used with"),
    ] {
        let output = sealstone(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments:?} printed data although it failed");
    }
}
