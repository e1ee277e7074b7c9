//! Package trees without maintainer scripts, and isolated actions in them. The only crate that starts programs.
//!
//! | module | holds |
//! | --- | --- |
//! | `unpack` | `.deb` and tar → directory: [`unpack_deb`], [`unpack_tar`], a whole [`RootPlan`] |
//! | `invocation` | what to run, and in which surroundings: [`Invocation`], [`Variation`] |
//! | `run` | the outer side: [`run`], [`spawn`] and [`Running`] |
//! | `inner` | the inner side: this program re-executed, first as supervisor, then as PID 1 of the namespaces |
//! | `plan` | what the outer and the inner side tell each other |
//! | `host` | [`probe`]: may this host make namespaces, and how to mend it if not |
//! | `command` | [`host_command`], [`host_spawn`]: a program of the host, for what can't be isolated (`cargo fetch`, the user's own QEMU); [`become_program`]: one of a root, on the host |
//! | `error` | [`SandboxError`] |
//!
//! # How an action is isolated
//! [`run`] starts `/proc/self/exe` again, which is why a program that uses this crate calls [`enter_if_inner`] as the
//! first statement of `main`. That fresh process has one thread and no memory of its caller, so it may unshare, fork and
//! mount without the hazards of doing so inside a program with threads. It becomes the supervisor: it makes the user,
//! mount, PID, network, IPC, UTS and cgroup namespaces, forks PID 1 into them and waits for it or for the caller's death,
//! whichever comes first. PID 1 lays out the file system, gives up every privilege, starts the action and reaps.
//! When PID 1 ends, the kernel ends everything else in its PID namespace: nothing outlives an action.

mod command;
mod error;
mod host;
mod inner;
mod invocation;
mod plan;
mod run;
mod unpack;

pub use command::{HostCommand, HostRunning, become_program, host_command, host_spawn};
pub use error::{Ending, SandboxError, UnpackError};
pub use host::{HostProblem, probe};
pub use inner::enter_if_inner;
pub use invocation::{Invocation, Mount, Network, Stdio, Variation, Work};
pub use run::{Running, run, spawn};
pub use unpack::{Order, PackageFile, RootPlan, UNPACKER_VERSION, unpack_deb, unpack_tar};
