//! The outer side: starts the inner one, listens to it, judges how the program ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStderr, ChildStdout, Command};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Ending, SandboxError};
use crate::host::{self, HostProblem};
use crate::invocation::{Invocation, Stdio, Work};
use crate::plan::{INNER_ARGUMENT, Plan, Report};

/// How much of a log an error shows.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 40;

/// Where libfaketime is in a root that has Debian's package of that name.
const FAKETIME: &str = "usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Runs a program in isolation and waits for it and everything it started to end.
///
/// # Errors
/// [`SandboxError::Host`] if the host forbids it, [`SandboxError::Setup`] for a wrong path,
/// [`SandboxError::Failed`], [`SandboxError::OutOfMemory`] or [`SandboxError::DiskFull`] if the program failed.
pub fn run(invocation: &Invocation) -> Result<(), SandboxError> {
    spawn(invocation)?.wait()
}

/// Starts a program in isolation; returns once it runs. For programs that run beside the caller, like a virtual machine.
///
/// # Errors
/// As [`run`], but for how the program ends.
pub fn spawn(invocation: &Invocation) -> Result<Running, SandboxError> {
    let resolved = resolve(invocation)?;
    let (stdout, stderr) = outputs(&resolved.stdio)?;
    let log = match &resolved.stdio {
        Stdio::Log(path) => Some(path.clone()),
        Stdio::Inherit | Stdio::Piped => None,
    };
    let argv = resolved.argv.clone();
    let out_of_memory_before = out_of_memory_kills();
    let inner = Inner::start(&Plan::Run(Box::new(resolved)), stdout, stderr)?;
    Ok(Running { inner, argv, log, out_of_memory_before })
}

/// Lets the inner side do everything up to starting a program.
pub(crate) fn probe(plan: &Plan) -> Result<(), SandboxError> {
    let mut inner = Inner::start(plan, process::Stdio::null(), process::Stdio::null())?;
    inner.child.wait().map(drop).map_err(SandboxError::io("waiting for", "the sandbox"))
}

/// A program that runs in isolation. It ends with this value, with the calling process, or when its first process ends.
#[derive(Debug)]
pub struct Running {
    inner: Inner,
    argv: Vec<String>,
    log: Option<PathBuf>,
    out_of_memory_before: u64,
}

impl Running {
    /// The program's standard output, once, if it was started with [`Stdio::Piped`].
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.inner.child.stdout.take()
    }

    /// The program's standard error, once, if it was started with [`Stdio::Piped`].
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.inner.child.stderr.take()
    }

    /// Whether the program still runs. When it doesn't, [`Running::wait`] returns at once.
    ///
    /// # Errors
    /// [`SandboxError::Io`] if the kernel doesn't say.
    pub fn is_running(&mut self) -> Result<bool, SandboxError> {
        let status = self.inner.child.try_wait().map_err(SandboxError::io("looking after", "the sandbox"))?;
        Ok(status.is_none())
    }

    /// Waits for the program to end.
    ///
    /// # Errors
    /// Unless it ended well: [`SandboxError::Failed`] and its kin, [`SandboxError::Interrupted`].
    pub fn wait(mut self) -> Result<(), SandboxError> {
        let report = self.inner.next_report();
        self.inner.child.wait().map_err(SandboxError::io("waiting for", "the sandbox"))?;
        match report {
            Some(Report::Ended { code, signal, full }) => match Report::ending(code, signal) {
                None => Ok(()),
                Some(ending) => Err(self.failure(ending, full)),
            },
            Some(Report::Lost { what }) => Err(self.interrupted(what)),
            Some(Report::Setup(failure)) => Err(host::explain(failure)),
            Some(Report::Started | Report::NotStarted { .. }) | None => Err(self.interrupted("its supervisor was killed".into())),
        }
    }

    /// Ends the program and everything it started, and waits until all of it is gone.
    pub fn kill(self) {
        drop(self);
    }

    fn failure(&self, ending: Ending, full: Option<String>) -> SandboxError {
        let argv = self.argv.clone();
        let log_tail = self.log.as_deref().map(log_tail).unwrap_or_default();
        match full {
            _ if out_of_memory_kills() > self.out_of_memory_before => SandboxError::OutOfMemory { argv, ending, log_tail },
            Some(place) => SandboxError::DiskFull { argv, ending, place, log_tail },
            None => SandboxError::Failed { argv, ending, log_tail },
        }
    }

    fn interrupted(&self, mut what: String) -> SandboxError {
        if out_of_memory_kills() > self.out_of_memory_before {
            what.push_str("; the kernel ran out of memory meanwhile");
        }
        SandboxError::Interrupted { argv: self.argv.clone(), what }
    }
}

/// The re-executed program and the line to it.
#[derive(Debug)]
struct Inner {
    child: Child,
    control: BufReader<UnixStream>,
}

