//! A small image: every file of an output folder, made of constants by the writers that a build uses.

use std::collections::BTreeMap;

use ovmf_measure::boot::{Boot, boot_profile};
use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::snp::{PageInfo, PageType, vmm_profile};
use ovmf_measure::tpm;
use ovmf_measure::transcript::{ControlledBy, Event, Input, Kind, Op, Register, Source, registers};
use sealstone_bom::provenance::{Provenance, Resource, Role};
use sealstone_compare::side::Files;
use sealstone_formats::{cpio, erofs, fat, gpt, pack, pe, verity};
use sealstone_release::hex::Sha256;
use sealstone_release::pin;

pub(crate) const EPOCH: u64 = 1_783_764_997;

/// What a test may change. The default is the image that all are compared with.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) kernel_version: &'static str,
    pub(crate) kernel_option: &'static str,
    pub(crate) init_source: &'static str,
    /// What no input decides: a defect of the build.
    pub(crate) noise: &'static str,
    pub(crate) daemon_mode: u32,
    pub(crate) cmdline: &'static str,
    pub(crate) salt: u8,
    pub(crate) volume_id: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            kernel_version: "6.12.107",
            kernel_option: "y",
            init_source: "fn main() {}",
            noise: "",
            daemon_mode: 0o755,
            cmdline: "console=ttyS0 loglevel=0",
            salt: 7,
            volume_id: 0x1234_abcd,
        }
    }
}

impl Recipe {
    /// The output folder, with the symbols that reproducing has at hand as well.
    pub(crate) fn files(&self) -> Files {
        // A compiler of sorts: what it makes is a function of what it is given.
        let code = [&[0x90; 16], format!("loops {}", self.kernel_option).as_bytes(), &[0xcc; 24]].concat();
        let vmlinux = elf(&[(".text", 0xffff_ffff_8100_0000, &code)]);
        let kernel = kernel(&format!("{} (sealstone)", self.kernel_version), &vmlinux);
        let init = format!("\u{1}program of {}{}", self.init_source, self.noise).into_bytes();
        let daemon = b"program that serves".to_vec();
        let (pack, root) = self.pack();
        let salt = verity::Salt::from_bytes([self.salt; 32]);
        let config = format!(
            "{{\"models\":[{{\"name\":\"small\",\"root\":\"{root}\",\"salt\":\"{salt}\"}}],\"schema\":\"sealstone/config/v1\"}}"
        );
        let initrd = self.initrd(&init, &daemon, config.as_bytes());
        let stub = program(&[(".text", &[0x90; 300]), (".sdmagic", b"#### LoaderInfo: systemd-stub 252 ####")]);
        let section = |name, content| pe::UkiSection { name, content };
        let uki = pe::write_uki(
            &stub,
            &[
                section(".linux", &kernel),
                section(".osrel", b"ID=sealstone\n"),
                section(".cmdline", self.cmdline.as_bytes()),
                section(".initrd", &initrd),
            ],
        )
        .unwrap();
        let mut files = Files::from([
            ("vmlinuz".to_owned(), kernel),
            ("initrd".to_owned(), initrd),
            ("cmdline".to_owned(), self.cmdline.as_bytes().to_vec()),
            ("disk.raw".to_owned(), self.disk(&uki)),
            ("uki.efi".to_owned(), uki),
            ("config.json".to_owned(), config.into_bytes()),
            ("kernel.config".to_owned(), format!("CONFIG_64BIT=y\n{}\n", self.option()).into_bytes()),
            ("packs/small".to_owned(), pack),
        ]);
        files.insert("pin.json".into(), self.pin(&files).to_text().into_bytes());
        let provenance = self
            .provenance(&files, &[("userland/init", &init), ("userland/daemon", &daemon), ("uki-stub/linuxx64.efi.stub", &stub)]);
        files.insert("provenance.json".into(), provenance.to_text().into_bytes());
        files.insert("System.map".into(), b"ffffffff81000000 T start_kernel\nffffffff81000010 t loops\n".to_vec());
        files
    }

    fn option(&self) -> String {
        match self.kernel_option {
            "n" => "# CONFIG_LOOPS is not set".into(),
            value => format!("CONFIG_LOOPS={value}"),
        }
    }

