//! Boots a built image in QEMU, with the pinned tools and a software TPM.
//!
//! QEMU and swtpm come from the spec's `run` root and run in a sandbox that shares the host's network and nothing else; a user
//! may name a QEMU of his own, which runs as any program of his, with the pinned firmware and TPM. The
//! disk is handed over read-only and the firmware's variables are a fresh copy, so that no boot can change what the next
//! one measures. TCG emulates the processor: slower than KVM, and the same on every host.

mod button;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sealstone_inputs::{Scratch, Store};
use sealstone_sandbox::{HostCommand, HostRunning, Invocation, Mount, Network, Running, Stdio, Variation, Work};

use crate::error::{IoContext, PipelineError};
use button::Button;

/// The spec's name for the root that holds QEMU, swtpm and OVMF.
pub const RUN_ROOT: &str = "run";

/// What init prints when the daemon accepts connections. `image/init` prints it; the boot tests fail if the two part ways.
const READY: &str = "sealstone: ready";
/// How init begins its last line before it powers off.
const FATAL: &str = "sealstone: fatal";

/// The processor that TCG emulates: all that it can, but for the word that `rep stosb` is fast. TCG does that byte by byte, and a kernel that
/// believes the word wipes its memory so, which takes two of five seconds of a boot.
const EMULATED: &str = "max,erms=off";

/// How long an image may take to switch off: longer than init gives the requests that run (`image/init/src/front.rs`).
const FAREWELL: Duration = Duration::from_secs(70);
/// Between two presses of the power button: one that firmware or a starting kernel was given is lost.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two looks at whether the machine is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Starts the software TPM, then becomes QEMU, whose arguments it gets.
const SCRIPT: &str = "\
mkdir -p /build/tpm
cp /usr/share/OVMF/OVMF_VARS_4M.fd /build/vars.fd
swtpm socket --tpm2 --tpmstate dir=/build/tpm --ctrl type=unixio,path=/build/tpm/sock --terminate --daemon
exec qemu-system-x86_64 \"$@\"
";

/// Becomes the software TPM of a QEMU outside, and says first that its socket is there.
const TPM_SCRIPT: &str = "\
mkdir -p /build/tpm
cp /usr/share/OVMF/OVMF_VARS_4M.fd /build/vars.fd
swtpm socket --tpm2 --tpmstate dir=/build/tpm --ctrl type=unixio,path=/build/tpm/sock --terminate --daemon
echo started
while [ -S /build/tpm/sock ]; do sleep 1; done
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
    /// Folder with the state of a software TPM (`swtpm`), of which the machine's gets a copy; otherwise it begins as a new one.
    pub tpm_state: Option<PathBuf>,
    /// Memory in MiB.
    pub memory: u32,
    /// Port of the loopback interface that leads to the daemon.
    pub port: u16,
    /// Port that the daemon listens on inside.
    pub guest_port: u16,
    /// Whose QEMU, and how it runs the processor.
    pub qemu: Qemu,
}

/// The QEMU that boots.
#[derive(Clone, Debug)]
pub enum Qemu {
    /// That of the `run` root, isolated, emulating the processor: the same on every host.
    Pinned,
    /// A program of the host, not isolated, with its value of `-accel`. Firmware and TPM stay the pinned ones.
    Own {
        /// The program.
        program: PathBuf,
        /// Such as `kvm` or `tcg`.
        accel: String,
    },
}

/// What runs QEMU, and where it finds the files.
struct Places {
    dir: PathBuf,
    packs: Vec<PathBuf>,
    firmware: PathBuf,
    work: PathBuf,
}

/// A booted machine. It ends with this value.
pub struct Booted {
    /// QEMU comes last.
    processes: Vec<Process>,
    lines: mpsc::Receiver<String>,
    button: Button,
    _scratch: Scratch,
}