impl Inner {
    /// Returns once the program runs, or with why it doesn't.
    fn start(plan: &Plan, stdout: process::Stdio, stderr: process::Stdio) -> Result<Inner, SandboxError> {
        let io = |doing| SandboxError::io(doing, "the sandbox");
        let line = plan_line(plan)?;
        let (ours, theirs) = UnixStream::pair().map_err(io("making a socket to"))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(INNER_ARGUMENT).env_clear().current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(stdout).stderr(stderr);
        if !Path::new("/proc/self/exe").exists() {
            return Err(HostProblem::NoProc.into());
        }
        let child = command.spawn().map_err(io("starting"))?;
        // The command holds the other end; as long as it is open here, the end of the inner process would go unnoticed.
        drop(command);
        let mut inner = Inner { child, control: BufReader::new(ours) };
        // A program that doesn't listen may be gone already; what it reports, or that it doesn't, tells more than this.
        let _ = inner.control.get_mut().write_all(&line);
        match inner.next_report() {
            Some(Report::Started) => Ok(inner),
            Some(Report::Setup(failure)) => Err(host::explain(failure)),
            Some(Report::NotStarted { errno }) => {
                let argv = if let Plan::Run(invocation) = plan { invocation.argv.clone() } else { Vec::new() };
                Err(SandboxError::NotStarted { argv, source: io::Error::from_raw_os_error(errno) })
            }
            Some(Report::Lost { what }) => Err(SandboxError::Interrupted { argv: Vec::new(), what }),
            Some(Report::Ended { .. }) | None => {
                let status = inner.child.wait().map_err(io("waiting for"))?;
                Err(SandboxError::NoInnerStage { status: status.to_string() })
            }
        }
    }

    fn next_report(&mut self) -> Option<Report> {
        let mut line = Vec::new();
        self.control.read_until(b'\n', &mut line).ok()?;
        serde_json::from_slice(&line).ok()
    }
}

impl Drop for Inner {
    /// The supervisor ends PID 1 when the socket is shut, and itself when PID 1 and all that it started are gone.
    fn drop(&mut self) {
        let _ = self.control.get_ref().shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

fn plan_line(plan: &Plan) -> Result<Vec<u8>, SandboxError> {
    let mut line = serde_json::to_vec(plan)
        .map_err(|e| SandboxError::Setup { step: "writing the sandbox's plan: paths must be UTF-8".into(), source: e.into() })?;
    line.push(b'\n');
    Ok(line)
}

/// The same invocation with every path of the host absolute and free of links, and the clock turned into environment.
fn resolve(invocation: &Invocation) -> Result<Invocation, SandboxError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(SandboxError::io("finding", path));
    let mut resolved = invocation.clone();
    resolved.root = real(&invocation.root)?;
    resolved.out = real(&invocation.out)?;
    resolved.work = match &invocation.work {
        Work::Dir(path) => Work::Dir(real(path)?),
        Work::TmpfsCopy { from, order } => Work::TmpfsCopy { from: real(from)?, order: *order },
        Work::Tmpfs => Work::Tmpfs,
    };
    for mount in &mut resolved.mounts {
        mount.source = real(&mount.source)?;
        let plain = mount.target.is_absolute() && !mount.target.components().any(|c| c == std::path::Component::ParentDir);
        if !plain {
            let step = format!("mounting at {}: the place must be absolute and without `..`", mount.target.display());
            return Err(SandboxError::Setup { step, source: io::ErrorKind::InvalidInput.into() });
        }
    }
    resolved.devices = invocation.devices.iter().map(|device| real(device)).collect::<Result<_, _>>()?;
    if let Some(start) = invocation.variation.clock {
        pretend_time(&mut resolved, start)?;
    }
    Ok(resolved)
}

/// An offset rather than a time: with a fixed time every process would start again at that time.
///
/// The monotonic clock stays real unless [`Variation::shift_monotonic`], and file times always do, because a recipe may set
/// and read them back (`touch -d @$SOURCE_DATE_EPOCH`): `FAKE_UTIME=1` would shift what is set, but libfaketime 0.9.10 doesn't
/// shift what is read (it doesn't know `statx`). What remains is `touch` without a time, which sets the pretended
/// one: to make, such a file is newer than what is written after it. So pretend a time to come, where that means one step
/// made twice when make is called twice, and not one in the past, where make warns of every file.
/// Tried with make 4.3, gcc 12, ninja 1.11, cargo and rustc 1.85. Static programs see the real time.
fn pretend_time(invocation: &mut Invocation, start: i64) -> Result<(), SandboxError> {
    let library = invocation.root.join(FAKETIME);
    if !library.exists() {
        let step = format!("setting the clock: the root lacks {FAKETIME}; add the package libfaketime to it");
        return Err(SandboxError::Setup { step, source: io::ErrorKind::NotFound.into() });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let offset = start.saturating_sub(now);
    let variables = [
        ("LD_PRELOAD", format!("/{FAKETIME}")),
        ("FAKETIME", format!("{offset:+}s")),
        ("NO_FAKE_STAT", "1".into()),
        ("FAKE_UTIME", "0".into()),
    ];
    if !invocation.variation.shift_monotonic {
        invocation.env.insert("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into());
    }
    invocation.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    Ok(())
}

fn outputs(stdio: &Stdio) -> Result<(process::Stdio, process::Stdio), SandboxError> {
    Ok(match stdio {
        Stdio::Inherit => (process::Stdio::inherit(), process::Stdio::inherit()),
        Stdio::Piped => (process::Stdio::piped(), process::Stdio::piped()),
        Stdio::Log(path) => {
            let log =
                OpenOptions::new().create(true).append(true).open(path).map_err(SandboxError::io("opening the log", path))?;
            let again = log.try_clone().map_err(SandboxError::io("opening the log", path))?;
            (log.into(), again.into())
        }
    })
}

fn log_tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(tail)
    };
    last_lines(&read().unwrap_or_default())
}

pub(crate) fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

/// How many processes the kernel has ended for want of memory since it started, in control groups or overall. Another
/// program's being ended in the same minutes counts too, and rightly: memory was short.
fn out_of_memory_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}
