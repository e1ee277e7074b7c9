//! What the process gives up: before the model is loaded everything but its pack, and afterwards the pack too.
//!
//! init has already taken root, capabilities, privileges by exec, and the environment. llama.cpp reads a file that came
//! from outside; so the confinement stands before it starts.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Which step failed. The image's kernel is fixed, so each is a fault of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// The pack can't be opened.
    #[error("the pack")]
    Pack,
    /// The kernel has no landlock, or an older one than this asks for.
    #[error("landlock")]
    Landlock,
    /// The process could be traced or leave a core dump, which would hold prompts.
    #[error("dumpable flag")]
    Dumpable,
    /// The kernel didn't take a system-call filter.
    #[error("seccomp")]
    Seccomp,
}

/// Landlock's version in Linux 6.12, the image's kernel. An older one is an error, not a weaker confinement.
const LANDLOCK: ABI = ABI::V6;

/// Before loading: no file but those below `pack`, to read; no network; no other process; no system call but those that
/// loading and serving make.
pub fn before_loading(pack: &Path) -> Result<(), ConfineError> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|_| ConfineError::Dumpable)?;
    let handle = PathFd::new(pack).map_err(|_| ConfineError::Pack)?;
    match restrict_files(handle) {
        Ok(RulesetStatus::FullyEnforced) => {}
        _ => return Err(ConfineError::Landlock),
    }
    // `clone3` has its flags in memory, where no filter sees them. Told that it doesn't exist, the C library uses `clone`.
    install(refuse(libc::SYS_clone3, libc::ENOSYS))?;
    install(allow(&[SERVING, LOADING]))
}

/// After loading: no file any more either. What is mapped stays.
pub fn before_serving() -> Result<(), ConfineError> {
    // Refused and not killed, because the C library looks for `/proc/sys/vm/overcommit_memory` when it gives memory back,
    // and goes on without it.
    install(refuse(libc::SYS_openat, libc::EACCES))?;
    install(allow(&[SERVING, &[libc::SYS_openat]]))
}

fn restrict_files(pack: PathFd) -> Result<RulesetStatus, RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rule(PathBeneath::new(pack, AccessFs::ReadFile | AccessFs::ReadDir))?;
    Ok(rules.restrict_self()?.ruleset)
}

type Filter = Result<BpfProgram, seccompiler::BackendError>;

fn install(filter: Filter) -> Result<(), ConfineError> {
    let filter = filter.map_err(|_| ConfineError::Seccomp)?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|_| ConfineError::Seccomp)
}

/// What computing and talking take.
const SERVING: &[libc::c_long] = &[
    // The socket, the console.
    libc::SYS_read,
    libc::SYS_write,
    // Threads: those that compute start with the first batch, and wait for the next in `futex`. `clone` stands below, with a condition.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_gettid,
    // The alternative signal stack of a thread of Rust.
    libc::SYS_sigaltstack,
    // Where the kernel gives programs no clock page.
    libc::SYS_clock_gettime,
    // Memory. `mmap` and `mprotect` stand below, with conditions.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Seeds of hash tables, and a seed for the chooser that nobody gave one.
    libc::SYS_getrandom,
    // The ends: a loaded model's that serves no more, and an abort's in C++.
    libc::SYS_exit_group,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_tgkill,
];

/// What only loading takes. Landlock decides which files.
const LOADING: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_fadvise64,
    // The size of the machine.
    libc::SYS_sysinfo,
    // A file's length as C++ asks for it.
    libc::SYS_fcntl,
    // The second filter.
    libc::SYS_seccomp,
    libc::SYS_prctl,
];

/// Any other call kills the process: no legitimate one makes it.
fn allow(lists: &[&[libc::c_long]]) -> Filter {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = lists.iter().copied().flatten().map(|call| (*call, vec![])).collect();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![without(2, libc::PROT_EXEC)?])?]);
    }
    // A thread of this process, not a process; and `clone3` to be told that there is none.
    let thread = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![with(0, thread)?])?]);
    rules.insert(libc::SYS_clone3, vec![]);
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

/// A call that fails with `error`. Of several filters' answers the kernel takes the strictest, and an error is stricter
/// than leave.
fn refuse(call: libc::c_long, error: libc::c_int) -> Filter {
    let refused = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(BTreeMap::from([(call, vec![])]), SeccompAction::Allow, refused, TargetArch::x86_64)?.try_into()
}

fn without(index: u8, bits: libc::c_int) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(u64::from(bits.unsigned_abs())), 0)
}

fn with(index: u8, bits: libc::c_int) -> Result<SeccompCondition, seccompiler::BackendError> {
    let bits = u64::from(bits.unsigned_abs());
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits)
}
