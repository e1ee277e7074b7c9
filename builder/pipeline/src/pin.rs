//! The pin of a build: the spec's profiles times the files that were built.
//!
//! How VMM and firmware behave is looked up by what the lock says of both; a combination that nobody has looked at has no
//! profile and is refused, not guessed.

use std::collections::BTreeMap;

use ovmf_measure::boot::{self, Boot, BootProfile, DirectBoot, KernelHash};
use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::transcript::{Alternative, Event, Register, Transcript, registers};
use ovmf_measure::{snp, tdx, tpm};
use sealstone_assemble::config::ModelPack;
use sealstone_release::hex::Sha256;
use sealstone_release::pin;
use sealstone_spec::{self as spec, FirmwareFile, FirmwarePlatform, KernelHeader, LockedFile, PageOrder, PcrBank, Platform};

use crate::content::{Content, Contents};
use crate::error::PipelineError;
use crate::packs::models::whole_bytes;
use crate::project::{Locked, Project};

/// The pin's name in the output folder.
pub const FILE: &str = "pin.json";

/// The Debian package that firmware of a root comes from, and the folders that it keeps it in.
const FIRMWARE_PACKAGE: &str = "ovmf";
const FIRMWARE_DIRS: &[&str] = &["usr/share/OVMF/", "usr/share/ovmf/", "usr/share/qemu/"];
/// The Debian package of the VMM that boots with it.
const VMM_PACKAGE: &str = "qemu-system-x86";

/// PCRs that belong to the platform: its firmware (0), its settings (1, 6), option ROMs (2, 3), Secure Boot policy (7), and
/// those that an operating system fills by its own rules (10: IMA, 14: shim).
const PLATFORM_PCRS: &[u8] = &[0, 1, 2, 3, 6, 7, 10, 14];

/// From this size in MiB on, QEMU's q35 machine puts the initrd at the same address.
const SPLIT_MIB: u32 = 2816;

/// The pin of the image in `files`, for every profile of the spec.
///
/// # Errors
/// [`PipelineError::Measure`] names the profile and says what about it can't be predicted.
pub fn pin(project: &Project, locked: &Locked, files: &Contents, models: &[ModelPack]) -> Result<pin::Pin, PipelineError> {
    let image = Image::of(files)?;
    let mut profiles = Vec::new();
    for profile in &project.spec.profiles {
        let one = Predicted { project, locked, image: &image, profile };
        match &profile.platform {
            Platform::SevSnp(params) => profiles.extend(one.snp(params)?),
            Platform::Tdx(params) => profiles.push(one.tdx(params)?),
            Platform::Tpm2(params) => profiles.push(one.tpm(params)?),
            other => return Err(one.refuse(format!("nothing here predicts registers of {}", other.tee()))),
        }
    }
    let contents = pin::Contents {
        schema: pin::SCHEMA.into(),
        image: pin::Image {
            name: project.spec.image.name.to_string(),
            version: project.spec.image.version.clone(),
            kernel: file(image.kernel),
            initrd: file(image.initrd),
            cmdline: image.cmdline.to_owned(),
            uki: file(image.uki),
            disk: file(image.disk),
        },
        source: pin::Source { spec_sha256: digest(&project.spec_sha256), lock_sha256: digest(&locked.sha256) },
        models: models.iter().map(model).collect::<Result<_, _>>()?,
        profiles,
        validity: None,
        supersedes: None,
    };
    pin::Pin::new(contents).map_err(|e| PipelineError::Measure { profile: "(all)".into(), problem: e.to_string() })
}

/// What a client sees of a pack. The registers hold the same through the measured configuration.
fn model(pack: &ModelPack) -> Result<pin::Model, PipelineError> {
    let refuse = || PipelineError::Internal("a pack's identity isn't one");
    let bytes = |hex: &str| hex.parse::<spec::Sha256>().map_err(|_| refuse());
    Ok(pin::Model {
        name: pack.name.clone(),
        root: digest(&bytes(&pack.root)?),
        salt: sealstone_release::hex::Bytes::new(*bytes(&pack.salt)?.as_bytes()),
        size: whole_bytes(pack.size).ok_or_else(refuse)?,
    })
}

