//! Options of `measure` and `explain`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// The boot profile that is assumed where none is named: it accepts both kernel headers, the built one first.
const DEFAULT_BOOT_PROFILE: &str = "qemu-ovmf-2025.02";

/// Compute the registers of a launch from its files
///
/// Nothing is booted: firmware, kernel, initrd, command line and disk go in, register values come out, each with the list
/// of events that it is made of.
#[derive(Args, Debug)]
pub(crate) struct MeasureArgs {
    #[command(subcommand)]
    pub(crate) what: Measure,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Measure {
    Snp(SnpArgs),
    Tdx(TdxArgs),
    Tpm(TpmArgs),
    Pe(PeArgs),
    Eventlog(EventlogArgs),
}

/// The launch digest of an SEV-SNP guest
#[derive(Args, Debug)]
pub(crate) struct SnpArgs {
    /// The whole firmware file
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: PathBuf,
    #[command(flatten)]
    pub(crate) boot: DirectArgs,
    /// Number of vCPUs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) vcpus: u32,
    /// CPU model by its QEMU name, such as EPYC-Milan
    #[arg(long, value_name = "T")]
    pub(crate) vcpu_type: String,
    /// SEV_FEATURES of the vCPUs, in decimal or 0x-hex
    #[arg(long, value_name = "X", default_value = "0x1", value_parser = number)]
    pub(crate) guest_features: u64,
    /// The virtual machine monitor
    #[arg(long, default_value = "qemu", value_parser = ["qemu", "ec2", "gce", "gce-52bit"])]
    pub(crate) vmm: String,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// MRTD and RTMRs of a TDX guest
///
/// RTMR0 takes in what the host offers; it is predicted only where --memory and the ACPI tables (--acpi) are given.
#[derive(Args, Debug)]
pub(crate) struct TdxArgs {
    /// The whole firmware file
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: PathBuf,
    /// Memory of the guest: bytes, or with K, M, G or T behind
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// Number of vCPUs; it is measured through the ACPI tables alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) vcpus: Option<u32>,
    /// Folder with the ACPI tables that the host offers: `table-loader`, `rsdp` and `tables`
    #[arg(long, value_name = "DIR", requires = "memory")]
    pub(crate) acpi: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) boot: DirectArgs,
    /// A disk image with a UKI, instead of --kernel
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    pub(crate) disk: Option<PathBuf>,
    /// How VMM and firmware behave; an unknown name lists those that there are
    #[arg(long, value_name = "P", default_value = DEFAULT_BOOT_PROFILE)]
    pub(crate) profile: String,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// PCRs of a machine with a TPM
///
/// Predicts PCRs 4, 5, 8, 9, 11 and 12; the others are the platform's. A UKI without its disk leaves PCR 5 open.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["disk", "uki", "kernel"]))]
pub(crate) struct TpmArgs {
    /// A disk image with a UKI
    #[arg(long, value_name = "FILE")]
    pub(crate) disk: Option<PathBuf>,
    /// A UKI
    #[arg(long, value_name = "FILE")]
    pub(crate) uki: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) boot: DirectArgs,
    /// Which PCRs
    #[arg(long, value_enum, default_value_t = Hash::Sha256)]
    pub(crate) bank: Hash,
    /// Memory of the guest, where QEMU rewrites the kernel's header: bytes, or with K, M, G or T behind
    #[arg(long, value_name = "SIZE", value_parser = bytes, requires = "kernel")]
    pub(crate) memory: Option<u64>,
    /// How VMM and firmware behave; an unknown name lists those that there are
    #[arg(long, value_name = "P", default_value = DEFAULT_BOOT_PROFILE)]
    pub(crate) profile: String,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a direct boot gets.
#[derive(Args, Debug)]
pub(crate) struct DirectArgs {
    /// Kernel that the VMM hands over
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
    /// Its initrd
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(crate) initrd: Option<PathBuf>,
    /// Its command line
    #[arg(long, value_name = "TEXT", requires = "kernel", allow_hyphen_values = true)]
    pub(crate) cmdline: Option<String>,
}

/// The Authenticode digest of a PE image (kernel, UKI, UEFI program)
#[derive(Args, Debug)]
pub(crate) struct PeArgs {
    /// The image
    pub(crate) file: PathBuf,
    /// The hash
    #[arg(long, value_enum, default_value_t = Hash::Sha256)]
    pub(crate) hash: Hash,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parse and replay a TCG2 or confidential-computing event log
#[derive(Args, Debug)]
pub(crate) struct EventlogArgs {
    /// The log: binary_bios_measurements, or the CCEL table's data
    pub(crate) file: PathBuf,
    /// The bank to replay [default: sha384 of a confidential-computing log, sha256 of a TPM's if it has one]
    #[arg(long, value_enum)]
    pub(crate) hash: Option<Hash>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
}

/// Show what a pin's registers are made of, or where a boot differs from it
///
/// Without a log or evidence: each register with its events, where each comes from and who controls it, and what the pin
/// does not cover. With one: the first difference and its likely cause; exit 11 if there is one.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A pin, or a folder with `pin.json` in it
    #[arg(value_name = "PIN|DIR")]
    pub(crate) pin: PathBuf,
    /// One profile of it
    #[arg(long, value_name = "P")]
    pub(crate) profile: Option<String>,
    /// Write a page for people to this file, instead of text to standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["eventlog", "evidence"])]
    pub(crate) html: Option<PathBuf>,
    /// Compare with a machine's event log (binary_bios_measurements, or the CCEL table's data)
    #[arg(long, value_name = "FILE", conflicts_with = "evidence")]
    pub(crate) eventlog: Option<PathBuf>,
    /// Compare with an SNP report or TDX quote (raw bytes). No signature is looked at: `sealstone verify` does that
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, conflicts_with = "html")]
    pub(crate) json: bool,
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|e| format!("{e}; write it in decimal or as 0x1"))
}

fn bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let shift = match unit.to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("unknown unit {unit:?}; write it as 2048M or 2G")),
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or("write it as 2048M or 2G")?;
    match size {
        0..1_048_576 => Err(format!("{size} bytes is less than any machine has; write it as 2048M or 2G")),
        _ => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in
            [("2G", 2u64 << 30), ("2048M", 2 << 30), ("2048MiB", 2 << 30), ("2147483648", 2 << 30), ("1t", 1 << 40)]
        {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for bad in ["", "G", "2048", "-1G", "1.5G", "2X", "99999999999T"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!((number("0x21"), number("33")), (Ok(0x21), Ok(33)));
        assert!(number("21h").is_err());
    }
}
