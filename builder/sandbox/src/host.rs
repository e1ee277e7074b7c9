//! What a host may forbid, how that shows itself, and how to mend it.

use std::fs;
use std::io;

use rustix::io::Errno;

use crate::error::SandboxError;
use crate::plan::{Plan, SetupFailure, Step};
use crate::run;

/// What keeps this host from making sandboxes. None of them can be worked around by the program; each says its remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostProblem {
    /// The administrator has set the number of user namespaces to none, or all are taken.
    #[error(
        "no user namespace can be made: user.max_user_namespaces is {limit}; mend it with `sudo sysctl -w user.max_user_namespaces=15000`, \
         for good in /etc/sysctl.d"
    )]
    Limit {
        /// The sysctl's value.
        limit: String,
    },

    /// Debian's and others' switch for unprivileged user namespaces is off.
    #[error(
        "user namespaces are forbidden to ordinary users: kernel.unprivileged_userns_clone is 0; mend it with \
         `sudo sysctl -w kernel.unprivileged_userns_clone=1`, for good in /etc/sysctl.d"
    )]
    Unprivileged,

    /// Ubuntu's AppArmor restriction: the namespace can be made, but nothing be done in it.
    #[error(
        "AppArmor forbids this program to use a user namespace (kernel.apparmor_restrict_unprivileged_userns is 1); mend it with a profile for \
         it (`abi <abi/4.0>, profile sealstone /path/to/sealstone flags=(unconfined) {{ userns, }}` in /etc/apparmor.d, then \
         `sudo apparmor_parser -r` that file), or with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
    )]
    AppArmor,

    /// A system call filter, as container engines install it, answers for the kernel.
    #[error(
        "a system call filter forbids namespaces, probably that of a container: start it with `--security-opt seccomp=unconfined` \
         (Docker, Podman) or a profile that allows clone, unshare, mount, pivot_root, umount2 and sethostname"
    )]
    Filtered,

    /// A container hides parts of /proc; the kernel then allows no fresh one, which would show them.
    #[error(
        "a fresh /proc can't be mounted because parts of the present one are hidden, as container engines do: start the container with \
         `--security-opt systempaths=unconfined` (Docker) or `--security-opt unmask=ALL` (Podman)"
    )]
    MaskedProc,

    /// Without /proc a program can neither find itself nor map user ids.
    #[error("/proc isn't mounted here; mend it with `sudo mount -t proc proc /proc`, in the chroot if it is one")]
    NoProc,

    /// The kernel refuses user namespaces to processes whose root directory isn't their mount namespace's.
    #[error("no user namespace can be made: the program runs in a chroot; use a container or the host itself instead")]
    Chroot,

    /// The kernel was built without something.
    #[error(
        "the kernel lacks something ({step}: {reason}); it must be Linux 5.4 or later with user, PID, network, IPC and UTS namespaces"
    )]
    Kernel {
        /// What failed.
        step: String,
        /// The kernel's answer.
        reason: String,
    },

    /// None of the known causes.
    #[error(
        "the host doesn't let the sandbox be made ({step}: {reason}); a security module or a container's restrictions may forbid it"
    )]
    Other {
        /// What failed.
        step: String,
        /// The kernel's answer.
        reason: String,
    },
}

/// Makes a sandbox and starts nothing in it.
///
/// # Errors
/// What forbids it. The calling program must have called [`crate::enter_if_inner`].
pub fn probe() -> Result<(), HostProblem> {
    let other = |reason: String| HostProblem::Other { step: "trying a sandbox".into(), reason };
    let directory = tempfile::tempdir().map_err(|e| other(format!("making a directory: {e}")))?;
    let path = directory.path().canonicalize().map_err(|e| other(e.to_string()))?;
    match run::probe(&Plan::Probe(path)) {
        Ok(()) => Ok(()),
        Err(SandboxError::Host(problem)) => Err(problem),
        Err(error) => Err(other(error.to_string())),
    }
}

/// What about the host bears on why a step failed.
#[derive(Clone, Debug, Default)]
struct Facts {
    max_user_namespaces: Option<String>,
    unprivileged_userns_clone: Option<String>,
    apparmor_restricts: Option<String>,
    seccomp_filter: bool,
    chrooted: bool,
}

impl Facts {
    fn of_this_host() -> Facts {
        let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok().map(|text| text.trim().to_owned());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Facts {
            max_user_namespaces: sysctl("user/max_user_namespaces"),
            unprivileged_userns_clone: sysctl("kernel/unprivileged_userns_clone"),
            apparmor_restricts: sysctl("kernel/apparmor_restrict_unprivileged_userns"),
            seccomp_filter: status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])),
            chrooted: chrooted(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()),
        }
    }
}