/// Digest and size of a file.
fn file(content: &Content) -> pin::File {
    pin::File { sha256: digest(&content.sha256()), size: content.len() as u64 }
}

fn digest(sha256: &spec::Sha256) -> Sha256 {
    Sha256::new(*sha256.as_bytes())
}

/// The files of the output folder that are measured.
struct Image<'a> {
    kernel: &'a Content,
    initrd: &'a Content,
    cmdline: &'a str,
    uki: &'a Content,
    disk: &'a Content,
    files: &'a Contents,
}

impl<'a> Image<'a> {
    fn of(files: &'a Contents) -> Result<Self, PipelineError> {
        let missing = |name: &str| PipelineError::Output { action: "pin".into(), problem: format!("{name} was not made") };
        let file = |name: &str| files.get(name).ok_or_else(|| missing(name));
        let cmdline = std::str::from_utf8(file("cmdline")?).map_err(|_| missing("cmdline in UTF-8"))?;
        Ok(Self {
            kernel: file("vmlinuz")?,
            initrd: file("initrd")?,
            cmdline,
            uki: file("uki.efi")?,
            disk: file("disk.raw")?,
            files,
        })
    }

    fn direct(&self) -> DirectBoot<'a> {
        DirectBoot { kernel: self.kernel, initrd: Some(self.initrd), cmdline: self.cmdline }
    }

    fn boot(&self, way: spec::Boot) -> Boot<'a> {
        match way {
            spec::Boot::Direct => Boot::Direct(self.direct()),
            spec::Boot::Disk => Boot::Disk(self.disk),
        }
    }
}

/// One profile of the spec, on its way into the pin.
struct Predicted<'a> {
    project: &'a Project,
    locked: &'a Locked,
    image: &'a Image<'a>,
    profile: &'a spec::Profile,
}

impl<'a> Predicted<'a> {
    fn refuse(&self, problem: impl std::fmt::Display) -> PipelineError {
        PipelineError::Measure { profile: self.profile.id.to_string(), problem: problem.to_string() }
    }

    /// One profile a CPU model: the model is measured.
    fn snp(&self, params: &spec::SnpParams) -> Result<Vec<pin::Profile>, PipelineError> {
        let (named, firmware) = self.built_firmware()?;
        let vmm = self.profile.vmm.to_string();
        let guest_features = params.guest_features;
        let mut all = Vec::new();
        for vcpu_type in &params.vcpu_types {
            let request = snp::Request { firmware, boot: Some(self.image.direct()), vcpu_type, guest_features, vmm: &vmm };
            let launch = snp::measure(&request).map_err(|e| self.refuse(e))?;
            let mut by_vcpus = BTreeMap::new();
            for vcpus in &params.vcpus {
                let count = pin::VcpuCount::new(*vcpus).ok_or_else(|| self.refuse(format!("{vcpus} vCPUs")))?;
                by_vcpus.insert(count, launch.digest_for(*vcpus).map_err(|e| self.refuse(e))?);
            }
            all.push(pin::Profile::Snp(pin::SnpProfile {
                id: format!("{}-{vcpu_type}", self.profile.id),
                firmware: named.clone(),
                vmm: vmm.clone(),
                params: pin::SnpParams { vcpu_type: vcpu_type.clone(), guest_features },
                events: launch.transcript(2).map_err(|e| self.refuse(e))?.events,
                launch: pin::SnpLaunch {
                    pre_vmsa: launch.pre_vmsa,
                    bsp_vmsa: launch.bsp_vmsa,
                    ap_vmsa: launch.ap_vmsa,
                    by_vcpus,
                },
            }));
        }
        Ok(all)
    }

