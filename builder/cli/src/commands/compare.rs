//! Where a machine's event log or evidence parts from a pin, and why that is likely.
//!
//! This is for finding the cause. What is read here may come from a machine that lies: no signature is looked at, and nothing
//! is trusted because of it.

use std::path::Path;

use ovmf_measure::digest::Digest;
use ovmf_measure::eventlog::{EventLog, Flavour, first_divergence};
use ovmf_measure::snp;
use ovmf_measure::transcript::{Op, Register, Transcript};
use sealstone_release::pin::{Profile, SnpProfile};
use serde_json::json;

use super::explain::values;
use super::measure::{emit, print_json, read};
use crate::exit::{DONE, Failure, MEASUREMENT, Outcome};

/// The most vCPUs that are tried for a launch digest; QEMU's q35 machine takes no more without further options.
const MOST_VCPUS: u32 = 512;
/// `explain PIN --eventlog FILE`
pub(crate) fn eventlog(profiles: &[&Profile], file: &Path, as_json: bool) -> Outcome {
    let log = EventLog::parse(&read(file)?).map_err(|e| Failure::bad_input(format!("{}: {e}", file.display())))?;
    let fits =
        |profile: &&&Profile| matches!((log.flavour, profile), (Flavour::Tcg, Profile::Tpm(_)) | (Flavour::Cc, Profile::Tdx(_)));
    let mut compared: Vec<_> = profiles
        .iter()
        .filter(fits)
        .map(|profile| {
            let transcript = Transcript { algorithm: profile.algorithm(), events: profile.events().to_vec() };
            (*profile, agreeing(&transcript, &log), first_divergence(&transcript, &log))
        })
        .collect();
    // The profile that agrees, or the one that agrees longest.
    compared.sort_by_key(|(_, agreeing, divergence)| (divergence.is_some(), std::cmp::Reverse(*agreeing)));
    let Some((profile, agreeing, divergence)) = compared.into_iter().next() else {
        let kind = if log.flavour == Flavour::Tcg {
            "a TPM's, and the pin has no tpm2 profile"
        } else {
            "a TD's, and the pin has no tdx profile"
        };
        return Err(Failure::bad_input(format!("{}: the log is {kind} to compare it with", file.display())));
    };
    if as_json {
        print_json(
            &json!({"profile": profile.id(), "agrees": divergence.is_none(), "events": agreeing, "divergence": divergence}),
        )?;
    } else {
        match &divergence {
            None => {
                let registers: Vec<String> = values(profile).into_iter().map(|(register, _)| register.to_string()).collect();
                emit(format_args!("as predicted by profile {}: {agreeing} events of {}", profile.id(), registers.join(", ")))?;
            }
            Some(divergence) => {
                emit(format_args!("profile {} agrees with {agreeing} events, then differs\n{divergence}", profile.id()))?
            }
        }
    }
    Ok(if divergence.is_none() { DONE } else { MEASUREMENT })
}

/// How many predicted events the log has in their places.
fn agreeing(predicted: &Transcript, log: &EventLog) -> usize {
    let registers: std::collections::BTreeSet<Register> = predicted.events.iter().map(|event| event.register).collect();
    let of = |register| {
        let expected = predicted.of(register).filter(|event| event.op == Op::Extend);
        let found = log.events.iter().filter(move |event| event.register == register && event.is_measured());
        let same = expected.zip(found).take_while(|(expected, found)| {
            found.digest(predicted.algorithm).is_some_and(|digest| expected.accepts(digest.as_bytes()))
        });
        same.count()
    };
    registers.into_iter().map(of).sum()
}

/// `explain PIN --evidence FILE`
pub(crate) fn evidence(profiles: &[&Profile], file: &Path, as_json: bool) -> Outcome {
    let bytes = read(file)?;
    let (agrees, lines) = match Shown::of(&bytes) {
        Some(Shown::Snp(measurement)) => snp_report(profiles, &measurement),
        Some(Shown::Tdx(registers)) => tdx_quote(profiles, &registers),
        None => {
            let problem = "neither an SNP report (1184 bytes, version 2 to 5) nor a TDX quote (version 4 or 5)";
            return Err(Failure::bad_input(format!("{}: {problem}; give the raw bytes", file.display())));
        }
    };
    if as_json {
        print_json(&json!({"agrees": agrees, "findings": lines}))?;
    } else {
        emit(lines.join("\n"))?;
    }
    Ok(if agrees { DONE } else { MEASUREMENT })
}

/// The registers in raw evidence.
enum Shown {
    /// MEASUREMENT of an SNP report.
    Snp(Digest),
    /// MRTD and RTMR0 to RTMR3 of a TDX quote.
    Tdx(Vec<(Register, Digest)>),
}

impl Shown {
    /// SEV-SNP firmware ABI 1.55, table 23 (ATTESTATION_REPORT); Intel TDX DCAP quoting library API, appendix 3 (quote
    /// header, body of versions 4 and 5).
    fn of(bytes: &[u8]) -> Option<Self> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?));
        let digest_at = |at: usize| Digest::from_bytes(bytes.get(at..at.checked_add(48)?)?).ok();
        let is_td = bytes.get(4..8)? == [0x81, 0, 0, 0];
        // The body follows the header of 48 bytes; version 5 says its type and length first.
        let body = match (u16_at(0)?, is_td) {
            (4, true) => Some(48),
            (5, true) => Some(54),
            _ => None,
        };
        if let Some(body) = body {
            let at = [
                (Register::Mrtd, 136),
                (Register::Rtmr(0), 328),
                (Register::Rtmr(1), 376),
                (Register::Rtmr(2), 424),
                (Register::Rtmr(3), 472),
            ];
            return at
                .into_iter()
                .map(|(register, offset)| Some((register, digest_at(body + offset)?)))
                .collect::<Option<_>>()
                .map(Self::Tdx);
        }
        let plausible = bytes.len() >= 1184 && (2..=5).contains(&u16_at(0)?) && u16_at(2)? == 0;
        plausible.then(|| digest_at(0x90)).flatten().map(Self::Snp)
    }
}

