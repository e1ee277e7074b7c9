//! The file system that the program sees.
//!
//! A small file system in memory becomes the new root; the top-level directories of the unpacked root are bound into
//! it read-only. So mount points can be made beside them without ever writing to the unpacked root, which other actions use
//! at the same time.

use std::ffi::CStr;
use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::mount::{mount, mount_bind, mount_change, mount_remount, unmount};
use rustix::process::{chdir, pivot_root};

use crate::invocation::{Invocation, Mount, Network, Work};
use crate::plan::{SetupFailure, Step};
use crate::unpack::{Order, shuffled};

/// Where the host's tree is while the new one is laid out.
const OLD: &str = "/.host";

/// Top-level names that the sandbox provides itself.
const OURS: &[&str] = &["build", "dev", "out", "proc", "tmp"];

/// Devices that programs take for granted and that give away nothing of the host.
const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];

const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
];

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Lays out everything for `invocation`, all but [`leave_host`].
pub(super) fn lay_out(invocation: &Invocation) -> Result<(), SetupFailure> {
    enter_empty(&invocation.root)?;
    show_root(&invocation.root)?;
    kernel_files()?;
    for device in &invocation.devices {
        bind(device, device)?;
    }
    work(&invocation.work)?;
    show(&Mount { source: invocation.out.clone(), target: "/out".into(), writable: true })?;
    let mut mounts: Vec<&Mount> = invocation.mounts.iter().collect();
    // A mount below another one's target has to come after it.
    mounts.sort_by_key(|mount| mount.target.components().count());
    mounts.into_iter().try_for_each(show)?;
    if invocation.network == Network::Host {
        resolver()?;
    }
    Ok(())
}

/// Everything that needs the host's permission, without a root: for [`crate::probe`].
pub(super) fn lay_out_empty(directory: &Path) -> Result<(), SetupFailure> {
    enter_empty(directory)?;
    kernel_files()
}

/// Makes a small file system in memory the root and moves the host's tree to [`OLD`]. `at` is only where it is mounted
/// on the way; nothing in it changes.
fn enter_empty(at: &Path) -> Result<(), SetupFailure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(Step::Propagation.refused(""))?;
    // For mount points, whatever the caller's is; the invocation's own is set later.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    memory(at, c"mode=0755,size=4m")?;
    chdir(at).map_err(Step::Pivot.refused(""))?;
    let old = OLD.trim_start_matches('/');
    fs::create_dir(old).map_err(Step::Pivot.fails(OLD))?;
    pivot_root(".", old).map_err(Step::Pivot.refused(""))?;
    chdir("/").map_err(Step::Pivot.refused(""))
}

fn show_root(root: &Path) -> Result<(), SetupFailure> {
    let listed = host(root);
    let entries = fs::read_dir(&listed).map_err(Step::Bind.fails(shown(root)))?;
    for entry in entries {
        let entry = entry.map_err(Step::Bind.fails(shown(root)))?;
        let name = entry.file_name();
        if OURS.iter().any(|ours| *ours == name) {
            continue;
        }
        let (source, target) = (root.join(&name), Path::new("/").join(&name));
        let kind = entry.file_type().map_err(Step::Bind.fails(shown(&source)))?;
        if kind.is_symlink() {
            let to = fs::read_link(entry.path()).map_err(Step::Bind.fails(shown(&source)))?;
            symlink(to, &target).map_err(Step::Bind.fails(shown(&target)))?;
        } else if is_empty(&entry.path()) {
            // Made rather than bound, so that mount points can be made in it (`/in`).
            fs::create_dir(&target).map_err(Step::Bind.fails(shown(&target)))?;
        } else {
            show(&Mount { source, target, writable: false })?;
        }
    }
    Ok(())
}

/// `/proc`, `/dev` and `/tmp`.
fn kernel_files() -> Result<(), SetupFailure> {
    directory(Path::new("/proc"))?;
    mount("proc", "/proc", "proc", QUIET | MountFlags::NOEXEC, None).map_err(Step::Proc.refused(""))?;
    for place in ["/dev", "/dev/pts", "/dev/shm", "/tmp"] {
        directory(Path::new(place))?;
    }
    for device in DEVICES {
        let device = Path::new("/dev").join(device);
        bind(&device, &device)?;
    }
    for (link, to) in DEVICE_LINKS {
        symlink(to, link).map_err(Step::Devices.fails(*link))?;
    }
    mount("devpts", "/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, c"newinstance,ptmxmode=0666,mode=0620")
        .map_err(Step::Devices.refused("/dev/pts"))?;
    memory(Path::new("/dev/shm"), c"mode=1777")?;
    memory(Path::new("/tmp"), c"mode=1777")
}

fn work(work: &Work) -> Result<(), SetupFailure> {
    let build = Path::new("/build");
    directory(build)?;
    match work {
        Work::Dir(source) => show(&Mount { source: source.clone(), target: build.into(), writable: true }),
        Work::Tmpfs => memory(build, c"mode=0755"),
        Work::TmpfsCopy { from, order } => {
            memory(build, c"mode=0755")?;
            copy(&host(from), build, *order).map_err(Step::Copy.fails(shown(from)))
        }
    }
}

/// The host's name servers, for a root whose `resolv.conf` waits for them.
fn resolver() -> Result<(), SetupFailure> {
    let (source, target) = (Path::new("/etc/resolv.conf"), PathBuf::from("/etc/resolv.conf"));
    // Often a link to somewhere in /run, and an absolute one, which would be looked up in the new root.
    let mut real = source.to_owned();
    for _ in 0..8 {
        match fs::read_link(host(&real)) {
            Ok(to) => real = real.parent().unwrap_or(source).join(to),
            Err(_) => break,
        }
    }
    if !target.exists() || !host(&real).exists() {
        return Ok(());
    }
    show(&Mount { source: real, target, writable: false })
}

/// Makes everything in `/proc` that isn't a process read-only. Needed when the caller is root: the program is then the same
/// user to the kernel, under another number, and `/proc/sys` and `/proc/sysrq-trigger` ask for that user, not for a
/// capability. Not done for others, to whom these files are closed anyway, because a `/proc` with something mounted in
/// it keeps programs inside from making sandboxes of their own.
pub(super) fn close_proc() -> Result<(), SetupFailure> {
    for entry in fs::read_dir("/proc").map_err(Step::Proc.fails(""))? {
        let path = entry.map_err(Step::Proc.fails(""))?.path();
        let failed = |e| Step::Proc.fails(shown(&path))(e);
        let process = path.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit));
        let meta = fs::symlink_metadata(&path).map_err(failed)?;
        if process || meta.is_symlink() || (meta.is_file() && meta.mode() & 0o222 == 0) {
            continue;
        }
        mount_bind(&path, &path).map_err(|e| failed(e.into()))?;
        restrict(&path, false)?;
    }
    Ok(())
}