    fn tdx(&self, params: &spec::TdxParams) -> Result<pin::Profile, PipelineError> {
        let (firmware, bytes) = self.built_firmware()?;
        let behaviour = self.behaviour()?;
        let page_order = match params.page_order {
            PageOrder::Page => boot::PageOrder::PerPage,
            PageOrder::Section => boot::PageOrder::AddThenExtend,
        };
        let how = self.variants(&behaviour, &params.kernel_header, &params.memory)?;
        let events = self.events(&how, |variant| {
            let profile = BootProfile { page_order, ..variant.behaviour(&behaviour) };
            let boot = Some(self.image.boot(self.profile.boot));
            tdx::measure(&tdx::Request { firmware: bytes, boot, profile: &profile, memory: variant.memory(), acpi: None })
                .map_err(|e| self.refuse(e))
        })?;
        let mut values = registers(&events).map_err(|e| self.refuse(e))?;
        let mrtd = values.remove(&Register::Mrtd).ok_or_else(|| self.refuse("MRTD was not predicted"))?;
        let [rtmr0, rtmr1, rtmr2, rtmr3] = [0, 1, 2, 3].map(|number| values.remove(&Register::Rtmr(number)));
        Ok(pin::Profile::Tdx(pin::TdxProfile {
            id: self.profile.id.to_string(),
            firmware,
            vmm: self.profile.vmm.to_string(),
            params: pin::TdxParams {
                boot: way(self.profile.boot),
                behaviour: behaviour.id,
                page_order: match params.page_order {
                    PageOrder::Page => pin::PageOrder::Page,
                    PageOrder::Section => pin::PageOrder::Section,
                },
                kernel_header: headers(&how),
                memory_mib: memory(&how),
            },
            launch: pin::TdxLaunch { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 },
            events,
        }))
    }

    fn tpm(&self, params: &spec::TpmParams) -> Result<pin::Profile, PipelineError> {
        let behaviour = self.behaviour()?;
        let bank = match params.bank {
            PcrBank::Sha256 => Algorithm::Sha256,
            PcrBank::Sha384 => Algorithm::Sha384,
        };
        let how = self.variants(&behaviour, &params.kernel_header, &params.memory)?;
        let events = self.events(&how, |variant| {
            let (profile, boot) = (variant.behaviour(&behaviour), self.image.boot(self.profile.boot));
            tpm::measure(&tpm::Request { boot, bank, profile: &profile, memory: variant.memory() }).map_err(|e| self.refuse(e))
        })?;
        let values = registers(&events).map_err(|e| self.refuse(e))?;
        let pcr = |(register, values): (Register, Vec<Digest>)| match register {
            Register::Pcr(number) => pin::PcrIndex::new(number).map(|index| (index, values)),
            _ => None,
        };
        Ok(pin::Profile::Tpm(pin::TpmProfile {
            id: self.profile.id.to_string(),
            firmware: self.firmware()?,
            vmm: self.profile.vmm.to_string(),
            params: pin::TpmParams {
                boot: way(self.profile.boot),
                behaviour: behaviour.id,
                kernel_header: headers(&how),
                memory_mib: memory(&how),
            },
            launch: pin::TpmLaunch { bank, pcrs: values.into_iter().filter_map(pcr).collect(), unpinned: PLATFORM_PCRS.to_vec() },
            events,
        }))
    }

    /// The firmware that the build made, with its bytes.
    fn built_firmware(&self) -> Result<(pin::NamedFile, &'a [u8]), PipelineError> {
        let FirmwareFile::Built(platform) = &self.profile.firmware else {
            return Err(self.refuse("every byte of its firmware is measured, so it must be one that the build makes; write `firmware: amdsev` or `inteltdx`"));
        };
        let name = firmware_file(*platform);
        let bytes =
            self.image.files.get(&format!("firmware/{name}")).ok_or_else(|| self.refuse(format!("{name} was not made")))?;
        let file = file(bytes);
        Ok((pin::NamedFile { name, sha256: file.sha256, size: file.size }, bytes))
    }

