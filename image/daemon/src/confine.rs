//! The rights that the front gives up before it meets the network: files, network, and most system calls.
//!
//! init has already taken root, capabilities, privileges by exec, and the environment. The rest is better done here than
//! before the exec, because the list is then what serving needs, without what starting needs (exec, open, bind).

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Which step of the confinement failed. The image's kernel is fixed, so each is a fault of the image: the kernel's
/// configuration lacks something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// The kernel has no landlock, or an older one than this asks for.
    #[error("landlock")]
    Landlock,
    /// The process could be traced or leave a core dump.
    #[error("dumpable flag")]
    Dumpable,
    /// The kernel didn't take the system-call filter.
    #[error("seccomp")]
    Seccomp,
}

/// Landlock's version in Linux 6.12, the image's kernel. With `HardRequirement` an older kernel is an error, not a
/// weaker confinement.
const LANDLOCK: ABI = ABI::V6;

/// Which files may still be opened, as far as [`files`] left any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// None.
    Nothing,
    /// Those for evidence, to read or to write: a report entry's files say something new only when they are opened anew.
    Evidence,
}

/// Gives up everything but serving what is already open; `evidence` are files or folders that stay readable and writable
/// as far as they exist. For all threads, for good.
pub fn confine(evidence: &[&Path], opens: Opens) -> Result<(), ConfineError> {
    files(evidence)?;
    calls(opens)
}

/// The first half of [`confine`]: files, network, other processes. For this thread and those that it starts from here on, so
/// it must be the only one yet.
pub fn files(evidence: &[&Path]) -> Result<(), ConfineError> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|_| ConfineError::Dumpable)?;
    match restrict_files(evidence) {
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        _ => Err(ConfineError::Landlock),
    }
}

/// The second half: system calls. For all threads; none can be started any more.
pub fn calls(opens: Opens) -> Result<(), ConfineError> {
    let filter = system_call_filter(opens).map_err(|_| ConfineError::Seccomp)?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|_| ConfineError::Seccomp)
}

/// No file but `evidence`, no new listening or outgoing TCP connection, no signal or abstract socket to another process.
fn restrict_files(evidence: &[&Path]) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    for path in evidence {
        if let Ok(handle) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(handle, AccessFs::ReadFile | AccessFs::WriteFile))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Calls that serving makes with any arguments. Those without a remark were seen under load (`strace`); the others are
/// for the case that the remark names.
const CALLS: &[libc::c_long] = &[
    // Event loop.
    libc::SYS_epoll_wait,
    libc::SYS_epoll_ctl,
    libc::SYS_write,
    // The event loop's wake-up counter, should it overflow.
    libc::SYS_read,
    // Locks, contended once there are threads.
    libc::SYS_futex,
    // Only where the kernel gives programs no clock page.
    libc::SYS_clock_gettime,
    // Sockets that are open or come in. `socket`, `bind`, `listen` and `connect` aren't here.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_writev,
    libc::SYS_shutdown,
    libc::SYS_close,
    // A response in one piece.
    libc::SYS_sendto,
    // Memory. `mmap` and `mprotect` stand below with conditions. All but `brk` only for larger pieces.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Seeds of hash tables.
    libc::SYS_getrandom,
    // Back from the handler of SIGTERM, which only wakes the event loop.
    libc::SYS_rt_sigreturn,
    // The end: the standard library gives the main thread's signal stack back.
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// Every other call kills the process: there is no legitimate one, so a caller is an intruder or the list is wrong, and
/// in both cases the machine should end.
fn system_call_filter(opens: Opens) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, vec![])).collect();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![not_executable()?])?]);
    }
    if opens == Opens::Evidence {
        // To read or to write what is there, and nothing else: no file is made, cut or renamed. Which files, landlock knows.
        let only = |access: libc::c_int| SeccompRule::new(vec![opened_with(access | libc::O_CLOEXEC)?]);
        rules.insert(libc::SYS_openat, vec![only(libc::O_RDONLY)?, only(libc::O_WRONLY)?]);
    }
    if cfg!(debug_assertions) {
        // The standard library's debug check, before a descriptor is closed, that it is open. Not in the image's build.
        rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![is(1, libc::F_GETFD)?])?]);
    }
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

/// The protection, third argument of `mmap` and `mprotect`, lacks `PROT_EXEC`: no code but the measured program's.
fn not_executable() -> Result<SeccompCondition, seccompiler::BackendError> {
    let exec = u64::from(libc::PROT_EXEC.unsigned_abs());
    SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(exec), 0)
}

/// The flags, third argument of `openat`, are these, but for one that means nothing here and that rustix sets.
fn opened_with(flags: libc::c_int) -> Result<SeccompCondition, seccompiler::BackendError> {
    // The kernel's O_LARGEFILE; the C library's is 0 on this architecture.
    const LARGE_FILE: u32 = 0o100_000;
    let all_but = SeccompCmpOp::MaskedEq(u64::from(!LARGE_FILE));
    SeccompCondition::new(2, SeccompCmpArgLen::Dword, all_but, u64::from(flags.unsigned_abs()))
}

/// The argument numbered `index` equals `value`.
fn is(index: u8, value: libc::c_int) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))
}
