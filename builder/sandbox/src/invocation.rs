//! What to run, and in which surroundings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::unpack::Order;

/// One program run in isolation. It sees the root (read-only), `/build`, `/out`, `/tmp`, `/proc`, a minimal `/dev` and
/// the mounts; standard input is empty; nothing else of the host is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invocation {
    /// Unpacked tree that becomes `/`, read-only.
    pub root: PathBuf,
    /// What `/build` is, which is also the working directory.
    pub work: Work,
    /// Further files and directories of the host.
    pub mounts: Vec<Mount>,
    /// Directory of the host that is `/out`, writable.
    pub out: PathBuf,
    /// Program and arguments; the program is looked up in `env`'s `PATH` unless it has a slash.
    pub argv: Vec<String>,
    /// The environment, complete, except that [`Variation::clock`] adds libfaketime's variables.
    pub env: BTreeMap<String, String>,
    /// What the program may reach.
    pub network: Network,
    /// Where standard output and error go.
    pub stdio: Stdio,
    /// What must not matter.
    pub variation: Variation,
    /// Device nodes of the host to show under the same path, such as `/dev/kvm`. One that the host hasn't got is an error.
    pub devices: Vec<PathBuf>,
}

/// What `/build` is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    /// A directory of the host.
    Dir(PathBuf),
    /// An empty file system in memory.
    Tmpfs,
    /// A file system in memory that is filled with a copy of a directory of the host, entries made in the given order:
    /// another file system and another directory order, for the same files. Hard links become separate files.
    TmpfsCopy {
        /// What is copied.
        from: PathBuf,
        /// In which order.
        order: Order,
    },
}

/// A file or directory of the host, shown inside. File systems mounted below it aren't shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// On the host.
    pub source: PathBuf,
    /// Inside, absolute. Made when it isn't below a directory of the root; else it must be there.
    pub target: PathBuf,
    /// Whether the program may write to it.
    pub writable: bool,
}

/// What a program may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Its own loopback interface alone.
    None,
    /// What the host reaches, with the host's `resolv.conf`. For running an image, never for building one.
    Host,
}

/// Where standard output and error go. Standard input is always `/dev/null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Stdio {
    /// Both to the end of this file, which is made if it is missing.
    Log(PathBuf),
    /// To the caller's.
    Inherit,
    /// To pipes, see [`crate::Running::take_stdout`].
    Piped,
}

/// What must not matter for what an action makes; `build --check` changes all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variation {
    /// `uname -n`.
    pub hostname: String,
    /// User and group id inside. Outside, everything is the caller's. With 0 the program has no privileges either.
    pub uid: u32,
    /// File mode creation mask.
    pub umask: u32,
    /// Seconds since 1970 at which the program's clock starts, through libfaketime, which must be in the root.
    /// It then runs on at normal speed, for all processes alike; file times stay the real ones, and so make complains unless
    /// this lies in the future.
    pub clock: Option<i64>,
    /// Whether [`clock`](Self::clock) shifts the monotonic clock as well.
    ///
    /// Python 3.11 needs it: its `time.sleep` waits for a moment of that clock, and libfaketime 0.9.10, told to leave the clock
    /// alone, shifts the moment all the same, so that the call fails. Rust must not have it: its timed waits hand a moment of
    /// the shifted clock to the kernel by a system call that libfaketime doesn't see, and would wait for years.
    pub shift_monotonic: bool,
    /// Whether the kernel may lay out address spaces at random. Off in normal builds so that a program whose output follows
    /// pointer values gives the same bytes to everyone; on in the check so that it is found out. Best effort: some
    /// containers forbid turning it off.
    pub random_addresses: bool,
}

impl Default for Variation {
    /// What a normal build uses. Should a recipe let one of these into its output, changing it would change the image.
    fn default() -> Self {
        Variation {
            hostname: "sealstone".into(),
            uid: 1000,
            umask: 0o022,
            clock: None,
            shift_monotonic: false,
            random_addresses: false,
        }
    }
}
