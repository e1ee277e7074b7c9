//! What can go wrong, and what it means for the caller.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::host::HostProblem;

/// Why a tree could not be unpacked or a program not be run to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The host lacks or forbids something; nothing was run. Repeating it is useless until the host is mended.
    #[error(transparent)]
    Host(#[from] HostProblem),

    /// The program ran and reported failure. Its outputs, if any, must not be used.
    #[error("{} {ending}{}", shown(argv), tail(log_tail))]
    Failed {
        /// What was run.
        argv: Vec<String>,
        /// How it ended.
        ending: Ending,
        /// The last lines of its log; empty unless standard output went to a log.
        log_tail: String,
    },

    /// The program failed and the kernel ended a process for want of memory meanwhile. With more memory or fewer jobs
    /// the same action may succeed.
    #[error(
        "{} {ending}; the kernel ran out of memory meanwhile: use fewer jobs (-j) or a machine with more memory{}",
        shown(argv),
        tail(log_tail)
    )]
    OutOfMemory {
        /// What was run.
        argv: Vec<String>,
        /// How it ended.
        ending: Ending,
        /// As in [`SandboxError::Failed`].
        log_tail: String,
    },

    /// The program failed and a file system that it wrote to is full. With more space the same action may succeed.
    #[error("{} {ending}; no space is left at {place}: free some and repeat it{}", shown(argv), tail(log_tail))]
    DiskFull {
        /// What was run.
        argv: Vec<String>,
        /// How it ended.
        ending: Ending,
        /// The full place, as seen from inside: `/build`, `/out`, `/tmp` or `/dev/shm`.
        place: String,
        /// As in [`SandboxError::Failed`].
        log_tail: String,
    },

    /// The program could not be started: it isn't in the root, isn't executable, or its interpreter is missing.
    #[error("starting {} in the sandbox: {source}; the root must hold the program and its interpreter", shown(argv))]
    NotStarted {
        /// What was to be run.
        argv: Vec<String>,
        /// The kernel's answer.
        source: io::Error,
    },

    /// The surroundings could not be made although the host allows namespaces: mostly a path in the [`crate::Invocation`].
    #[error("{step}: {source}")]
    Setup {
        /// What was being done, with the path.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// A program of the host failed.
    #[error("{} {ending}{}", shown(argv), tail(stderr))]
    HostCommand {
        /// What was run.
        argv: Vec<String>,
        /// How it ended.
        ending: Ending,
        /// The end of what it wrote to standard error.
        stderr: String,
    },

    /// A program of the host could not be started.
    #[error("starting {program}: {source}; is it installed and in PATH?")]
    HostCommandNotStarted {
        /// The program.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// The inner side never answered: a mistake in the calling program, not in its input.
    #[error(
        "the sandbox's inner process ended without a word ({status}): the program must call sealstone_sandbox::enter_if_inner() as \
         the first statement of main"
    )]
    NoInnerStage {
        /// How the re-executed program ended.
        status: String,
    },

    /// Something from outside ended the sandbox: the action's result is unknown and must not be used.
    #[error("the sandbox around {} was ended from outside: {what}", shown(argv))]
    Interrupted {
        /// What was running.
        argv: Vec<String>,
        /// What is known about the cause.
        what: String,
    },

    /// An archive could not be unpacked. What was unpacked so far must be thrown away.
    #[error("unpacking {archive}: {source}")]
    Unpack {
        /// The archive's name as far as it is known.
        archive: String,
        /// What is wrong.
        source: UnpackError,
    },

    /// A file or folder of the host could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Why an archive was refused, or could not be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// Not a Debian package as deb(5) describes it.
    #[error("not a Debian package: {0}")]
    NotADeb(String),

    /// Compressed in a way that isn't read here.
    #[error("compressed with {0}, which this unpacker doesn't read; xz, gzip and plain tar are read")]
    Compression(&'static str),

    /// The compressed stream or the tar in it is damaged or cut short.
    #[error("damaged archive: {0}")]
    Damaged(io::Error),

    /// The bytes aren't those that the lock names.
    #[error("the file's SHA-256 is {found}, the lock says {wanted}; remove the file from the store so that it is fetched anew")]
    Digest {
        /// From the lock.
        wanted: String,
        /// Of the file.
        found: String,
    },

    /// A member's name is absolute, leaves the tree, or can't be a file name.
    #[error("member {name:?}: {why}")]
    Name {
        /// The name, unprintable bytes escaped.
        name: String,
        /// Why it is refused.
        why: &'static str,
    },

    /// A member that isn't a file, directory, hard link or symbolic link.
    #[error("member {name:?} is a {kind}, which is never unpacked")]
    Kind {
        /// The member's name.
        name: String,
        /// What it is.
        kind: String,
    },

    /// One member wants a directory where another has something else. Following that something could lead out of the
    /// tree, and which of the two is right would depend on the order.
    #[error("member {name:?}: {at:?} is both a directory and something else")]
    NotADirectory {
        /// The member's name.
        name: String,
        /// The place of the contradiction.
        at: String,
    },

    /// A hard link whose target isn't a file of the same archive.
    #[error("member {name:?} is a hard link to {target:?}, which isn't a file of the same archive")]
    HardLink {
        /// The member's name.
        name: String,
        /// What it points to.
        target: String,
    },

    /// The disk didn't take it.
    #[error("writing {name:?}: {source}")]
    Write {
        /// The member's name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// How a program ended, other than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this status.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Exit(code) => write!(f, "failed with exit status {code}"),
            Ending::Signal(signal) => write!(f, "was ended by signal {signal}{}", signal_name(*signal)),
        }
    }
}

impl SandboxError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> SandboxError {
        let path = path.into();
        move |source| SandboxError::Io { doing, path, source }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => " (SIGABRT: it gave up on an internal error)",
        libc::SIGBUS => " (SIGBUS: mostly a full disk or a file cut short)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGILL => " (SIGILL: the processor lacks an instruction)",
        libc::SIGINT => " (SIGINT)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    }
}

fn shown(argv: &[String]) -> String {
    argv.join(" ")
}

fn tail(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; its last lines:\n{log}") }
}
