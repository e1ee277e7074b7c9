//! Differential tests on random launches against the package `sev-snp-measure` 0.0.13 and the crate `sev` 8.0.0. Every
//! disagreement has a name here; one without a name fails the test.
//!
//! The first needs Python with the package: `SEALSTONE_ORACLE_PYTHON`, else `python3`. The second needs the program in
//! `ci/oracles/sev-crate`, built, as `SEALSTONE_ORACLE_SEV`. Firmware files come from the vectors, from the mirror's
//! packages, and from the folders that `SEALSTONE_TEST_FIRMWARE` lists (separated by colons).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests read vectors and ask oracles, and failing loudly is right"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ovmf_measure::digest::Algorithm;
use ovmf_measure::firmware::{Firmware, FirmwareError};
use ovmf_measure::snp::{self, CPU_MODELS, DirectBoot, Launch, Rdx, Request, SnpError};
use serde_json::{Value, json};

/// Enough that more than two thousand remain when the named disagreements are subtracted.
const CASES: u32 = 3200;

/// Why the two may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Disagreement {
    /// The package returns a digest for firmware that can't be launched under SNP; we refuse.
    NoSevMetadata,
    /// We know CPU models of newer QEMUs.
    CpuModelUnknownToOracle,
    /// Without a vCPU there is no VMSA and no launch; the package returns the value before it.
    NoVcpu,
    /// SEV_FEATURES without SNP; the package returns a digest.
    NotSnp,
    /// The crate `sev` knows QEMU and EC2 only.
    VmmUnknownToOracle,
    /// The crate `sev` cuts blanks off the command line; QEMU doesn't. Its digest is ours of the cut line.
    TrimmedCmdline,
    /// The crate `sev` has 0 in `rdx` on EC2; hardware has 0x600. Its digest is ours with 0 (of the cut line).
    Ec2Rdx,
}

struct Case {
    firmware: PathBuf,
    boot: Option<(PathBuf, Option<PathBuf>, String)>,
    vcpus: u32,
    vcpu_type: &'static str,
    features: u64,
    vmm: &'static str,
    shortcut: bool,
}

#[test]
fn random_launches_agree_with_sev_snp_measure() {
    let python = std::env::var_os("SEALSTONE_ORACLE_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ci/oracles/snp_differential.py"));
    compare("random_launches_agree_with_sev_snp_measure", command, CASES, 2000);
}

#[test]
fn random_launches_agree_with_the_crate_sev() {
    let test = "random_launches_agree_with_the_crate_sev";
    match std::env::var_os("SEALSTONE_ORACLE_SEV") {
        Some(program) => compare(test, Command::new(program), CASES, 1500),
        None => println!("SKIPPED {test}: SEALSTONE_ORACLE_SEV doesn't name the program built from ci/oracles/sev-crate"),
    }
}

/// Asks the oracle `cases` random launches, of which `at_least` must be comparable and agree.
fn compare(test: &str, oracle: Command, cases: u32, at_least: u32) {
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&scratch).unwrap();
    let firmwares = firmwares(&scratch);
    if firmwares.is_empty() {
        println!("SKIPPED {test}: no firmware files");
        return;
    }
    let blobs = blobs(&scratch);
    let mut random = Random(0x5ea1_5704);
    // A file that can't be launched is refused whatever else is given: a few such cases are enough.
    let launches = |path: &PathBuf| Firmware::parse(&std::fs::read(path).unwrap()).is_ok_and(|f| f.sev_metadata().is_ok());
    let (whole, refused): (Vec<PathBuf>, Vec<PathBuf>) = firmwares.into_iter().partition(launches);
    let cases: Vec<Case> = (0..cases)
        .map(|_| {
            let seldom = random.below(16) == 0 && !refused.is_empty();
            case(&mut random, if seldom || whole.is_empty() { &refused } else { &whole }, &blobs)
        })
        .collect();
    let Some(answers) = ask(test, oracle, &cases) else { return };

    let mut contents: BTreeMap<&Path, Vec<u8>> = BTreeMap::new();
    for case in &cases {
        contents.entry(&case.firmware).or_insert_with(|| std::fs::read(&case.firmware).unwrap());
    }
    let mut agreed = 0;
    let mut unexplained = Vec::new();
    let mut disagreements: BTreeMap<Disagreement, u32> = BTreeMap::new();
    for (case, theirs) in cases.iter().zip(&answers) {
        let ours = ours(case, &contents[case.firmware.as_path()]);
        match (&ours, theirs["digest"].as_str()) {
            (Ok(ours), Some(theirs)) if ours == theirs => agreed += 1,
            (Err(SnpError::NoKernelHashes), None) => agreed += 1,
            _ => match explain(case, &contents[case.firmware.as_path()], &ours, theirs) {
                Some(name) => *disagreements.entry(name).or_default() += 1,
                None => unexplained.push(format!("{}: {ours:?}, {theirs}", show(case))),
            },
        }
    }
    let firmwares: Vec<_> = contents.keys().filter_map(|path| path.file_name()).collect();
    println!("{test}: {agreed} of {} agree over {} firmware files {firmwares:?}; {disagreements:?}", cases.len(), contents.len());
    assert!(
        unexplained.is_empty(),
        "{} unexplained, such as:\n{}",
        unexplained.len(),
        unexplained[..8.min(unexplained.len())].join("\n")
    );
    assert!(agreed > at_least, "only {agreed} launches were compared");
}