    /// The firmware of a machine with a TPM. One that stands in a package is named by the package's digest: it isn't measured
    /// into any register of the pin, so it needn't be fetched and unpacked for every build.
    fn firmware(&self) -> Result<pin::Firmware, PipelineError> {
        let FirmwareFile::InRoot { root, path } = &self.profile.firmware else {
            return Ok(pin::Firmware::File(self.built_firmware()?.0));
        };
        let package = self.package(root, FIRMWARE_PACKAGE)?;
        let path = path.as_str();
        let name = FIRMWARE_DIRS.iter().find_map(|dir| path.strip_prefix(dir)).filter(|name| !name.contains('/'));
        let name = name.ok_or_else(|| {
            self.refuse(format!("{path} is not firmware of the package {FIRMWARE_PACKAGE}; how another one boots is not known"))
        })?;
        Ok(pin::Firmware::Packaged(pin::PackagedFile {
            name: name.to_owned(),
            package: package.name.clone(),
            version: package.version.to_string(),
            package_sha256: digest(&package.sha256),
            path: path.to_owned(),
        }))
    }

    /// How VMM and firmware behave together. Firmware of a root boots with that root's QEMU; firmware that was built here may
    /// boot with any.
    fn behaviour(&self) -> Result<BootProfile, PipelineError> {
        let id = match &self.profile.firmware {
            FirmwareFile::InRoot { root, .. } => {
                let (vmm, firmware) = (self.package(root, VMM_PACKAGE)?, self.package(root, FIRMWARE_PACKAGE)?);
                format!("qemu-{}-ovmf-{}", upstream(&vmm.version), upstream(&firmware.version))
            }
            FirmwareFile::Built(_) => {
                let source = &self.project.spec.firmware.source;
                let locked = self.locked.lock.sources.iter().find(|locked| locked.name == *source);
                let locked = locked.ok_or_else(|| self.refuse(format!("source {source} is not in the lock")))?;
                format!("qemu-ovmf-{}", upstream(&locked.version))
            }
        };
        boot::boot_profile(&id).map_err(|e| self.refuse(e))
    }

    fn package(&self, root: &spec::Name, name: &str) -> Result<&'a LockedFile, PipelineError> {
        let packages = self.locked.lock.root(root).unwrap_or_default();
        let found = packages.into_iter().find(|package| package.name == name);
        found.ok_or_else(|| self.refuse(format!("root `{root}` has no package {name}; add it to the root, or name another root")))
    }

    /// The ways in which the kernel may come to be measured, the spec's first one first.
    fn variants(&self, behaviour: &BootProfile, headers: &[KernelHeader], memory: &[u32]) -> Result<Vec<Variant>, PipelineError> {
        if self.profile.boot == spec::Boot::Disk {
            return Ok(vec![Variant::AsBuilt]);
        }
        let mut all = Vec::new();
        for header in headers {
            match (header, behaviour.kernel_hash) {
                (KernelHeader::Raw, KernelHash::Raw | KernelHash::Either) => all.push(Variant::Raw),
                (KernelHeader::Patched, KernelHash::Patched | KernelHash::Either) => {
                    all.extend(memory.iter().map(|mib| Variant::Patched { mib: *mib }));
                }
                (header, _) => {
                    let id = &behaviour.id;
                    return Err(self.refuse(format!(
                        "with {id} firmware never measures a {header} kernel header; take `{header}` out of kernel_header"
                    )));
                }
            }
        }
        Ok(all)
    }

    /// The events of the first variant, with the digests that the others have instead.
    fn events(
        &self,
        variants: &[Variant],
        measure: impl Fn(&Variant) -> Result<Transcript, PipelineError>,
    ) -> Result<Vec<Event>, PipelineError> {
        let mut all = Vec::new();
        for variant in variants {
            all.push((variant.when(), measure(variant)?.events));
        }
        let Some(((_, first), others)) = all.split_first() else { return Err(self.refuse("kernel_header is empty")) };
        if others.iter().any(|(_, events)| events.len() != first.len()) {
            return Err(self.refuse("the same boot has more events with one kernel header than with another"));
        }
        Ok((0..first.len())
            .filter_map(|index| merge(all.iter().filter_map(|(when, events)| Some((when, events.get(index)?)))))
            .collect())
    }
}

