//! The inner side: this program re-executed. First the supervisor, outside of the new PID namespace, then PID 1 in it.

mod init;
mod mounts;
pub(crate) mod sys;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, WaitOptions};
use rustix::process::{getegid, geteuid, getpid, kill_process, pidfd_open, waitpid};
use rustix::thread::UnshareFlags;

use crate::invocation::Network;
use crate::plan::{INNER_ARGUMENT, Plan, Report, SetupFailure, Step};
use sys::Forked;

/// If this process is the sandbox's inner stage, does that stage's work and never returns; else returns at once.
/// Must be the first statement of `main` in every program that runs or probes sandboxes: before any thread is started.
pub fn enter_if_inner() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == INNER_ARGUMENT) && args.next().is_none() {
        std::process::exit(supervise());
    }
}

/// Makes the namespaces, starts PID 1 in them, and sees to it that neither outlives the outer process.
/// The exit status is only for people: the outer side goes by the reports.
fn supervise() -> i32 {
    let control = match take_control() {
        Ok(control) => control,
        Err(error) => {
            eprintln!("this is an internal stage of the sandbox, which isn't to be called by hand: {error}");
            return 2;
        }
    };
    match start_init(&control) {
        Ok(init) => watch(&control, init),
        Err(failure) => {
            // If nobody listens any more, nobody needs to know.
            let _ = Report::Setup(failure).send(&control);
            1
        }
    }
}

/// Closes every inherited descriptor but the standard ones and takes the control socket off standard input.
fn take_control() -> io::Result<UnixStream> {
    sys::close_all_from(3)?;
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(null)?;
    rustix::net::sockopt::socket_domain(&control)?;
    Ok(UnixStream::from(control))
}

fn start_init(control: &UnixStream) -> Result<rustix::process::Pid, SetupFailure> {
    let plan = read_plan(control).map_err(Step::Plan.fails(""))?;
    let (uid, network) = match &plan {
        Plan::Run(invocation) => (invocation.variation.uid, invocation.network),
        Plan::Probe(_) => (crate::Variation::default().uid, Network::None),
    };
    // Asked before unshare: in a user namespace without a map everybody is nobody.
    let (outer_uid, outer_gid) = (geteuid().as_raw(), getegid().as_raw());
    make_namespaces(network).map_err(Step::Namespaces.refused(""))?;
    map_ids(uid, outer_uid, outer_gid)?;
    let supervisor = pidfd_open(getpid(), PidfdFlags::empty()).map_err(Step::Fork.refused("pidfd"))?;
    match sys::fork().map_err(Step::Fork.fails(""))? {
        Forked::Child => std::process::exit(init::run(plan, control, &supervisor, outer_uid == 0)),
        Forked::Parent(pid) => Ok(pid),
    }
}

fn read_plan(control: &UnixStream) -> io::Result<Plan> {
    let mut line = Vec::new();
    BufReader::new(control).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

fn make_namespaces(network: Network) -> Result<(), Errno> {
    let mut flags =
        UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if network == Network::None {
        flags |= UnshareFlags::NEWNET;
    }
    // Hides the path of the caller's control group; not worth failing for on a kernel built without control groups.
    match sys::unshare(flags | UnshareFlags::NEWCGROUP) {
        Err(Errno::INVAL) => sys::unshare(flags),
        other => other,
    }
}

/// One user and one group exist inside, both `inner`; user_namespaces(7): an unprivileged process may map itself alone,
/// and its group only after having given up setgroups.
fn map_ids(inner: u32, outer_uid: u32, outer_gid: u32) -> Result<(), SetupFailure> {
    let write = |file: &str, text: String| fs::write(file, text).map_err(Step::IdMap.fails(file));
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("{inner} {outer_uid} 1\n"))?;
    write("/proc/self/gid_map", format!("{inner} {outer_gid} 1\n"))
}

/// Waits for PID 1 to end. If the outer process goes first, however it goes, its end of the socket is closed with it,
/// and PID 1 is ended. If this process is killed, PID 1's parent-death signal does the same.
fn watch(control: &UnixStream, init: rustix::process::Pid) -> i32 {
    let status = match wait_for_either(control.as_fd(), init) {
        Ok(()) => waitpid(Some(init), WaitOptions::empty()),
        Err(error) => Err(error),
    };
    match status {
        Ok(Some((_, status))) if status.exit_status() == Some(0) => 0,
        Ok(Some((_, status))) => {
            let what = match status.terminating_signal() {
                Some(signal) => format!("its first process was ended by signal {signal}"),
                None => format!("its first process ended with status {:?}", status.exit_status()),
            };
            let _ = Report::Lost { what }.send(control);
            1
        }
        Ok(None) | Err(_) => {
            let _ = kill_process(init, Signal::KILL);
            1
        }
    }
}

fn wait_for_either(control: BorrowedFd<'_>, init: rustix::process::Pid) -> Result<(), Errno> {
    let init_ended: OwnedFd = pidfd_open(init, PidfdFlags::empty())?;
    loop {
        let mut fds = [PollFd::from_borrowed_fd(control, PollFlags::IN), PollFd::new(&init_ended, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let [control, init_ended] = &fds;
        if !init_ended.revents().is_empty() {
            return Ok(());
        }
        // The outer side says nothing after the plan, so that anything here means that it is gone.
        if !control.revents().is_empty() {
            kill_process(init, Signal::KILL)?;
            return Ok(());
        }
    }
}