/// Takes the host's tree away and closes the root for writing.
pub(super) fn leave_host() -> Result<(), SetupFailure> {
    unmount(OLD, UnmountFlags::DETACH).map_err(Step::Pivot.refused(OLD))?;
    fs::remove_dir(OLD).map_err(Step::Pivot.fails(OLD))?;
    restrict(Path::new("/"), false)
}

/// Binds a path of the host and takes from it what the program may not do.
fn show(wanted: &Mount) -> Result<(), SetupFailure> {
    bind(&wanted.source, &wanted.target)?;
    restrict(&wanted.target, wanted.writable)
}

fn bind(source: &Path, target: &Path) -> Result<(), SetupFailure> {
    let from = host(source);
    let meta = fs::metadata(&from).map_err(Step::Bind.fails(shown(source)))?;
    mount_point(target, meta.is_dir()).map_err(Step::Target.fails(shown(target)))?;
    mount_bind(&from, target).map_err(|error| match error {
        // What lies below a mount may be hidden by it, so that an unprivileged process may not show the one without the other.
        Errno::INVAL => Step::Bind.refused(format!("{}: it has other file systems mounted below it", shown(source)))(error),
        error => Step::Bind.refused(shown(source))(error),
    })
}

fn mount_point(target: &Path, is_dir: bool) -> io::Result<()> {
    if target.exists() {
        return Ok(());
    }
    if is_dir {
        return fs::create_dir_all(target);
    }
    target.parent().map_or(Ok(()), fs::create_dir_all)?;
    File::create_new(target).map(drop)
}

/// Remounts `target` without set-id programs and device nodes, and read-only unless `writable`. Flags that the source's
/// mount has already must be repeated: in a user namespace they are locked (mount_namespaces(7)).
fn restrict(target: &Path, writable: bool) -> Result<(), SetupFailure> {
    let failed = |e: Errno| Step::ReadOnly.refused(shown(target))(e);
    let has = statvfs(target).map_err(failed)?.f_flag;
    let mut flags = MountFlags::BIND | QUIET;
    for (there, keep) in [(StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC), (StatVfsMountFlags::RDONLY, MountFlags::RDONLY)] {
        if has.contains(there) {
            flags |= keep;
        }
    }
    if !writable {
        flags |= MountFlags::RDONLY;
    }
    mount_remount(target, flags, c"").map_err(failed)
}

fn memory(at: &Path, options: &CStr) -> Result<(), SetupFailure> {
    mount("tmpfs", at, "tmpfs", QUIET, options).map_err(Step::Tmpfs.refused(shown(at)))
}

fn directory(path: &Path) -> Result<(), SetupFailure> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Step::Target.fails(shown(path))(error)),
        _ => Ok(()),
    }
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Copies what is below `from` into `to`, entry by entry in the given order.
fn copy(from: &Path, to: &Path, order: Order) -> io::Result<()> {
    let mut entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let named: Vec<_> = entries.into_iter().map(|e| (e.file_name().as_bytes().to_vec(), e)).collect();
    let ordered = match order {
        Order::Archive => named,
        Order::Shuffled(seed) => shuffled(named, seed, |(name, _)| name),
    };
    for (_, entry) in ordered {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry.metadata()?;
        if meta.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
            continue;
        }
        if meta.is_dir() {
            fs::create_dir(&target)?;
            copy(&source, &target, order)?;
        } else {
            fs::copy(&source, &target)?;
        }
        fs::set_permissions(&target, meta.permissions())?;
        File::open(&target)?.set_times(FileTimes::new().set_accessed(meta.modified()?).set_modified(meta.modified()?))?;
    }
    Ok(())
}

/// Where a path of the host is for now. It is absolute and free of links: an absolute link would be followed in the new root.
fn host(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