fn snp_report(profiles: &[&Profile], measurement: &Digest) -> (bool, Vec<String>) {
    let profiles: Vec<&SnpProfile> =
        profiles.iter().filter_map(|profile| if let Profile::Snp(snp) = profile { Some(snp) } else { None }).collect();
    if profiles.is_empty() {
        return (false, vec!["the pin has no sev-snp profile to compare the report with".into()]);
    }
    let count = |profile: &SnpProfile| {
        (1..=MOST_VCPUS).find(|vcpus| profile.launch_digest(*vcpus).is_ok_and(|digest| digest == *measurement))
    };
    for profile in &profiles {
        if let Some(vcpus) = count(profile) {
            return (true, vec![format!("as predicted by profile {}, with {vcpus} vCPUs", profile.id)]);
        }
    }
    let mut lines = vec![format!("launch digest {measurement} is of no profile and no number of vCPUs up to {MOST_VCPUS}")];
    match profiles.iter().find_map(|profile| other_cpu(profile, measurement)) {
        Some(cause) => lines.push(cause),
        None => lines.push(
            "Likely: another firmware, kernel, initrd or command line. A launch digest is one hash and does not tell which; \
             compare the files with the pin's, or `sealstone measure snp` what you think was started"
                .into(),
        ),
    }
    (false, lines)
}

/// The same files on another CPU model or with other features.
fn other_cpu(profile: &SnpProfile, measurement: &Digest) -> Option<String> {
    let vmm = snp::vmm_profile(&profile.vmm)?;
    let expected = snp::Expected {
        pre_vmsa: profile.launch.pre_vmsa,
        vmm: &vmm,
        vcpu_type: &profile.params.vcpu_type,
        guest_features: profile.params.guest_features,
        ap_reset: snp::USUAL_AP_RESET,
    };
    let shape = snp::other_shape(&expected, measurement)?;
    Some(format!("Likely: profile {} in another shape: {shape}", profile.id))
}

fn tdx_quote(profiles: &[&Profile], shown: &[(Register, Digest)]) -> (bool, Vec<String>) {
    let mut best: Option<(usize, Vec<String>)> = None;
    for profile in profiles.iter().filter(|profile| matches!(profile, Profile::Tdx(_))) {
        let pinned = values(profile);
        let mut lines = Vec::new();
        for (register, values) in &pinned {
            let found = shown.iter().find(|(shown, _)| shown == register).map(|(_, value)| value);
            if !found.is_some_and(|value| values.contains(value)) {
                let found = found.map_or_else(|| "nothing".into(), ToString::to_string);
                let expected = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
                lines.push(format!("{register}: expected {expected}; the quote has {found}. Likely: {}", likely(*register)));
            }
        }
        if lines.is_empty() {
            let registers: Vec<String> = pinned.iter().map(|(register, _)| register.to_string()).collect();
            return (true, vec![format!("as predicted by profile {}: {}", profile.id(), registers.join(", "))]);
        }
        if best.as_ref().is_none_or(|(count, _)| lines.len() < *count) {
            lines.insert(0, format!("differs from profile {}", profile.id()));
            lines.push("The machine's event log tells which event: `sealstone explain PIN --eventlog FILE`".into());
            best = Some((lines.len() - 2, lines));
        }
    }
    (false, best.map_or_else(|| vec!["the pin has no tdx profile to compare the quote with".into()], |(_, lines)| lines))
}

fn likely(register: Register) -> &'static str {
    match register {
        Register::Mrtd => "another firmware, or a host whose KVM builds a TD in another order (page_order)",
        Register::Rtmr(0) => "another memory size, other ACPI tables or devices",
        Register::Rtmr(1) => {
            "another kernel, UKI or partition table, or QEMU rewrote the kernel's header for another memory size"
        }
        Register::Rtmr(2) => "another command line or initrd",
        _ => "something was measured at run time",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "failing loudly is right in tests")]

    use ovmf_measure::digest::Algorithm;

    use super::*;

    #[test]
    fn a_recorded_quote_shows_the_registers_of_its_log() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/eventlog");
        if !dir.is_dir() {
            println!("SKIPPED a_recorded_quote_shows_the_registers_of_its_log: {} is not there", dir.display());
            return;
        }
        let bytes = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let Some(Shown::Tdx(shown)) = Shown::of(&bytes("cos-113-tdx-quote.dat")) else { panic!("the quote is not recognised") };
        let replayed = EventLog::parse(&bytes("ccel_data.dat")).unwrap().replay(Algorithm::Sha384).unwrap();
        for number in 0..3 {
            let register = Register::Rtmr(number);
            let found = shown.iter().find(|(shown, _)| *shown == register).map(|(_, value)| value);
            assert_eq!(found, replayed.get(&register), "{register}");
        }
    }

    #[test]
    fn other_bytes_are_no_evidence() {
        for bytes in [&[][..], &[0; 4000], &[2, 0, 0, 0], &[4, 0, 2, 0, 0x81, 0, 0, 0], &[0xff; 1184]] {
            assert!(Shown::of(bytes).is_none(), "{} bytes", bytes.len());
        }
    }
}
