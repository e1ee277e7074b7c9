//! The kernel's own filesystems, and the root's end as a writable one.

use std::ffi::CStr;
use std::fs;
use std::io::ErrorKind;

use rustix::mount::{MountFlags, mount, mount_remount};

use crate::fatal::{Context, Fatal};

struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static CStr,
}

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// In mount order. The sizes of the tmpfs only bound what a fault could fill: nothing of the image writes there yet.
const MOUNTS: &[Mount] = &[
    // A process sees only its own in /proc; the daemon sees nothing there at all after landlock.
    Mount { kind: "proc", target: "/proc", flags: QUIET, options: c"hidepid=invisible" },
    Mount { kind: "sysfs", target: "/sys", flags: QUIET, options: c"" },
    // Devices are its purpose; programs are not.
    Mount {
        kind: "devtmpfs",
        target: "/dev",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        options: c"mode=0755,size=1m",
    },
    Mount { kind: "configfs", target: "/sys/kernel/config", flags: QUIET, options: c"" },
    // Event logs of the TPM and of the confidential-computing firmware.
    Mount { kind: "securityfs", target: "/sys/kernel/security", flags: QUIET, options: c"" },
    Mount { kind: "tmpfs", target: "/run", flags: QUIET, options: c"mode=0755,size=1m" },
    Mount { kind: "tmpfs", target: "/tmp", flags: QUIET, options: c"mode=1777,size=1m" },
];

/// Mounts proc, sys, dev, configfs, securityfs and the two tmpfs. The initramfs need not hold the folders.
pub(crate) fn kernel_filesystems() -> Result<(), Fatal> {
    for Mount { kind, target, flags, options } in MOUNTS {
        if !target.starts_with("/sys/") {
            folder(target)?;
        }
        mount(*kind, *target, *kind, *flags, Some(*options)).doing(&format!("mounting {kind} on {target}"))?;
    }
    Ok(())
}

/// Makes a folder unless it is there.
pub(crate) fn folder(path: &str) -> Result<(), Fatal> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).doing(&format!("making {path}")),
        _ => Ok(()),
    }
}

/// From here on nobody, root included, changes a file of the initramfs without a further mount call.
pub(crate) fn seal_root() -> Result<(), Fatal> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount("/", flags, c"").doing("making the root read-only")
}
