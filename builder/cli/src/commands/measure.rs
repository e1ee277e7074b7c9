//! `sealstone measure`

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use ovmf_measure::boot::{Boot, DirectBoot, boot_profile};
use ovmf_measure::digest::{Algorithm, Digest, to_hex};
use ovmf_measure::eventlog::{EventLog, Flavour, LogEvent, event_type_name};
use ovmf_measure::pe::{Pe, authenticode};
use ovmf_measure::transcript::{Event, Register, Transcript};
use ovmf_measure::{snp, tdx, tpm};
use serde::Serialize;
use serde_json::{Value, json};

use super::terms;
use crate::args::{DirectArgs, EventlogArgs, Hash, Measure, MeasureArgs, PeArgs, SnpArgs, TdxArgs, TpmArgs};
use crate::exit::{DONE, Failure, Outcome};

pub(crate) fn run(args: &MeasureArgs) -> Outcome {
    match &args.what {
        Measure::Snp(args) => snp(args),
        Measure::Tdx(args) => tdx(args),
        Measure::Tpm(args) => tpm(args),
        Measure::Pe(args) => pe(args),
        Measure::Eventlog(args) => eventlog(args),
    }?;
    Ok(DONE)
}

fn snp(args: &SnpArgs) -> Result<(), Failure> {
    let firmware = read(&args.firmware)?;
    let files = Direct::read(&args.boot)?;
    let request = snp::Request {
        firmware: &firmware,
        boot: files.boot(),
        vcpu_type: &args.vcpu_type,
        guest_features: args.guest_features,
        vmm: &args.vmm,
    };
    let refuse = |e: snp::SnpError| Failure::bad_input(format!("measuring {}: {e}", args.firmware.display()));
    let launch = snp::measure(&request).map_err(refuse)?;
    let measurement = launch.digest_for(args.vcpus).map_err(refuse)?;
    let transcript = launch.transcript(args.vcpus).map_err(refuse)?;
    if args.json {
        return print_json(&json!({
            "measurement": measurement,
            "pre_vmsa": launch.pre_vmsa,
            "bsp_vmsa": launch.bsp_vmsa,
            "ap_vmsa": launch.ap_vmsa,
            "events": transcript.events,
        }));
    }
    emit(format_args!("measurement  {measurement}"))?;
    emit(format_args!("pre_vmsa     {}\nbsp_vmsa     {}\nap_vmsa      {}", launch.pre_vmsa, launch.bsp_vmsa, launch.ap_vmsa))?;
    emit(format_args!("\n{}", terms::register(Register::Launch, &transcript.events).trim_end()))?;
    Ok(())
}

fn tdx(args: &TdxArgs) -> Result<(), Failure> {
    let firmware = read(&args.firmware)?;
    let files = Direct::read(&args.boot)?;
    let disk = args.disk.as_deref().map(read).transpose()?;
    let profile = boot_profile(&args.profile).map_err(Failure::bad_input)?;
    let acpi = args.acpi.as_deref().map(acpi).transpose()?;
    let boot = files.boot().map(Boot::Direct).or(disk.as_deref().map(Boot::Disk));
    let request = tdx::Request { firmware: &firmware, boot, profile: &profile, memory: args.memory, acpi };
    let transcript =
        tdx::measure(&request).map_err(|e| Failure::bad_input(format!("measuring with {}: {e}", args.firmware.display())))?;
    let values = values(&transcript)?;
    let first = |register| values.get(&register).and_then(|values| values.first());
    if args.json {
        return print_json(&json!({
            "mrtd": first(Register::Mrtd),
            "rtmr0": first(Register::Rtmr(0)),
            "rtmr1": first(Register::Rtmr(1)),
            "rtmr2": first(Register::Rtmr(2)),
            "events": transcript.events,
        }));
    }
    print_registers(&values, &transcript)?;
    for number in 0..3u8 {
        let register = Register::Rtmr(number);
        if !values.contains_key(&register) {
            let why = match number {
                0 => "it takes in the host's memory layout and ACPI tables: give --memory and --acpi",
                _ => "give what is booted",
            };
            emit(format_args!("\n{register}  not predicted: {why}"))?;
        }
    }
    Ok(())
}

/// The three ACPI files that QEMU offers as `etc/table-loader`, `etc/acpi/rsdp` and `etc/acpi/tables`.
fn acpi(dir: &Path) -> Result<tdx::AcpiTables, Failure> {
    let hash = |name: &str| read(&dir.join(name)).map(|bytes| Algorithm::Sha384.hash(&bytes));
    Ok(tdx::AcpiTables { loader: hash("table-loader")?, rsdp: hash("rsdp")?, tables: hash("tables")? })
}

fn tpm(args: &TpmArgs) -> Result<(), Failure> {
    let files = Direct::read(&args.boot)?;
    let disk = args.disk.as_deref().map(read).transpose()?;
    let uki = args.uki.as_deref().map(read).transpose()?;
    let boot = files.boot().map(Boot::Direct).or(disk.as_deref().map(Boot::Disk)).or(uki.as_deref().map(Boot::Uki));
    let boot = boot.ok_or_else(|| Failure::bad_input("nothing to boot; give --disk, --uki or --kernel"))?;
    let profile = boot_profile(&args.profile).map_err(Failure::bad_input)?;
    let request = tpm::Request { boot, bank: algorithm(args.bank), profile: &profile, memory: args.memory };
    let transcript = tpm::measure(&request).map_err(|e| Failure::bad_input(format!("measuring the boot: {e}")))?;
    let values = values(&transcript)?;
    if args.json {
        let pcr = |(register, values): (&Register, &Vec<Digest>)| match register {
            Register::Pcr(number) => Some((number.to_string(), json!(values.first()))),
            _ => None,
        };
        let pcrs: serde_json::Map<String, Value> = values.iter().filter_map(pcr).collect();
        return print_json(&json!({"pcrs": pcrs, "events": transcript.events}));
    }
    print_registers(&values, &transcript)?;
    Ok(())
}

