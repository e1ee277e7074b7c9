//! Why the machine ends, and ending it.

use std::process::ExitStatus;

use rustix::system::{RebootCommand, reboot};

use crate::console;

/// A reason to power off. There is nobody on the machine to react, so the cases differ only in what the console says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Fatal {
    /// A system call that always works on a sound image and kernel.
    #[error("{doing}: {source}")]
    System {
        /// What init was doing.
        doing: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The image is broken; build it again.
    #[error(transparent)]
    Config(#[from] sealstone_config::ConfigError),
    /// The host gave no network, or its DHCP server no address.
    #[error("the kernel configured no network within {0} s: is there a virtio network card, and a DHCP server?")]
    NoNetwork(u64),
    /// The host gave no disk with this pack, or one with other content.
    #[error("no virtio disk holds the required pack {0} (its root hash was not found)")]
    NoPack(sealstone_config::Name),
    /// The host gave a disk with this pack that can't be mounted: damaged where the file system begins, or cut off.
    #[error("the required pack {0} is damaged: it was found, and could not be mounted")]
    BadPack(sealstone_config::Name),
    /// The daemon didn't say that it is ready; what it said stands on the console above.
    #[error("the front was not ready within {0} s")]
    FrontSilent(u64),
    /// The daemon was asked to end and took longer than its own bounds allow. What it did is cut off.
    #[error("the front did not end within {0} s of being asked")]
    FrontStays(u64),
    /// The daemon ended, which it never does by itself; what it said stands on the console above.
    #[error("the front ended ({0})")]
    FrontEnded(ExitStatus),
}

/// Adds what was being done to a system call's error.
pub(crate) trait Context<T> {
    /// `doing` says what failed, as in "opening FILE".
    fn doing(self, doing: &str) -> Result<T, Fatal>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn doing(self, doing: &str) -> Result<T, Fatal> {
        self.map_err(|source| Fatal::System { doing: doing.to_owned(), source: source.into() })
    }
}

/// Says why, on one line, and switches the machine off. Memory is not synced anywhere: there is no writable disk.
pub(crate) fn power_off(why: &str) -> ! {
    console::say(why);
    console::drain();
    let _ = reboot(RebootCommand::PowerOff);
    // Only a machine without a way to switch itself off comes here. An init that returns makes the kernel panic, which
    // stops the daemon as well.
    std::process::exit(1)
}