    fn initrd(&self, init: &[u8], daemon: &[u8], config: &[u8]) -> Vec<u8> {
        let folder = |path| cpio::Entry { path, mode: 0o755, kind: cpio::Kind::Directory };
        let file = |path, mode, data| cpio::Entry { path, mode, kind: cpio::Kind::File(data) };
        let entries = [
            folder("."),
            file("init", 0o755, init),
            file("daemon", self.daemon_mode, daemon),
            folder("etc"),
            folder("etc/sealstone"),
            file("etc/sealstone/config.json", 0o444, config),
        ];
        let mut out = Vec::new();
        cpio::write(&entries, EPOCH, &mut out).unwrap();
        out
    }

    fn disk(&self, uki: &[u8]) -> Vec<u8> {
        let files = [fat::File { path: "EFI/BOOT/BOOTX64.EFI", content: uki }];
        let volume = fat::VolumeSpec { label: "ESP", id: self.volume_id, epoch: EPOCH, hidden_sectors: 2048, files: &files };
        let esp = fat::write(&volume).unwrap();
        let guid = |name| gpt::Guid::derive(&[0x5a; 32], name);
        let partition =
            gpt::Partition { kind: gpt::Guid::EFI_SYSTEM, guid: guid("ESP"), name: "ESP", attributes: 0, content: &esp };
        let mut out = Vec::new();
        gpt::write(&gpt::Disk { guid: guid("disk"), partitions: &[partition] }, &mut out).unwrap();
        out
    }

    fn pack(&self) -> (Vec<u8>, verity::Root) {
        let model = [0x5a; 9000];
        let uuid = pack::Identity::derive("small", &[1; 32]).uuid;
        let files = [erofs::File { path: "model.gguf", size: model.len() as u64 }];
        let mut disk = Vec::new();
        erofs::write(&erofs::Image { uuid, epoch: EPOCH, files: &files }, |_| Ok(model.as_slice()), &mut disk).unwrap();
        let mut area = Vec::new();
        let root = verity::write(&disk, &verity::Salt::from_bytes([self.salt; 32]), uuid, &mut area).unwrap();
        disk.extend(area);
        (disk, root)
    }

    fn provenance(&self, files: &Files, made: &[(&str, &[u8])]) -> Provenance {
        let subject = files.iter().map(|(name, bytes)| Resource::of(name, bytes)).collect();
        let source = format!("source/linux/linux-source-6.12={}-1", self.kernel_version);
        let inputs = vec![
            Resource::of(source, self.kernel_version.as_bytes()).used(Role::Source, ["kernel"]),
            Resource::of("file/kernel-config/resolved.config", self.kernel_option.as_bytes()).used(Role::File, ["kernel"]),
            Resource::of("file/image/init/src/main.rs", self.init_source.as_bytes()).used(Role::File, ["userland"]),
            Resource::of("file/image/inference.yaml", self.spec().as_bytes()).used(Role::File, ["assembly"]),
        ];
        let key = |action: &str| {
            let into = match action {
                "kernel" => format!("{} {}", self.kernel_version, self.kernel_option),
                "userland" => self.init_source.to_owned(),
                _ => String::new(),
            };
            sealstone_spec::Sha256::of(format!("{action} {into}").as_bytes())
        };
        let kernel = [("kernel/bzImage", files["vmlinuz"].as_slice()), ("kernel/config", files["kernel.config"].as_slice())];
        let byproducts = made.iter().copied().chain(kernel).map(|(name, bytes)| {
            let mut made = Resource::of(name, bytes);
            made.annotations.key = Some(key(name.split('/').next().unwrap()));
            made
        });
        Provenance::new("image/inference.yaml".into(), "0.1.0", subject, inputs, byproducts.collect())
    }

    /// Of the spec nothing but the command line is changed by a test.
    fn spec(&self) -> String {
        format!("cmdline: {}", self.cmdline)
    }

    fn pin(&self, files: &Files) -> pin::Pin {
        let file = |name: &str| pin::File::of(&files[name]);
        let contents = pin::Contents {
            schema: pin::SCHEMA.into(),
            image: pin::Image {
                name: "inference".into(),
                version: "0.1.0".into(),
                kernel: file("vmlinuz"),
                initrd: file("initrd"),
                cmdline: self.cmdline.into(),
                uki: file("uki.efi"),
                disk: file("disk.raw"),
            },
            source: pin::Source { spec_sha256: Sha256::of(self.spec().as_bytes()), lock_sha256: Sha256::of(b"lock") },
            models: Vec::new(),
            profiles: vec![snp(files), tdx(files), tpm2(files)],
            validity: None,
            supersedes: None,
        };
        pin::Pin::new(contents).unwrap()
    }
}