/// A program that belongs to a machine.
enum Process {
    Isolated(Running),
    Own(HostRunning),
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
    let button = Button::of(&work)?;
    if let Some(state) = &machine.tpm_state {
        copy_files(state, &work.join("tpm"))?;
    }
    let cmdline = dir.join("cmdline");
    let cmdline = fs::read_to_string(&cmdline).doing("reading", &cmdline)?;
    let image = dir.canonicalize().doing("finding", dir)?;
    let packs = machine.packs.iter().map(|pack| pack.canonicalize().doing("finding", pack));
    let packs = packs.collect::<Result<Vec<_>, _>>()?;
    let (mut processes, listened) = match &machine.qemu {
        Qemu::Pinned => (pinned(root, work, out, (image, packs), machine, &cmdline)?, 0),
        Qemu::Own { program, accel } => {
            let tpm = isolated(root, work.clone(), out, Vec::new(), vec!["/bin/sh".into(), "-euc".into(), TPM_SCRIPT.into()])?;
            let mut processes = vec![Process::Isolated(started(tpm)?)];
            let firmware = root.join("usr/share/OVMF/OVMF_CODE_4M.fd");
            let mut argv = vec![program.display().to_string()];
            argv.extend(arguments(machine, accel, &cmdline, &Places { dir: image, packs, firmware, work }));
            let command = HostCommand { argv, ..HostCommand::default() };
            let running = sealstone_sandbox::host_spawn(&command);
            processes
                .push(Process::Own(running.map_err(|source| PipelineError::Sandbox { doing: "starting QEMU".into(), source })?));
            (processes, 1)
        }
    };
    let (sender, lines) = mpsc::channel();
    for process in processes.iter_mut().skip(listened) {
        process.forward(&sender);
    }
    Ok(Booted { processes, lines, button, _scratch: scratch })
}

/// Copies the files in `from`, of which there must be one, into the new folder `to`.
fn copy_files(from: &Path, to: &Path) -> Result<(), PipelineError> {
    fs::create_dir(to).doing("creating", to)?;
    let mut count = 0_usize;
    for entry in fs::read_dir(from).doing("reading", from)? {
        let path = entry.doing("reading", from)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, to.join(name)).doing("copying", &path)?;
            count = count.saturating_add(1);
        }
    }
    match count {
        0 => Err(PipelineError::Boot(format!("{} has no state of a TPM: there is no file in it", from.display()))),
        _ => Ok(()),
    }
}

/// The pinned QEMU with its TPM, in one sandbox.
fn pinned(
    root: &Path,
    work: PathBuf,
    out: PathBuf,
    (image, packs): (PathBuf, Vec<PathBuf>),
    machine: &Machine,
    cmdline: &str,
) -> Result<Vec<Process>, PipelineError> {
    let inside = Places {
        dir: "/in".into(),
        packs: (0..packs.len()).map(|number| format!("/packs/{number}").into()).collect(),
        firmware: "/usr/share/OVMF/OVMF_CODE_4M.fd".into(),
        work: "/build".into(),
    };
    let shown = |(source, target): (PathBuf, &PathBuf)| Mount { source, target: target.clone(), writable: false };
    let mut mounts = vec![shown((image, &inside.dir))];
    mounts.extend(packs.into_iter().zip(&inside.packs).map(shown));
    let mut argv: Vec<String> = ["/bin/sh", "-euc", SCRIPT, "run"].map(String::from).to_vec();
    argv.extend(arguments(machine, "tcg", cmdline, &inside));
    Ok(vec![Process::Isolated(isolated(root, work, out, mounts, argv)?)])
}

/// A program of the `run` root, with the host's network, nothing else of the host but `mounts`, and `work` as `/build`.
fn isolated(root: &Path, work: PathBuf, out: PathBuf, mounts: Vec<Mount>, argv: Vec<String>) -> Result<Running, PipelineError> {
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
    sealstone_sandbox::spawn(&invocation)
        .map_err(|source| PipelineError::Sandbox { doing: "starting QEMU and its TPM".into(), source })
}

/// Waits for the first line of a TPM that runs beside QEMU.
fn started(mut tpm: Running) -> Result<Running, PipelineError> {
    let mut line = String::new();
    if let Some(out) = tpm.take_stdout() {
        let read = BufReader::new(out).read_line(&mut line);
        read.map_err(|e| PipelineError::Boot(format!("listening to the software TPM: {e}")))?;
    }
    match line.trim() {
        "started" => Ok(tpm),
        _ => Err(PipelineError::Boot("the software TPM did not start".into())),
    }
}

impl Process {
    /// Hands on what it writes.
    fn forward(&mut self, to: &mpsc::Sender<String>) {
        let (out, err) = match self {
            Process::Isolated(running) => (running.take_stdout(), running.take_stderr()),
            Process::Own(running) => (running.take_stdout(), running.take_stderr()),
        };
        if let Some(out) = out {
            forward(out, to.clone());
        }
        if let Some(err) = err {
            forward(err, to.clone());
        }
    }

    fn wait(self) -> Result<(), PipelineError> {
        let ended = match self {
            Process::Isolated(running) => running.wait(),
            Process::Own(running) => running.wait(),
        };
        ended.map_err(|source| PipelineError::Sandbox { doing: "running QEMU".into(), source })
    }
}

