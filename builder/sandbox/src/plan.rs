//! What the outer and the inner side tell each other: one line of JSON each way, or several back, over a socket that is
//! the inner process's standard input at first.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::Ending;
use crate::invocation::Invocation;

/// The only argument of the re-executed program. Nobody types it by chance.
pub(crate) const INNER_ARGUMENT: &str = "--sealstone-sandbox-inner-stage";

/// Outer to inner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Plan {
    /// Run this; every path of the host in it is absolute and free of links.
    Run(Box<Invocation>),
    /// Do everything up to starting a program, in this empty directory.
    Probe(PathBuf),
}

/// Inner to outer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The surroundings couldn't be made.
    Setup(SetupFailure),
    /// The program runs, or for a probe: could run.
    Started,
    /// The program couldn't be started.
    NotStarted { errno: i32 },
    /// The program ended; whether well is for the outer side to say.
    Ended { code: Option<i32>, signal: Option<i32>, full: Option<String> },
    /// PID 1 ended without having reported.
    Lost { what: String },
}

/// A step of setting up that failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetupFailure {
    pub(crate) step: Step,
    /// Which path or name it was about, or empty.
    pub(crate) detail: String,
    pub(crate) errno: i32,
}

/// What was being done. The first ones fail because of the host, the later ones because of the invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Plan,
    Namespaces,
    IdMap,
    Fork,
    Propagation,
    Tmpfs,
    Pivot,
    Proc,
    Devices,
    Loopback,
    Names,
    Limits,
    Privileges,
    Bind,
    Target,
    ReadOnly,
    Copy,
}

impl Step {
    pub(crate) fn fails(self, detail: impl Into<String>) -> impl FnOnce(io::Error) -> SetupFailure {
        let detail = detail.into();
        move |error| SetupFailure { step: self, detail, errno: error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()) }
    }

    /// Like [`Step::fails`], for what rustix returns.
    pub(crate) fn refused(self, detail: impl Into<String>) -> impl FnOnce(Errno) -> SetupFailure {
        let fails = self.fails(detail);
        move |errno| fails(errno.into())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Plan => "reading the sandbox's plan",
            Step::Namespaces => "making namespaces",
            Step::IdMap => "mapping the user id",
            Step::Fork => "starting the sandbox's first process",
            Step::Propagation => "making mounts private",
            Step::Tmpfs => "mounting a file system in memory",
            Step::Pivot => "changing the root directory",
            Step::Proc => "mounting /proc",
            Step::Devices => "filling /dev",
            Step::Loopback => "bringing up the loopback interface",
            Step::Names => "setting the host name",
            Step::Limits => "setting resource limits",
            Step::Privileges => "giving up privileges",
            Step::Bind => "showing a path of the host in the sandbox",
            Step::Target => "making a mount point (below a directory of the root it must exist already)",
            Step::ReadOnly => "making a mount read-only",
            Step::Copy => "copying the work directory into memory",
        })
    }
}

impl Report {
    /// The ending of a program that didn't end well.
    pub(crate) fn ending(code: Option<i32>, signal: Option<i32>) -> Option<Ending> {
        match (code, signal) {
            (Some(0), _) => None,
            (Some(code), _) => Some(Ending::Exit(code)),
            (None, signal) => Some(Ending::Signal(signal.unwrap_or_default())),
        }
    }

    pub(crate) fn send(&self, mut to: impl Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line)
    }
}
