//! `sealstone explain`

use std::path::Path;

use ovmf_measure::digest::Digest;
use ovmf_measure::transcript::Register;
use sealstone_evidence::check::printable;
use sealstone_release::pin::{Firmware, Pin, Profile};
use serde_json::json;

use super::measure::{emit, print_json, read};
use super::{compare, coverage, terms};
use crate::args::ExplainArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::html;

pub(crate) fn run(args: &ExplainArgs) -> Outcome {
    let pin = load(&args.pin)?;
    let profiles = choose(&pin, args.profile.as_deref())?;
    if let Some(file) = &args.eventlog {
        return compare::eventlog(&profiles, file, args.json);
    }
    if let Some(file) = &args.evidence {
        return compare::evidence(&profiles, file, args.json);
    }
    if let Some(file) = &args.html {
        let page = html::page(&pin, &profiles);
        std::fs::write(file, page).map_err(|e| Failure::failed(format!("writing {}: {e}", file.display())))?;
        return Ok(DONE);
    }
    if args.json {
        let profiles: Vec<_> = profiles.iter().map(|profile| as_json(profile)).collect();
        print_json(&json!({"pin": pin.id(), "profiles": profiles}))?;
        return Ok(DONE);
    }
    let image = &pin.contents().image;
    emit(format_args!("image {} {}, pin {}", image.name, image.version, pin.id()))?;
    for profile in profiles {
        emit("")?;
        print(profile)?;
    }
    Ok(DONE)
}

/// Reads `pin.json`, or the one in a folder.
pub(crate) fn load(path: &Path) -> Result<Pin, Failure> {
    let path = if path.is_dir() { path.join(sealstone_pipeline::pin::FILE) } else { path.to_path_buf() };
    let bytes = read(&path)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::bad_input(format!("{}: not a pin: not UTF-8", path.display())))?;
    let problem = |e: String| Failure::bad_input(format!("{}: {}", path.display(), printable(&e)));
    Pin::parse(&text).map_err(|e| problem(e.to_string()))
}

fn choose<'a>(pin: &'a Pin, profile: Option<&str>) -> Result<Vec<&'a Profile>, Failure> {
    match profile {
        Some(id) => Ok(vec![pin.profile(id).map_err(Failure::bad_input)?]),
        None => Ok(pin.contents().profiles.iter().collect()),
    }
}

fn as_json(profile: &Profile) -> serde_json::Value {
    let registers: serde_json::Map<String, serde_json::Value> =
        values(profile).into_iter().map(|(register, values)| (register.to_string(), json!(values))).collect();
    json!({
        "id": profile.id(),
        "tee": profile.tee(),
        "registers": registers,
        "events": profile.events(),
        "measured": coverage::measured(profile),
        "not_covered": coverage::not_covered(profile),
    })
}

fn print(profile: &Profile) -> Result<(), Failure> {
    emit(format_args!("profile {} ({}), firmware {}", profile.id(), profile.tee(), firmware(profile)))?;
    for (register, values) in values(profile) {
        let note = match profile {
            Profile::Snp(_) => ", with two vCPUs",
            _ if values.len() > 1 => ", one of",
            _ => "",
        };
        emit(format_args!("\n{register}{note}"))?;
        for value in values {
            emit(format_args!("  {value}"))?;
        }
        emit(terms::register(register, profile.events()).trim_end())?;
    }
    if let Profile::Snp(snp) = profile {
        emit("\nlaunch digest by number of vCPUs")?;
        for (count, value) in &snp.launch.by_vcpus {
            emit(format_args!("  {count:>4}  {value}"))?;
        }
    }
    emit("\nwhat each file is measured into")?;
    for (file, registers) in coverage::measured(profile) {
        emit(format_args!("  {file}: {}", registers.join(", ")))?;
    }
    emit("\nnot covered")?;
    for sentence in coverage::not_covered(profile) {
        emit(format_args!("  - {sentence}"))?;
    }
    Ok(())
}

/// The registers of a profile with their acceptable values. (That of an SNP launch is the one of two vCPUs, whose events the
/// pin lists.)
pub(crate) fn values(profile: &Profile) -> Vec<(Register, Vec<Digest>)> {
    // A pin's events fold, or it would not have been read.
    ovmf_measure::transcript::registers(profile.events()).unwrap_or_default().into_iter().collect()
}

/// The firmware in a few words.
pub(crate) fn firmware(profile: &Profile) -> String {
    match profile {
        Profile::Snp(snp) => snp.firmware.name.clone(),
        Profile::Tdx(tdx) => tdx.firmware.name.clone(),
        Profile::Tpm(tpm) => match &tpm.firmware {
            Firmware::File(file) => file.name.clone(),
            Firmware::Packaged(file) => format!("{} of the package {} {}", file.name, file.package, file.version),
        },
        _ => "of a kind that this version does not know".into(),
    }
}
