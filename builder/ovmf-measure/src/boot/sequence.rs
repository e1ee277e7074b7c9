//! The sequence of events from the firmware's ReadyToBoot to the kernel's ExitBootServices.
//!
//! Direct boot loads (and so measures) the kernel before it signals ReadyToBoot, a boot from disk after it.

use super::{Boot, BootError, BootProfile, DirectBoot, InitrdArg, KernelHash, linux};
use crate::digest::{Algorithm, Digest};
use crate::fat;
use crate::firmware::utf16_with_nul;
use crate::gpt::Gpt;
use crate::pe::{Pe, Uki, authenticode};
use crate::transcript::{Alternative, ControlledBy, Event, Input, Kind, Register};

/// RAM that is assumed where none is given: all sizes from 2.75 GiB on put the initrd at the same address.
const ASSUMED_MEMORY: u64 = 4 << 30;

/// One step of the sequence.
pub(crate) enum Step {
    /// An event of a PCR. (TDX maps PCRs to RTMRs.)
    Measured(Event),
    /// The firmware is about to boot: action and separators, which TPM and TDX measure differently.
    ReadyToBoot,
}

/// What is known while the sequence is written.
struct Sequence<'a> {
    algorithm: Algorithm,
    profile: &'a BootProfile,
    memory: u64,
    steps: Vec<Step>,
}

/// The sequence for `boot`, hashed with `algorithm`. `memory` is the VM's RAM in bytes if it is known.
pub(crate) fn steps(
    boot: &Boot<'_>,
    algorithm: Algorithm,
    profile: &BootProfile,
    memory: Option<u64>,
) -> Result<Vec<Step>, BootError> {
    let memory = memory.unwrap_or(ASSUMED_MEMORY);
    let mut sequence = Sequence { algorithm, profile, memory, steps: Vec::new() };
    match boot {
        Boot::Direct(direct) => sequence.direct(direct)?,
        Boot::Uki(uki) => {
            sequence.steps.push(Step::ReadyToBoot);
            sequence.uki(uki)?;
        }
        Boot::Disk(disk) => {
            let gpt = Gpt::parse(disk)?;
            sequence.steps.push(Step::ReadyToBoot);
            sequence.gpt(&gpt);
            sequence.uki(&fat::fallback_loader(gpt.esp()?)?)?;
        }
    }
    for action in ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"] {
        sequence.constant(5, Kind::EfiAction, action.as_bytes(), &format!("the text {action:?}"));
    }
    Ok(sequence.steps)
}

