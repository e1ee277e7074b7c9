//! Boots a built image in QEMU, with the pinned tools and a software TPM.
//!
//! QEMU and swtpm come from the spec's `run` root and run in a sandbox that shares the host's network and nothing else. The
//! disk is handed over read-only and the firmware's variables are a fresh copy, so that no boot can change what the next
//! one measures. TCG emulates the processor: slower than KVM, and the same on every host.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sealstone_inputs::{Scratch, Store};
use sealstone_sandbox::{Invocation, Mount, Network, Running, Stdio, Variation, Work};

use crate::error::{IoContext, PipelineError};

/// The spec's name for the root that holds QEMU, swtpm and OVMF.
pub const RUN_ROOT: &str = "run";

/// What init prints when the daemon accepts connections. `image/init` prints it; the boot tests fail if the two part ways.
const READY: &str = "sealstone: ready";
/// How init begins its last line before it powers off.
const FATAL: &str = "sealstone: fatal";

/// Starts the software TPM, then becomes QEMU, whose arguments it gets.
const SCRIPT: &str = "\
mkdir /build/tpm
cp /usr/share/OVMF/OVMF_VARS_4M.fd /build/vars.fd
swtpm socket --tpm2 --tpmstate dir=/build/tpm --ctrl type=unixio,path=/build/tpm/sock --terminate --daemon
exec qemu-system-x86_64 \"$@\"
";

/// How the firmware gets the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From `disk.raw`, as a disk of the machine.
    Disk,
    /// Kernel, initramfs and command line by QEMU's firmware configuration device.
    Direct,
}

/// The machine to boot in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How the firmware gets the image.
    pub way: Way,
    /// Files to attach as read-only disks besides the image's own, in this order, which means nothing to the image.
    pub packs: Vec<PathBuf>,
    /// Memory in MiB.
    pub memory: u32,
    /// Port of the loopback interface that leads to the daemon.
    pub port: u16,
    /// Port that the daemon listens on inside.
    pub guest_port: u16,
}

/// A booted machine. It ends with this value.
pub struct Booted {
    running: Running,
    lines: mpsc::Receiver<String>,
    _scratch: Scratch,
}

/// How long a boot took, in seconds of wall time.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// From starting QEMU to the daemon's readiness.
    pub seconds: f64,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Disk => "disk",
            Way::Direct => "direct",
        })
    }
}

/// A loopback port that nobody listens on at this moment.
pub fn free_port() -> Result<u16, PipelineError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|e| PipelineError::Boot(format!("finding a free loopback port: {e}")))
}

/// Starts the image in `dir` (an output folder) with the tools in `root`.
pub fn start(store: &Store, root: &Path, dir: &Path, machine: &Machine) -> Result<Booted, PipelineError> {
    let scratch = store.scratch()?;
    let (work, out) = (scratch.path().join("work"), scratch.path().join("out"));
    for made in [&work, &out] {
        fs::create_dir(made).doing("creating", made)?;
    }
    let cmdline = dir.join("cmdline");
    let cmdline = fs::read_to_string(&cmdline).doing("reading", &cmdline)?;
    let image = dir.canonicalize().doing("finding", dir)?;
    let mut argv: Vec<String> = ["/bin/sh", "-euc", SCRIPT, "run"].map(String::from).to_vec();
    argv.extend(arguments(machine, &cmdline));
    let mut mounts = vec![Mount { source: image, target: PathBuf::from("/in"), writable: false }];
    for (number, pack) in machine.packs.iter().enumerate() {
        let source = pack.canonicalize().doing("finding", pack)?;
        mounts.push(Mount { source, target: PathBuf::from(pack_inside(number)), writable: false });
    }
    let invocation = Invocation {
        root: root.to_path_buf(),
        work: Work::Dir(work),
        mounts,
        out,
        argv,
        env: BTreeMap::from([
            ("PATH".to_string(), "/usr/bin:/usr/sbin:/bin:/sbin".to_string()),
            ("HOME".to_string(), "/build".to_string()),
            ("LC_ALL".to_string(), "C".to_string()),
        ]),
        network: Network::Host,
        stdio: Stdio::Piped,
        variation: Variation { random_addresses: true, ..Variation::default() },
        devices: Vec::new(),
    };
    let mut running = sealstone_sandbox::spawn(&invocation)
        .map_err(|source| PipelineError::Sandbox { doing: "starting QEMU".into(), source })?;
    let (sender, lines) = mpsc::channel();
    if let Some(out) = running.take_stdout() {
        forward(out, sender.clone());
    }
    if let Some(err) = running.take_stderr() {
        forward(err, sender);
    }
    Ok(Booted { running, lines, _scratch: scratch })
}

