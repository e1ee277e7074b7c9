//! Limits, the machine's name, and the privileges of init itself, which its children inherit.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, reboot, sethostname};
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs};
use sealstone_config::Name;

use crate::fatal::{Context, Fatal};

/// File descriptors per process: the daemon's connections with room to spare.
const MAX_FILES: u64 = 1024;

/// Kernel settings that no configuration option fixes, with the value and why.
const SETTINGS: &[(&str, &str)] = &[
    // The console leaves the machine: no kernel addresses on it.
    ("/proc/sys/kernel/kptr_restrict", "2"),
    ("/proc/sys/kernel/dmesg_restrict", "1"),
];

/// What holds for every process from the start: no core dumps, bounded files, no reboot by key, quiet kernel.
pub(crate) fn restrict() -> Result<(), Fatal> {
    let fixed = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Core, fixed(0)).doing("forbidding core dumps")?;
    setrlimit(Resource::Nofile, fixed(MAX_FILES)).doing("limiting open files")?;
    reboot(RebootCommand::CadOff).doing("turning off ctrl-alt-del")?;
    for (path, value) in SETTINGS {
        fs::write(path, value).doing(&format!("setting {path}"))?;
    }
    refuse_swap()
}

/// Swap would write memory to a disk of the host's. The kernel is built without it, so the list doesn't even exist.
fn refuse_swap() -> Result<(), Fatal> {
    match fs::read_to_string("/proc/swaps") {
        Ok(list) if list.lines().count() > 1 => Err(io::Error::other("there is some")).doing("making sure of no swap"),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).doing("reading /proc/swaps"),
    }
}

/// Sets the host name, over whatever DHCP made of it.
pub(crate) fn name(name: &Name) -> Result<(), Fatal> {
    sethostname(name.as_str().as_bytes()).doing("setting the host name")
}

/// No process started from here on gains a privilege by `exec`, neither by a file's mode nor as root.
pub(crate) fn give_up_privileges_by_exec() -> Result<(), Fatal> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // A capability that this kernel doesn't know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error).doing("emptying the capability bounding set"),
        }
    }
    set_no_new_privs(true).doing("setting no_new_privs")
}

/// init's own rights, once the daemon runs: to tell it that the end has come, and to switch the machine off.
pub(crate) fn keep_only_power_off_and_signals() -> Result<(), Fatal> {
    let only = CapabilitySet::SYS_BOOT | CapabilitySet::KILL;
    let sets = CapabilitySets { effective: only, permitted: only, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).doing("dropping init's capabilities")
}