impl Sequence<'_> {
    fn direct(&mut self, boot: &DirectBoot<'_>) -> Result<(), BootError> {
        let initrd = boot.initrd.unwrap_or_default();
        let event = self.direct_kernel(boot, initrd)?;
        self.steps.push(Step::Measured(event));
        self.steps.push(Step::ReadyToBoot);

        let (prefix, suffix) = match self.profile.initrd_arg {
            InitrdArg::Prefix if !initrd.is_empty() => (&b"initrd=initrd "[..], &b""[..]),
            InitrdArg::Suffix if !initrd.is_empty() => (&b""[..], &b" initrd=initrd"[..]),
            _ => (&b""[..], &b""[..]),
        };
        // Firmware widens bytes to UTF-16 units; it doesn't decode UTF-8.
        let line: Vec<u8> = [prefix, boot.cmdline.as_bytes(), suffix].concat();
        if !line.is_empty() {
            let options: Vec<u8> = line.iter().chain([&0]).flat_map(|byte| [*byte, 0]).collect();
            let added = match (prefix.is_empty(), suffix.is_empty()) {
                (false, _) => ", with `initrd=initrd ` in front,",
                (_, false) => ", with ` initrd=initrd` behind,",
                _ => "",
            };
            let how = format!("cmdline{added} as UTF-16 with NUL; measured by the kernel's EFI stub");
            self.image(9, Kind::EventTag, &options, Input::Cmdline, &how);
        }
        if !initrd.is_empty() {
            self.image(9, Kind::EventTag, initrd, Input::Initrd, "initrd file; measured by the kernel's EFI stub");
        }
        Ok(())
    }

    fn direct_kernel(&self, boot: &DirectBoot<'_>, initrd: &[u8]) -> Result<Event, BootError> {
        let raw = authenticode(&Pe::parse(boot.kernel)?, self.algorithm);
        let how_raw = "Authenticode digest of the kernel file";
        let how_patched = "Authenticode digest of the kernel after QEMU rewrote its setup header";
        let patched = || -> Result<Digest, BootError> {
            let kernel = linux::patch_setup_header(boot.kernel, initrd, boot.cmdline, self.memory)?;
            Ok(authenticode(&Pe::parse(&kernel)?, self.algorithm))
        };
        let event = |digest, how: &str| {
            let kind = Kind::BootServicesApplication;
            Event::extend(Register::Pcr(4), kind, digest, Input::Kernel, ControlledBy::Image, how).sized(boot.kernel)
        };
        Ok(match self.profile.kernel_hash {
            KernelHash::Raw => event(raw, how_raw),
            KernelHash::Patched => event(patched()?, how_patched),
            KernelHash::Either => {
                let alternative = Alternative {
                    digest: patched()?,
                    when: "QEMU rewrote the setup header (the initrd's address assumes the given memory, or 2.75 GiB \
                           and more)"
                        .to_owned(),
                };
                Event { or: vec![alternative], ..event(raw, how_raw) }
            }
        })
    }

    fn gpt(&mut self, gpt: &Gpt<'_>) {
        let how = "partition table: header, number of used entries, used entries";
        self.image(5, Kind::Gpt, &gpt.event(), Input::Disk, how);
    }

    fn uki(&mut self, bytes: &[u8]) -> Result<(), BootError> {
        let uki = Uki::parse(bytes)?;
        let linux = uki.linux()?;
        let kernel = authenticode(&Pe::parse(linux)?, self.algorithm);
        let application = |digest, how: &str, bytes: &[u8]| {
            let kind = Kind::BootServicesApplication;
            let event = Event::extend(Register::Pcr(4), kind, digest, Input::Uki, ControlledBy::Image, how);
            Step::Measured(event.sized(bytes))
        };
        let whole = authenticode(&uki.pe, self.algorithm);
        self.steps.push(application(whole, "Authenticode digest of the UKI", bytes));
        for name in &uki.stub.stub_sections {
            if let Some(data) = uki.section(name)? {
                let with_nul = [name.as_bytes(), &[0]].concat();
                self.image(11, Kind::Ipl, &with_nul, Input::Uki, &format!("name of section {name}, with its NUL"));
                self.image(11, Kind::Ipl, data, Input::Uki, &format!("data of section {name}"));
            }
        }
        self.steps.push(application(kernel, "Authenticode digest of the UKI's section .linux", linux));
        if let Some(line) = uki.cmdline()? {
            let how = "UKI's section .cmdline as UTF-16 with NUL; measured by the kernel's EFI stub";
            self.image(9, Kind::EventTag, &utf16_with_nul(&line), Input::Uki, how);
        }
        if let Some(initrd) = uki.section(".initrd")? {
            let how = "UKI's section .initrd; measured by the kernel's EFI stub";
            self.image(9, Kind::EventTag, initrd, Input::Uki, how);
        }
        Ok(())
    }

    fn image(&mut self, pcr: u8, kind: Kind, data: &[u8], input: Input, how: &str) {
        let digest = self.algorithm.hash(data);
        let event = Event::extend(Register::Pcr(pcr), kind, digest, input, ControlledBy::Image, how).sized(data);
        self.steps.push(Step::Measured(event));
    }

    fn constant(&mut self, pcr: u8, kind: Kind, data: &[u8], how: &str) {
        self.steps.push(Step::Measured(constant(Register::Pcr(pcr), self.algorithm, kind, data, how)));
    }
}

/// An event whose data is fixed by a specification.
pub(crate) fn constant(register: Register, algorithm: Algorithm, kind: Kind, data: &[u8], how: &str) -> Event {
    let digest = algorithm.hash(data);
    Event::extend(register, kind, digest, Input::Constant, ControlledBy::Firmware, how).sized(data)
}