fn explain(case: &Case, firmware: &[u8], ours: &Result<String, SnpError>, theirs: &Value) -> Option<Disagreement> {
    match (ours, theirs["error"].as_str()) {
        (Err(SnpError::Firmware(FirmwareError::NoSevMetadata)), _) => Some(Disagreement::NoSevMetadata),
        (_, Some("unknown CPU model")) => Some(Disagreement::CpuModelUnknownToOracle),
        (_, Some("unknown VMM")) => Some(Disagreement::VmmUnknownToOracle),
        (Err(SnpError::VcpuCount(0)), None) if case.vcpus == 0 => Some(Disagreement::NoVcpu),
        (Err(SnpError::NotSnp(features)), _) if features & 1 == 0 => Some(Disagreement::NotSnp),
        (Ok(_), None) => {
            let boot = case.boot.clone().map(|(kernel, initrd, line)| (kernel, initrd, line.trim().to_owned()));
            let cut = Case { firmware: case.firmware.clone(), boot, ..*case };
            if launch(&cut, firmware).ok()?.digest_for(case.vcpus).ok()?.to_string() == theirs["digest"] {
                return Some(Disagreement::TrimmedCmdline);
            }
            (case.vmm == "ec2" && ec2_without_rdx(&cut, firmware)? == theirs["digest"]).then_some(Disagreement::Ec2Rdx)
        }
        _ => None,
    }
}

/// Our digest if EC2 started vCPUs with 0 in `rdx`.
fn ec2_without_rdx(case: &Case, firmware: &[u8]) -> Option<String> {
    let mut ec2 = snp::vmm_profile("ec2")?;
    ec2.vmsa.rdx = Rdx::Fixed(0);
    let page = |reset| Algorithm::Sha384.hash(&snp::vmsa_page(&ec2, reset, 0, case.features));
    let ap = Firmware::parse(firmware).ok()?.ap_reset_address().ok()?;
    let pre_vmsa = launch(case, firmware).ok()?.pre_vmsa;
    let digest = snp::launch_digest(&pre_vmsa, &page(0xffff_fff0), &page(ap), ec2.vmsa_gpa(), case.vcpus);
    Some(digest.ok()?.to_string())
}

fn ours(case: &Case, firmware: &[u8]) -> Result<String, SnpError> {
    Ok(launch(case, firmware)?.digest_for(case.vcpus)?.to_string())
}

fn launch(case: &Case, firmware: &[u8]) -> Result<Launch, SnpError> {
    let files = case.boot.as_ref().map(|(kernel, initrd, line)| {
        let initrd = initrd.as_ref().map(|path| std::fs::read(path).unwrap());
        (std::fs::read(kernel).unwrap(), initrd, line)
    });
    let boot = files.as_ref().map(|(kernel, initrd, line)| DirectBoot { kernel, initrd: initrd.as_deref(), cmdline: line });
    let request = Request { firmware, boot, vcpu_type: case.vcpu_type, guest_features: case.features, vmm: case.vmm };
    snp::measure(&request)
}

fn show(case: &Case) -> String {
    format!(
        "{} boot {:?} vcpus {} {} features {:#x} {}",
        case.firmware.display(),
        case.boot,
        case.vcpus,
        case.vcpu_type,
        case.features,
        case.vmm
    )
}