impl Booted {
    /// Shows each line of the console to `show` until the machine ends.
    ///
    /// The first word from `end` presses the machine's power button, at which the image finishes the requests that run; the second ends the
    /// machine.
    ///
    /// # Errors
    /// [`PipelineError::Boot`] if the machine had to be ended, because of a second word or because it did not switch off in time.
    pub fn follow(mut self, end: &mpsc::Receiver<()>, show: &mut dyn FnMut(&str)) -> Result<(), PipelineError> {
        let ended = |why: String| Err(PipelineError::Boot(format!("the machine was ended, {why}")));
        let mut asked: Option<Instant> = None;
        let mut presses = 0;
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => show(&line),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.processes.pop().map_or(Ok(()), Process::wait),
            }
            match (end.try_recv(), asked) {
                (Ok(()), Some(_)) => return ended("as asked a second time".into()),
                (Ok(()), None) => asked = Some(Instant::now()),
                (Err(_), _) => {}
            }
            let Some(since) = asked else { continue };
            if since.elapsed() >= FAREWELL {
                return ended(format!("because it did not switch off within {} s of its power button", FAREWELL.as_secs()));
            }
            if since.elapsed() >= AGAIN * presses {
                presses += 1;
                // Also refused by a QEMU that has just ended by itself, which the next look finds.
                if let Err(error) = self.button.press() {
                    show(&format!("sealstone: {error}"));
                }
            }
        }
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

fn arguments(machine: &Machine, accel: &str, cmdline: &str, places: &Places) -> Vec<String> {
    let fixed = "-nodefaults -no-user-config -display none -no-reboot -serial stdio \
         -tpmdev emulator,id=t,chardev=t -device tpm-crb,tpmdev=t";
    let mut all: Vec<String> = fixed.split_whitespace().map(String::from).collect();
    let mut option = |name: &str, value: String| all.extend([format!("-{name}"), value]);
    // In an option of QEMU's a comma ends a value, and two are one.
    let file = |path: &Path| path.display().to_string().replace(',', ",,");
    option("machine", format!("q35,accel={accel}"));
    option("cpu", if accel == "tcg" { EMULATED.into() } else { "max".into() });
    option("drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={}", file(&places.firmware)));
    option("drive", format!("if=pflash,unit=1,format=raw,file={}", file(&places.work.join("vars.fd"))));
    option("chardev", format!("socket,id=t,path={}", file(&places.work.join("tpm/sock"))));
    option("qmp", format!("unix:{},server=on,wait=off", file(&places.work.join(button::SOCKET))));
    option("m", machine.memory.to_string());
    option("netdev", format!("user,id=n,hostfwd=tcp:127.0.0.1:{}-:{}", machine.port, machine.guest_port));
    // Without an option ROM: firmware would measure it, and nothing boots from the network.
    option("device", "virtio-net-pci,netdev=n,romfile=".into());
    for (number, pack) in places.packs.iter().enumerate() {
        option("drive", format!("if=none,id=p{number},format=raw,readonly=on,file={}", file(pack)));
        option("device", format!("virtio-blk-pci,drive=p{number}"));
    }
    match machine.way {
        Way::Disk => {
            option("drive", format!("if=none,id=d,format=raw,readonly=on,file={}", file(&places.dir.join("disk.raw"))));
            option("device", "virtio-blk-pci,drive=d,bootindex=0".into());
        }
        Way::Direct => {
            option("kernel", places.dir.join("vmlinuz").display().to_string());
            option("initrd", places.dir.join("initrd").display().to_string());
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

    #[test]
    fn a_comma_in_a_path_stays_in_it() {
        let machine = Machine {
            way: Way::Disk,
            packs: Vec::new(),
            tpm_state: None,
            memory: 1024,
            port: 1,
            guest_port: 2,
            qemu: Qemu::Own { program: "qemu".into(), accel: "kvm".into() },
        };
        let places = Places { dir: "/a,b".into(), packs: vec!["/p,q".into()], firmware: "/f".into(), work: "/w".into() };
        let all = arguments(&machine, "kvm", "", &places);
        assert!(all.contains(&"if=none,id=d,format=raw,readonly=on,file=/a,,b/disk.raw".to_string()), "{all:?}");
        assert!(all.contains(&"if=none,id=p0,format=raw,readonly=on,file=/p,,q".to_string()), "{all:?}");
        assert!(all.contains(&"q35,accel=kvm".to_string()) && all.contains(&"max".to_string()), "{all:?}");
        assert!(arguments(&machine, "tcg", "", &places).contains(&EMULATED.to_string()));
    }
}