/// In a chroot into a directory that isn't a mount, no mount is at `/` as this process sees it (proc_pid_mountinfo(5)).
fn chrooted(mountinfo: &str) -> bool {
    !mountinfo.is_empty() && !mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

/// Turns a failed step into the host's problem or the invocation's.
pub(crate) fn explain(failure: SetupFailure) -> SandboxError {
    explain_by(failure, &Facts::of_this_host())
}

fn explain_by(failure: SetupFailure, facts: &Facts) -> SandboxError {
    let SetupFailure { step, detail, errno } = failure;
    let source = io::Error::from_raw_os_error(errno);
    let shown = if detail.is_empty() { step.to_string() } else { format!("{step}: {detail}") };
    let errno = Errno::from_raw_os_error(errno);
    let forbidden = matches!(errno, Errno::PERM | Errno::ACCESS);
    let reason = source.to_string();
    let off = |value: &Option<String>| value.as_deref() == Some("0");
    let problem = match step {
        Step::Namespaces | Step::IdMap if off(&facts.max_user_namespaces) => HostProblem::Limit { limit: "0".into() },
        Step::Namespaces if matches!(errno, Errno::NOSPC | Errno::USERS) => HostProblem::Limit {
            limit: format!("{}, and all are taken or nested too deep", facts.max_user_namespaces.as_deref().unwrap_or("unknown")),
        },
        Step::Namespaces if forbidden && off(&facts.unprivileged_userns_clone) => HostProblem::Unprivileged,
        Step::Namespaces if forbidden && facts.chrooted => HostProblem::Chroot,
        Step::Namespaces if matches!(errno, Errno::INVAL | Errno::NOSYS) => HostProblem::Kernel { step: shown, reason },
        step if forbidden && is_privileged(step) && facts.apparmor_restricts.as_deref() == Some("1") => HostProblem::AppArmor,
        Step::Namespaces if forbidden && facts.seccomp_filter => HostProblem::Filtered,
        Step::Proc if forbidden => HostProblem::MaskedProc,
        step if forbidden && is_privileged(step) && facts.seccomp_filter => HostProblem::Filtered,
        step if is_privileged(step) => HostProblem::Other { step: shown, reason },
        _ => return SandboxError::Setup { step: shown, source },
    };
    SandboxError::Host(problem)
}

/// Steps whose failure isn't the invocation's fault.
fn is_privileged(step: Step) -> bool {
    match step {
        Step::Namespaces | Step::IdMap | Step::Fork | Step::Propagation | Step::Tmpfs | Step::Pivot | Step::Proc => true,
        Step::Devices | Step::Loopback | Step::Privileges => true,
        Step::Plan | Step::Names | Step::Limits | Step::Bind | Step::Target | Step::ReadOnly | Step::Copy => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_cause_is_told_apart() {
        let set = |value: &str| Some(value.to_owned());
        let plain = Facts { max_user_namespaces: set("15000"), unprivileged_userns_clone: set("1"), ..Facts::default() };
        let none = Facts { max_user_namespaces: set("0"), ..plain.clone() };
        let debian = Facts { unprivileged_userns_clone: set("0"), ..plain.clone() };
        let ubuntu = Facts { apparmor_restricts: set("1"), ..plain.clone() };
        let docker = Facts { seccomp_filter: true, ..plain.clone() };
        let chroot = Facts { chrooted: true, ..plain.clone() };
        for (step, errno, facts, remedy) in [
            (Step::Namespaces, Errno::NOSPC, &none, "user.max_user_namespaces="),
            (Step::Namespaces, Errno::NOSPC, &plain, "all are taken"),
            (Step::Namespaces, Errno::PERM, &debian, "kernel.unprivileged_userns_clone=1"),
            (Step::Namespaces, Errno::ACCESS, &ubuntu, "apparmor_parser"),
            (Step::IdMap, Errno::PERM, &ubuntu, "apparmor_parser"),
            (Step::Propagation, Errno::ACCESS, &ubuntu, "apparmor_parser"),
            (Step::Namespaces, Errno::PERM, &docker, "seccomp=unconfined"),
            (Step::Pivot, Errno::PERM, &docker, "seccomp=unconfined"),
            (Step::Proc, Errno::PERM, &docker, "systempaths=unconfined"),
            (Step::Proc, Errno::PERM, &plain, "unmask=ALL"),
            (Step::Namespaces, Errno::PERM, &chroot, "chroot"),
            (Step::Namespaces, Errno::INVAL, &plain, "Linux 5.4"),
            (Step::Tmpfs, Errno::PERM, &plain, "security module"),
        ] {
            let error = explain_by(SetupFailure { step, detail: String::new(), errno: errno.raw_os_error() }, facts);
            assert!(matches!(error, SandboxError::Host(_)), "{step:?} {errno}");
            assert!(error.to_string().contains(remedy), "{step:?} {errno}: {error}");
        }
    }

    #[test]
    fn a_wrong_path_is_not_the_hosts_fault() {
        let failure = SetupFailure { step: Step::Bind, detail: "/nowhere".into(), errno: Errno::NOENT.raw_os_error() };
        let error = explain_by(failure, &Facts::default());
        assert!(matches!(error, SandboxError::Setup { .. }) && error.to_string().contains("/nowhere"), "{error}");
    }

    #[test]
    fn a_chroot_has_no_mount_at_its_root() {
        assert!(!chrooted("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"));
        assert!(chrooted("22 27 0:21 / /proc rw,relatime - proc proc rw\n"));
        assert!(!chrooted(""));
    }
}