impl Booted {
    /// Shows each line of the console to `show` until the machine ends.
    pub fn follow(self, show: &mut dyn FnMut(&str)) -> Result<(), PipelineError> {
        for line in &self.lines {
            show(&line);
        }
        self.running.wait().map_err(|source| PipelineError::Sandbox { doing: "running QEMU".into(), source })
    }

    /// Waits until the daemon says that it is ready, showing the console meanwhile.
    ///
    /// # Errors
    /// [`PipelineError::Boot`] if the machine gives up, ends or stays silent for longer than `patience`.
    pub fn wait_ready(&mut self, patience: Duration, show: &mut dyn FnMut(&str)) -> Result<Ready, PipelineError> {
        let started = Instant::now();
        let mut last = String::from("nothing");
        while let Some(left) = patience.checked_sub(started.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    show(&line);
                    if line.contains(READY) {
                        return Ok(Ready { seconds: started.elapsed().as_secs_f64() });
                    }
                    if line.contains(FATAL) {
                        return Err(PipelineError::Boot(format!("the image gave up: {line}")));
                    }
                    if !line.trim().is_empty() {
                        last = line;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => break,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(PipelineError::Boot(format!(
                        "the machine ended before the daemon was ready; its last line was: {last}"
                    )));
                }
            }
        }
        Err(PipelineError::Boot(format!("the daemon was not ready after {} s; the last line was: {last}", patience.as_secs())))
    }
}

/// Where a pack's file is shown to QEMU.
fn pack_inside(number: usize) -> String {
    format!("/packs/{number}")
}

fn arguments(machine: &Machine, cmdline: &str) -> Vec<String> {
    let fixed = "-nodefaults -no-user-config -machine q35,accel=tcg -cpu max -display none -no-reboot -serial stdio \
         -drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
         -drive if=pflash,unit=1,format=raw,file=/build/vars.fd \
         -chardev socket,id=t,path=/build/tpm/sock -tpmdev emulator,id=t,chardev=t -device tpm-crb,tpmdev=t";
    let mut all: Vec<String> = fixed.split_whitespace().map(String::from).collect();
    let mut option = |name: &str, value: String| all.extend([format!("-{name}"), value]);
    option("m", machine.memory.to_string());
    option("netdev", format!("user,id=n,hostfwd=tcp:127.0.0.1:{}-:{}", machine.port, machine.guest_port));
    // Without an option ROM: firmware would measure it, and nothing boots from the network.
    option("device", "virtio-net-pci,netdev=n,romfile=".into());
    for number in 0..machine.packs.len() {
        option("drive", format!("if=none,id=p{number},format=raw,readonly=on,file={}", pack_inside(number)));
        option("device", format!("virtio-blk-pci,drive=p{number}"));
    }
    match machine.way {
        Way::Disk => {
            option("drive", "if=none,id=d,format=raw,readonly=on,file=/in/disk.raw".into());
            option("device", "virtio-blk-pci,drive=d,bootindex=0".into());
        }
        Way::Direct => {
            option("kernel", "/in/vmlinuz".into());
            option("initrd", "/in/initrd".into());
            option("append", cmdline.into());
        }
    }
    all
}

/// Lines of what a program writes, without the control sequences by which firmware paints the screen.
fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let sent = to.send(plain(&line));
            line.clear();
            if sent.is_err() {
                break;
            }
        }
    });
}

/// Text without escape sequences and control characters. Source: ECMA-48, section 5.4 (CSI … final byte 0x40–0x7E).
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            '\u{1b}' => {
                chars.next();
            }
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screen_painting_is_dropped() {
        assert_eq!(plain(b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: starting\r\n"), "BdsDxe: starting");
        assert_eq!(plain(b"[    0.1] a\tb\xff\n"), "[    0.1] a\tb\u{fffd}");
        assert_eq!(plain(b"\x1b[31"), "");
    }
}