fn pe(args: &PeArgs) -> Result<(), Failure> {
    let bytes = read(&args.file)?;
    let image = Pe::parse(&bytes).map_err(|e| Failure::bad_input(format!("{}: {e}", args.file.display())))?;
    let digest = authenticode(&image, algorithm(args.hash));
    if args.json {
        return print_json(&json!({"authenticode": digest}));
    }
    emit(digest)?;
    Ok(())
}

fn eventlog(args: &EventlogArgs) -> Result<(), Failure> {
    let refuse = |e: ovmf_measure::eventlog::LogError| Failure::bad_input(format!("{}: {e}", args.file.display()));
    let log = EventLog::parse(&read(&args.file)?).map_err(refuse)?;
    let bank = args.hash.map_or_else(|| usual_bank(&log), algorithm);
    let registers = log.replay(bank).map_err(refuse)?;
    let events: Vec<Logged<'_>> = log.events.iter().map(|event| Logged::of(event, bank)).collect();
    if args.json {
        let registers: BTreeMap<String, &Digest> =
            registers.iter().map(|(register, value)| (register.to_string(), value)).collect();
        return print_json(&json!({"algorithm": bank, "registers": registers, "events": events}));
    }
    for (register, value) in &registers {
        emit(format_args!("{register:<6} {value}"))?;
    }
    emit("")?;
    for event in &events {
        let digest = event.digest.map_or_else(|| "(not measured)".into(), |digest| digest.to_string());
        emit(format_args!("{:<6} {digest}  {}", event.register, event.kind))?;
    }
    Ok(())
}

/// The bank that quotes are usually made of.
fn usual_bank(log: &EventLog) -> Algorithm {
    match log.flavour {
        Flavour::Tcg if log.algorithms().contains(&Algorithm::Sha256) => Algorithm::Sha256,
        _ => Algorithm::Sha384,
    }
}

/// An event of a log, as JSON has it.
#[derive(Serialize)]
struct Logged<'a> {
    register: String,
    #[serde(rename = "type")]
    kind: String,
    /// In the bank that is replayed; `null` for events that only inform.
    digest: Option<Digest>,
    #[serde(serialize_with = "hex")]
    data: &'a [u8],
    offset: usize,
}

impl<'a> Logged<'a> {
    fn of(event: &'a LogEvent, bank: Algorithm) -> Self {
        Self {
            register: event.register.to_string(),
            kind: event_type_name(event.event_type),
            digest: event.is_measured().then(|| event.digest(bank)).flatten(),
            data: &event.data,
            offset: event.offset,
        }
    }
}

fn hex<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_hex(bytes))
}

/// The files of a direct boot.
struct Direct<'a> {
    kernel: Option<Vec<u8>>,
    initrd: Option<Vec<u8>>,
    cmdline: &'a str,
}

impl<'a> Direct<'a> {
    fn read(args: &'a DirectArgs) -> Result<Self, Failure> {
        Ok(Self {
            kernel: args.kernel.as_deref().map(read).transpose()?,
            initrd: args.initrd.as_deref().map(read).transpose()?,
            cmdline: args.cmdline.as_deref().unwrap_or_default(),
        })
    }

    fn boot(&self) -> Option<DirectBoot<'_>> {
        self.kernel.as_deref().map(|kernel| DirectBoot { kernel, initrd: self.initrd.as_deref(), cmdline: self.cmdline })
    }
}

fn algorithm(hash: Hash) -> Algorithm {
    match hash {
        Hash::Sha256 => Algorithm::Sha256,
        Hash::Sha384 => Algorithm::Sha384,
    }
}

fn values(transcript: &Transcript) -> Result<BTreeMap<Register, Vec<Digest>>, Failure> {
    transcript.registers().map_err(Failure::failed)
}

fn print_registers(values: &BTreeMap<Register, Vec<Digest>>, transcript: &Transcript) -> Result<(), Failure> {
    for (index, (register, values)) in values.iter().enumerate() {
        if index > 0 {
            emit("")?;
        }
        for (index, value) in values.iter().enumerate() {
            emit(format_args!("{} {value}", if index == 0 { format!("{register:<6}") } else { "or    ".into() }))?;
        }
        let events: Vec<Event> = transcript.of(*register).cloned().collect();
        emit(terms::register(*register, &events).trim_end())?;
    }
    Ok(())
}

/// A file that was named on the command line.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| Failure::bad_input(format!("reading {}: {e}", path.display())))
}

pub(super) fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    emit(serde_json::to_string_pretty(document).map_err(Failure::failed)?)
}

/// One or more lines of output. A reader that has seen enough (`| head`) is no failure.
pub(super) fn emit(text: impl Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::failed(format!("writing the result: {e}"))),
        _ => Ok(()),
    }
}
