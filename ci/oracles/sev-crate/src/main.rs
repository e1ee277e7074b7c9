//! Answers launch-digest questions with the crate `sev`, for the differential test of ovmf-measure. Speaks the same lines
//! as `../snp_differential.py`.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use sev::measurement::snp::{SnpMeasurementArgs, calc_snp_ovmf_hash, snp_calc_launch_digest};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};

fn main() -> std::io::Result<()> {
    let mut digests: Vec<(PathBuf, String)> = Vec::new();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(case) => answer(&case, &mut digests).unwrap_or_else(|error| json!({ "error": error })),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(case: &Value, digests: &mut Vec<(PathBuf, String)>) -> Result<Value, String> {
    let path = |key: &str| case[key].as_str().map(PathBuf::from);
    let text = |key: &str| case[key].as_str().ok_or(format!("{key} is missing"));
    let firmware = path("firmware").ok_or("firmware is missing")?;
    let vcpu_type = CpuType::try_from(text("vcpu_type")?).map_err(|_| "unknown CPU model".to_owned())?;
    let vmm_type: VMMType = text("vmm")?.parse().map_err(|_| "unknown VMM".to_owned())?;
    let shortcut = case["shortcut"].as_bool().unwrap_or_default();
    if shortcut && !digests.iter().any(|(known, _)| *known == firmware) {
        let digest = calc_snp_ovmf_hash(firmware.clone()).map_err(|error| error.to_string())?;
        digests.push((firmware.clone(), digest.get_hex_ld()));
    }
    let digest = digests.iter().find(|(known, _)| shortcut && *known == firmware);
    let arguments = SnpMeasurementArgs {
        vcpus: u32::try_from(case["vcpus"].as_u64().unwrap_or_default()).map_err(|error| error.to_string())?,
        vcpu_type,
        ovmf_file: firmware.clone(),
        guest_features: GuestFeatures(case["features"].as_u64().ok_or("features are missing")?),
        kernel_file: path("kernel"),
        initrd_file: path("initrd"),
        append: case["append"].as_str(),
        ovmf_hash_str: digest.map(|(_, hex)| hex.as_str()),
        vmm_type: Some(vmm_type),
    };
    // It panics on some firmware files; that is its answer, too.
    let launch = std::panic::catch_unwind(|| snp_calc_launch_digest(arguments)).map_err(|_| "panicked".to_owned())?;
    Ok(json!({ "digest": launch.map_err(|error| error.to_string())?.get_hex_ld() }))
}
