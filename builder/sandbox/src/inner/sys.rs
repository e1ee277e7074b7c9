//! The system calls without a safe wrapper: the only `unsafe` of the project.
#![allow(unsafe_code)]

use std::io;

use rustix::fd::{AsFd, RawFd};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a fork this is.
pub(super) enum Forked {
    Child,
    Parent(Pid),
}

/// Makes a second process. For processes with one thread only.
pub(super) fn fork() -> io::Result<Forked> {
    // SAFETY: fork is unsound in a process with several threads, because locks that another thread holds stay taken in
    // the child for ever. The inner stage is a freshly executed process that has started no thread before `main`'s
    // first statement and starts none after.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // 0 is no process id.
    Ok(Pid::from_raw(pid).map_or(Forked::Child, Forked::Parent))
}

/// Moves this process into new namespaces.
pub(super) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: what makes unshare unsafe is `CLONE_FILES`, after which descriptors mean different things in different
    // threads. It is never among the flags here, and there is one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Makes the program that `command` starts end when the thread that starts it does; prctl(2), PR_SET_PDEATHSIG.
pub(crate) fn end_with_caller(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;

    let ask = || match death_signal() {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may run. `ask` makes one system call and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

fn death_signal() -> libc::c_int {
    // SAFETY: prctl takes plain numbers here.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }
}

/// Closes every descriptor from `first` on.
pub(super) fn close_all_from(first: u32) -> io::Result<()> {
    // SAFETY: closing a descriptor that something in this process owns would let another file take its number. This is
    // called once, before this process has opened anything: what is closed was inherited and has no owner here.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == 0 { Ok(()) } else { close_listed(first) }
}

/// For kernels before 5.9 and for containers that don't know `close_range`.
fn close_listed(first: u32) -> io::Result<()> {
    let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| u32::try_from(*fd).is_ok_and(|fd| fd >= first))
        .collect();
    for fd in listed {
        // SAFETY: as above; the listing's own descriptor is closed already, and closing it once more does nothing.
        let _ = unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Turns address space randomisation off for this process and what it starts; personality(2).
pub(super) fn fix_addresses() -> io::Result<()> {
    // SAFETY: personality takes and returns plain numbers.
    let now = unsafe { libc::personality(0xffff_ffff) };
    let wanted = libc::c_ulong::try_from(now).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: as above.
    let set = unsafe { libc::personality(wanted | libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Brings the loopback interface up; netdevice(7). The kernel then gives it its addresses by itself.
pub(super) fn loopback_up(socket: impl AsFd) -> Result<(), Errno> {
    // SAFETY: `ifreq` is a C struct of numbers and unions of numbers, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`.
    unsafe {
        let set = rustix::ioctl::Setter::<{ libc::SIOCSIFFLAGS as rustix::ioctl::Opcode }, _>::new(request);
        rustix::ioctl::ioctl(socket, set)
    }
}