/// One event in all its variants: the first, with each other digest and all the cases in which the event has it.
fn merge<'e>(variants: impl Iterator<Item = (&'e String, &'e Event)>) -> Option<Event> {
    let mut digests: Vec<(Event, Vec<&str>)> = Vec::new();
    for (when, event) in variants {
        match digests.iter_mut().find(|(known, _)| known.digest == event.digest) {
            Some((_, cases)) => cases.push(when),
            None => digests.push((event.clone(), vec![when])),
        }
    }
    let several = digests.len() > 1;
    let mut digests = digests.into_iter();
    let (mut event, cases) = digests.next()?;
    if several {
        event.source.how = format!("{} ({})", event.source.how, cases.join("; "));
    }
    event.or.extend(digests.map(|(other, cases)| Alternative { digest: other.digest, when: cases.join("; ") }));
    Some(event)
}

/// One way in which the kernel may come to be measured.
#[derive(Clone, Copy)]
enum Variant {
    /// From disk: as it stands in the UKI.
    AsBuilt,
    /// Direct boot, setup header as built.
    Raw,
    /// Direct boot, setup header rewritten for a machine with this much memory.
    Patched { mib: u32 },
}

impl Variant {
    fn behaviour(&self, profile: &BootProfile) -> BootProfile {
        let kernel_hash = match self {
            Self::AsBuilt => profile.kernel_hash,
            Self::Raw => KernelHash::Raw,
            Self::Patched { .. } => KernelHash::Patched,
        };
        BootProfile { kernel_hash, ..profile.clone() }
    }

    /// The machine's memory in bytes, where it matters.
    fn memory(&self) -> Option<u64> {
        match self {
            Self::Patched { mib } => Some(u64::from(*mib) << 20),
            Self::AsBuilt | Self::Raw => None,
        }
    }

    fn when(&self) -> String {
        match self {
            Self::AsBuilt | Self::Raw => "QEMU hands the kernel over as it was built".into(),
            Self::Patched { mib } if *mib >= SPLIT_MIB => {
                format!("QEMU rewrote the setup header, {SPLIT_MIB} MiB of memory or more")
            }
            Self::Patched { mib } => format!("QEMU rewrote the setup header, {mib} MiB of memory"),
        }
    }
}

fn headers(variants: &[Variant]) -> Vec<pin::KernelHeader> {
    let mut all: Vec<pin::KernelHeader> = variants
        .iter()
        .filter_map(|variant| match variant {
            Variant::AsBuilt => None,
            Variant::Raw => Some(pin::KernelHeader::Raw),
            Variant::Patched { .. } => Some(pin::KernelHeader::Patched),
        })
        .collect();
    all.dedup();
    all
}

fn memory(variants: &[Variant]) -> Vec<u32> {
    variants
        .iter()
        .filter_map(|variant| match variant {
            Variant::Patched { mib } => Some(*mib),
            Variant::AsBuilt | Variant::Raw => None,
        })
        .collect()
}

fn way(boot: spec::Boot) -> pin::Boot {
    match boot {
        spec::Boot::Direct => pin::Boot::Direct,
        spec::Boot::Disk => pin::Boot::Disk,
    }
}

/// The name of a firmware that was built, in `firmware/` of the output folder.
pub(crate) fn firmware_file(platform: FirmwarePlatform) -> String {
    format!("OVMF.{platform}.fd")
}

/// The two numbers by which a release of QEMU or edk2 goes: `7.2` of `1:7.2+dfsg-7+deb12u18`, `2022.11` of `2022.11-6`.
fn upstream(version: &spec::Version) -> String {
    let mut parts = version.without_epoch().splitn(2, |c: char| !c.is_ascii_digit());
    let (major, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_releases() {
        for (version, release) in
            [("1:7.2+dfsg-7+deb12u18", "7.2"), ("2022.11-6+deb12u2", "2022.11"), ("2025.02-8+deb13u1", "2025.02")]
        {
            assert_eq!(upstream(&version.parse().unwrap()), release);
        }
    }
}
