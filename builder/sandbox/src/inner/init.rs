//! PID 1 of the namespaces: lays out the surroundings, gives up every privilege, starts the program, reaps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use rustix::process::{set_dumpable_behavior, set_parent_process_death_signal, setrlimit, setsid, umask, wait};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use super::{mounts, sys};
use crate::invocation::{Invocation, Network, Variation};
use crate::plan::{Plan, Report, SetupFailure, Step};

/// `uname`'s domain, which configure scripts ask for. The same on every host; nobody varies it.
const DOMAIN: &[u8] = b"localdomain";

/// Fixed limits (soft and hard), so that a build doesn't meet those of whoever's shell started it: the stack decides how
/// deep a compiler may recurse, core files would be written next to outputs, and some programs size tables by the number
/// of files that they may open.
const LIMITS: &[(Resource, u64)] = &[(Resource::Stack, 8 << 20), (Resource::Core, 0), (Resource::Nofile, 4096)];

/// Below this many bytes a file system counts as full when a program has failed.
const FULL: u64 = 64 * 1024;

/// Runs `plan`; returns PID 1's exit status, 0 if everything has been reported.
pub(super) fn run(plan: Plan, control: &UnixStream, supervisor: &OwnedFd, caller_is_root: bool) -> i32 {
    let report = match prepare(&plan, supervisor, caller_is_root) {
        Ok(()) => match &plan {
            Plan::Probe(_) => Report::Started,
            Plan::Run(invocation) => start(invocation, control),
        },
        Err(failure) => Report::Setup(failure),
    };
    // Without a listener this process is about to be killed anyway.
    i32::from(report.send(control).is_err())
}

fn prepare(plan: &Plan, supervisor: &OwnedFd, caller_is_root: bool) -> Result<(), SetupFailure> {
    die_with(supervisor).map_err(Step::Fork.refused("parent-death signal"))?;
    setsid().map_err(Step::Fork.refused("session"))?;
    let canonical = Variation::default();
    let (variation, network) = match plan {
        Plan::Run(invocation) => {
            mounts::lay_out(invocation)?;
            (&invocation.variation, invocation.network)
        }
        Plan::Probe(directory) => {
            mounts::lay_out_empty(directory)?;
            (&canonical, Network::None)
        }
    };
    if caller_is_root {
        mounts::close_proc()?;
    }
    mounts::leave_host()?;
    if network == Network::None {
        loopback().map_err(Step::Loopback.refused(""))?;
    }
    rustix::system::sethostname(variation.hostname.as_bytes()).map_err(Step::Names.refused(&variation.hostname))?;
    rustix::system::setdomainname(DOMAIN).map_err(Step::Names.refused("domain"))?;
    for (resource, limit) in LIMITS {
        limit_to(*resource, *limit).map_err(Step::Limits.refused(format!("{resource:?}")))?;
    }
    if !variation.random_addresses {
        // Containers that filter personality(2) forbid it; see `Variation::random_addresses`.
        let _ = sys::fix_addresses();
    }
    umask(Mode::from_raw_mode(variation.umask & 0o777));
    give_up_privileges().map_err(Step::Privileges.refused(""))
}

/// Asks the kernel to kill this process when the supervisor ends, and makes sure that it hasn't ended before.
fn die_with(supervisor: &OwnedFd) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut fds = [PollFd::new(supervisor, PollFlags::IN)];
    let ended = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    if ended == 0 { Ok(()) } else { Err(Errno::SRCH) }
}

fn loopback() -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::loopback_up(socket.as_fd())
}

/// As far as the caller's own hard limit goes, which may be raised by nobody without privileges.
fn limit_to(resource: Resource, wanted: u64) -> Result<(), Errno> {
    let hard = rustix::process::getrlimit(resource).maximum.map_or(wanted, |hard| hard.min(wanted));
    setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })
}

/// Nothing that this process or its children execute can have a capability, in whatever namespace, nor get one.
/// The program has the same user id as this process; not being dumpable keeps it from tracing PID 1.
fn give_up_privileges() -> Result<(), Errno> {
    use CapabilitiesSecureBits as Bits;
    for number in 0..=63 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The first number that this kernel doesn't know.
            Err(Errno::INVAL) if number > 0 => break,
            Err(error) => return Err(error),
        }
    }
    let no_root = Bits::NO_ROOT | Bits::NO_ROOT_LOCKED | Bits::NO_SETUID_FIXUP | Bits::NO_SETUID_FIXUP_LOCKED;
    rustix::thread::set_capabilities_secure_bits(no_root | Bits::KEEP_CAPS_LOCKED | Bits::NO_CAP_AMBIENT_RAISE_LOCKED)?;
    let none = CapabilitySet::empty();
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    rustix::thread::set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

fn start(invocation: &Invocation, control: &UnixStream) -> Report {
    let errno = |e: io::Error| e.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
    let child = match spawn(invocation) {
        Ok(child) => child,
        Err(error) => return Report::NotStarted { errno: errno(error) },
    };
    if let Err(error) = Report::Started.send(control) {
        return Report::Lost { what: error.to_string() };
    }
    match reap_until(&child) {
        Ok(status) => {
            let (code, signal) = (status.exit_status(), status.terminating_signal());
            let full = Report::ending(code, signal).and_then(|_| full_place());
            Report::Ended { code, signal, full }
        }
        Err(error) => Report::Lost { what: format!("waiting for the program: {error}") },
    }
}

fn spawn(invocation: &Invocation) -> io::Result<Child> {
    let (program, arguments) = invocation.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&invocation.env).current_dir("/build");
    command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    command.spawn()
}

/// Waits for all children, the program's orphans among them, until the program itself has ended. What is left then ends
/// with this process.
fn reap_until(program: &Child) -> Result<WaitStatus, Errno> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_pid()).is_ok_and(|pid| pid == program.id()) => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn full_place() -> Option<String> {
    let full = |place: &str| {
        rustix::fs::statvfs(place)
            .is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) < FULL || (s.f_files > 0 && s.f_favail == 0))
    };
    ["/out", "/build", "/tmp", "/dev/shm"].into_iter().find(|place| full(place)).map(str::to_owned)
}