fn case(random: &mut Random, firmwares: &[PathBuf], blobs: &[PathBuf]) -> Case {
    let lines = ["", " ", "console=ttyS0", "a=b c=\"d e\" loglevel=7", "straße=größer", "日本 語", "\u{1f980}"];
    let boot = (random.below(4) != 0).then(|| {
        let initrd = (random.below(4) != 0).then(|| random.pick(blobs).clone());
        let line = format!("{}{}", random.pick(&lines), random.pick(&lines));
        (random.pick(blobs).clone(), initrd, line)
    });
    let features = match random.below(32) {
        0 => random.next() & !1,
        1..=4 => random.next() | 1,
        5..=16 => 0x21,
        _ => 1,
    };
    Case {
        firmware: random.pick(firmwares).clone(),
        boot,
        vcpus: if random.below(50) == 0 { 0 } else { 1 + random.below(512) },
        vcpu_type: random.pick(CPU_MODELS).name,
        features,
        vmm: ["qemu", "ec2", "gce"][random.below(3) as usize],
        shortcut: random.below(16) != 0,
    }
}

/// The oracle's answers, or `None` (with a printed reason) if it isn't there.
fn ask(test: &str, mut oracle: Command, cases: &[Case]) -> Option<Vec<Value>> {
    let spawned = oracle.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            println!("SKIPPED {test}: {}: {error}", oracle.get_program().display());
            return None;
        }
    };
    let mut input = child.stdin.take().unwrap();
    let questions: Vec<String> = cases.iter().map(question).collect();
    // It answers as it reads: writing must not wait for reading.
    let writer = std::thread::spawn(move || questions.iter().try_for_each(|line| writeln!(input, "{line}")));
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    let written = writer.join().unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        println!("SKIPPED {test}: {}", String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    written.unwrap();
    assert_eq!(lines.len(), cases.len());
    Some(lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn question(case: &Case) -> String {
    let (kernel, initrd, append) = match &case.boot {
        Some((kernel, initrd, line)) => (Some(kernel), initrd.as_ref(), Some(line)),
        None => (None, None, None),
    };
    json!({
        "firmware": case.firmware, "kernel": kernel, "initrd": initrd, "append": append, "vcpus": case.vcpus,
        "vcpu_type": case.vcpu_type, "features": case.features, "vmm": case.vmm, "shortcut": case.shortcut,
    })
    .to_string()
}

/// Kernels and initrds: the measurement doesn't care what is in them.
fn blobs(scratch: &Path) -> Vec<PathBuf> {
    let sizes = [0usize, 1, 6, 4096, 100_000];
    let write = |size: &usize| {
        let path = scratch.join(format!("blob-{size}"));
        std::fs::write(&path, vec![0xa5; *size]).unwrap();
        path
    };
    sizes.iter().map(write).collect()
}

fn firmwares(scratch: &Path) -> Vec<PathBuf> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let mut folders = vec![shared.join("vectors/snp")];
    folders.extend(common::mirror(scratch));
    let listed = std::env::var("SEALSTONE_TEST_FIRMWARE").unwrap_or_default();
    folders.extend(listed.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from));

    let mut found = Vec::new();
    for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten() {
        let path = entry.unwrap().path();
        let wanted = ["fd", "bin"].iter().any(|end| path.extension().is_some_and(|e| e == *end));
        // A variable store alone isn't firmware.
        if wanted && path.is_file() && !path.to_string_lossy().contains("VARS") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// SplitMix64: the same cases on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() >> 32) as u32 % limit
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u32) as usize]
    }
}

/// Digests of the mirror's `ovmf-amdsev` 2026.08 with six bytes of kernel, computed with other tools.
#[test]
fn known_answers_of_ovmf_amdsev_2026_08() {
    let Some(firmware) = common::mirror_firmware("known_answers_of_ovmf_amdsev_2026_08", "OVMF.amdsev.fd") else { return };
    let boot = DirectBoot { kernel: b"kernel", initrd: Some(b"initrd"), cmdline: "console=ttyS0" };
    let request = Request { firmware: &firmware, boot: Some(boot), vcpu_type: "EPYC-v4", guest_features: 1, vmm: "qemu" };
    let launch = snp::measure(&request).unwrap();
    for (vcpus, first, last) in [(1, "69d5f2a246e5c1a5", "288920b"), (4, "b8ff8ddf1a45b04a", "4f7")] {
        let digest = launch.digest_for(vcpus).unwrap().to_string();
        assert!(digest.starts_with(first) && digest.ends_with(last), "{vcpus}: {digest}");
    }
}