fn event(register: Register, kind: Kind, op: Op, digest: Digest, input: Input, how: &str) -> Event {
    let source = Source { input, how: how.into() };
    Event { register, kind, op, digest, or: Vec::new(), size: None, source, controlled_by: ControlledBy::Image }
}

fn firmware() -> pin::NamedFile {
    pin::NamedFile { name: "OVMF.fd".into(), sha256: Sha256::of(b"firmware"), size: 8 }
}

/// A launch whose pages hash as ours do; what is in them follows from the files, which is all that a comparison is about.
fn snp(files: &Files) -> pin::Profile {
    let hash = |bytes: &[u8]| Algorithm::Sha384.hash(bytes);
    let gpa = vmm_profile("qemu").unwrap().vmsa_gpa();
    let pages = |page_type, gpa| Op::SnpPages(PageInfo { page_type, gpa, step: 0, count: 1 });
    let hashes =
        [files["cmdline"].as_slice(), &files["initrd"], &files["vmlinuz"]].map(|bytes| hash(bytes).as_bytes().to_vec()).concat();
    let at = |kind, op, digest, input| event(Register::Launch, kind, op, digest, input, "");
    let before = vec![
        at(Kind::Firmware, Op::Set, hash(b"firmware"), Input::Firmware),
        at(Kind::KernelHashes, pages(PageType::Normal, 0x1000), hash(&hashes), Input::Kernel),
    ];
    let pre_vmsa = registers(&before).unwrap()[&Register::Launch][0];
    let (bsp_vmsa, ap_vmsa) = (hash(b"boot processor"), hash(b"application processor"));
    let mut events = before;
    events.extend([bsp_vmsa, ap_vmsa].map(|digest| at(Kind::Vmsa, pages(PageType::Vmsa, gpa), digest, Input::VcpuType)));
    pin::Profile::Snp(pin::SnpProfile {
        id: "snp".into(),
        firmware: firmware(),
        vmm: "qemu".into(),
        params: pin::SnpParams { vcpu_type: "EPYC-v4".into(), guest_features: 1 },
        launch: pin::SnpLaunch { pre_vmsa, bsp_vmsa, ap_vmsa, by_vcpus: BTreeMap::new() },
        events,
    })
}

fn tdx(files: &Files) -> pin::Profile {
    let hash = |name: &str| Algorithm::Sha384.hash(&files[name]);
    let extend = |number, digest, input| event(Register::Rtmr(number), Kind::EventTag, Op::Extend, digest, input, "");
    let events = vec![
        event(Register::Mrtd, Kind::TdBuild, Op::Set, Algorithm::Sha384.hash(b"firmware"), Input::Firmware, ""),
        extend(1, hash("vmlinuz"), Input::Kernel),
        extend(2, hash("cmdline"), Input::Cmdline),
        extend(2, hash("initrd"), Input::Initrd),
    ];
    let mut values = registers(&events).unwrap();
    pin::Profile::Tdx(pin::TdxProfile {
        id: "tdx".into(),
        firmware: firmware(),
        vmm: "qemu".into(),
        params: pin::TdxParams {
            boot: pin::Boot::Direct,
            behaviour: "qemu-ovmf-2025.02".into(),
            page_order: pin::PageOrder::Page,
            kernel_header: vec![pin::KernelHeader::Raw],
            memory_mib: Vec::new(),
        },
        launch: pin::TdxLaunch {
            mrtd: values.remove(&Register::Mrtd).unwrap(),
            rtmr0: None,
            rtmr1: values.remove(&Register::Rtmr(1)),
            rtmr2: values.remove(&Register::Rtmr(2)),
            rtmr3: None,
        },
        events,
    })
}

/// As really predicted.
fn tpm2(files: &Files) -> pin::Profile {
    let profile = boot_profile("qemu-7.2-ovmf-2022.11").unwrap();
    let request = tpm::Request { boot: Boot::Disk(&files["disk.raw"]), bank: Algorithm::Sha256, profile: &profile, memory: None };
    let events = tpm::measure(&request).unwrap().events;
    let pcr = |(register, values)| match register {
        Register::Pcr(number) => (pin::PcrIndex::new(number).unwrap(), values),
        other => panic!("{other} in a TPM"),
    };
    pin::Profile::Tpm(pin::TpmProfile {
        id: "tpm".into(),
        firmware: pin::Firmware::File(firmware()),
        vmm: "qemu".into(),
        params: pin::TpmParams {
            boot: pin::Boot::Disk,
            behaviour: profile.id.clone(),
            kernel_header: Vec::new(),
            memory_mib: Vec::new(),
        },
        launch: pin::TpmLaunch {
            bank: Algorithm::Sha256,
            pcrs: registers(&events).unwrap().into_iter().map(pcr).collect(),
            unpinned: vec![0, 1, 2, 3, 6, 7, 10, 14],
        },
        events,
    })
}

/// A kernel as boot loaders see it: a PE image whose headers hold the setup header, and whose code holds the payload.
fn kernel(version: &str, vmlinux: &[u8]) -> Vec<u8> {
    let payload = ruzstd::encoding::compress_to_vec(vmlinux, ruzstd::encoding::CompressionLevel::Fastest);
    let mut code = vec![0xcc; 0x40];
    code.extend(&payload);
    code.extend(u32::try_from(vmlinux.len()).unwrap().to_le_bytes());
    code.extend([0xee; 32]);
    let mut out = program(&[(".text", &code), (".data", b"data")]);
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x202, b"HdrS");
    put(0x206, &0x20fu16.to_le_bytes());
    put(0x20e, &0x100u16.to_le_bytes());
    put(0x248, &0x40u32.to_le_bytes());
    put(0x24c, &u32::try_from(payload.len() + 4).unwrap().to_le_bytes());
    put(0x300, version.as_bytes());
    out
}

/// A PE32+ image with 0x400 bytes of headers.
fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut table, mut data) = (Vec::new(), Vec::new());
    let mut address = 0x1000u32;
    for (name, content) in sections {
        let size = u32::try_from(content.len()).unwrap();
        let raw_size = size.next_multiple_of(0x200);
        let mut header = name.as_bytes().to_vec();
        header.resize(8, 0);
        let raw = 0x400 + u32::try_from(data.len()).unwrap();
        for value in [size, address, raw_size, raw, 0, 0, 0, 0x6000_0020] {
            header.extend(value.to_le_bytes());
        }
        table.extend(header);
        data.extend(*content);
        data.resize(data.len().next_multiple_of(0x200), 0);
        address = (address + size).next_multiple_of(0x1000);
    }
    let mut out = b"MZ".to_vec();
    out.resize(60, 0);
    out.extend(0x80u32.to_le_bytes());
    out.resize(0x80, 0);
    out.extend(b"PE\0\0");
    out.extend(0x8664u16.to_le_bytes());
    out.extend(u16::try_from(sections.len()).unwrap().to_le_bytes());
    out.extend([0; 12]);
    out.extend(240u16.to_le_bytes());
    out.extend(0x206u16.to_le_bytes());
    let optional = out.len();
    out.resize(optional + 240, 0);
    let mut put = |at: usize, bytes: &[u8]| out[optional + at..optional + at + bytes.len()].copy_from_slice(bytes);
    put(0, &0x20bu16.to_le_bytes());
    put(16, &0x1000u32.to_le_bytes());
    put(32, &0x200u32.to_le_bytes());
    put(36, &0x200u32.to_le_bytes());
    put(44, &1u16.to_le_bytes());
    put(56, &address.to_le_bytes());
    put(60, &0x400u32.to_le_bytes());
    put(68, &10u16.to_le_bytes());
    put(108, &16u32.to_le_bytes());
    out.extend(table);
    out.resize(0x400, 0);
    out.extend(data);
    out
}

/// A little-endian 64-bit ELF file of sections alone.
fn elf(sections: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut data = Vec::new();
    let mut headers = vec![0; 64];
    let mut header = |name: usize, kind: u32, address: u64, at: usize, size: usize| {
        headers.extend(u32::try_from(name).unwrap().to_le_bytes());
        headers.extend(kind.to_le_bytes());
        for long in [0, address, at as u64, size as u64, 0, 1, 0] {
            headers.extend(long.to_le_bytes());
        }
    };
    for (name, address, content) in sections {
        header(names.len(), 1, *address, 64 + data.len(), content.len());
        names.extend(name.as_bytes());
        names.push(0);
        data.extend(*content);
    }
    header(0, 3, 0, 64 + data.len(), names.len());
    data.extend(names);
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(40, 0);
    out.extend((64 + data.len() as u64).to_le_bytes());
    out.resize(58, 0);
    for half in [64, u16::try_from(sections.len()).unwrap() + 2, u16::try_from(sections.len()).unwrap() + 1] {
        out.extend(half.to_le_bytes());
    }
    out.extend(data);
    out.extend(headers);
    out
}
