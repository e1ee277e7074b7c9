//! Programs of the host, for the little that can't run in a root: what needs the user's own configuration. And programs of a root that
//! are to run on the host.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use crate::error::{Ending, SandboxError};
use crate::inner::sys::end_with_caller;
use crate::run::last_lines;

/// A program of the host, not isolated, with the caller's environment.
#[derive(Clone, Debug, Default)]
pub struct HostCommand {
    /// Program and arguments; the program is looked up in `PATH` unless it has a slash.
    pub argv: Vec<String>,
    /// Working directory; the caller's if there is none.
    pub dir: Option<PathBuf>,
    /// Variables to set, or with `None` to remove.
    pub env: BTreeMap<String, Option<String>>,
}

/// Runs a program of the host to its end, standard input empty, and returns what it wrote to standard output.
///
/// # Errors
/// [`SandboxError::HostCommandNotStarted`] if it isn't there, [`SandboxError::HostCommand`] with the end of its
/// standard error if it failed.
pub fn host_command(wanted: &HostCommand) -> Result<Vec<u8>, SandboxError> {
    let output = wanted.command()?.output().map_err(|source| wanted.not_started(source))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(wanted.failed(output.status, &output.stderr)),
    }
}

/// Where a root with Debian's libc has its dynamic linker. `lib64` has it as well, but as an absolute link: on a host, to the host's own.
const LINKER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// Where it has its libraries.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Becomes the dynamically linked `program`, a path in an unpacked root, on the host: not isolated, with the caller's environment and open files,
/// but with the linker and the libraries of the root that it stands in, so that the host may have others or none. It sees `name` as its own name.
/// Other programs that it starts are the host's, which is why this is for those that start none.
///
/// Returns only if that fails; `NotFound` is a program that stands in no root with a libc.
pub fn become_program(program: &Path, name: &OsStr, arguments: &[OsString]) -> io::Error {
    let Some(root) = program.ancestors().find(|above| above.join(LINKER).is_file()) else {
        return io::Error::new(io::ErrorKind::NotFound, format!("no {LINKER} in any folder above {}", program.display()));
    };
    let mut command = Command::new(root.join(LINKER));
    command.arg("--argv0").arg(name).arg("--library-path").arg(root.join(LIBRARIES)).arg(program);
    command.args(arguments).exec()
}

/// Starts a program of the host, standard input empty, the others to be read by the caller.
///
/// # Errors
/// [`SandboxError::HostCommandNotStarted`] if it isn't there.
pub fn host_spawn(wanted: &HostCommand) -> Result<HostRunning, SandboxError> {
    let mut command = wanted.command()?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    end_with_caller(&mut command);
    let child = command.spawn().map_err(|source| wanted.not_started(source))?;
    Ok(HostRunning { child, wanted: wanted.clone() })
}

/// A program of the host that runs beside the caller. It ends with this value, or with the thread that started it.
#[derive(Debug)]
pub struct HostRunning {
    child: Child,
    wanted: HostCommand,
}

impl HostRunning {
    /// The program's standard output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The program's standard error, once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the program to end.
    ///
    /// # Errors
    /// [`SandboxError::HostCommand`] unless it ended well.
    pub fn wait(mut self) -> Result<(), SandboxError> {
        let status = self.child.wait().map_err(SandboxError::io("waiting for", self.wanted.program()))?;
        match status.success() {
            true => Ok(()),
            false => Err(self.wanted.failed(status, b"")),
        }
    }
}

impl Drop for HostRunning {
    fn drop(&mut self) {
        // It may have ended already; then both only reap it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl HostCommand {
    fn command(&self) -> Result<Command, SandboxError> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(self.not_started(std::io::ErrorKind::InvalidInput.into()));
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }

    fn program(&self) -> String {
        self.argv.first().cloned().unwrap_or_default()
    }

    fn not_started(&self, source: std::io::Error) -> SandboxError {
        SandboxError::HostCommandNotStarted { program: self.program(), source }
    }

    fn failed(&self, status: ExitStatus, stderr: &[u8]) -> SandboxError {
        use std::os::unix::process::ExitStatusExt;
        let ending = match status.code() {
            Some(code) => Ending::Exit(code),
            None => Ending::Signal(status.signal().unwrap_or_default()),
        };
        SandboxError::HostCommand { argv: self.argv.clone(), ending, stderr: last_lines(stderr) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> HostCommand {
        HostCommand { argv: ["sh", "-c", script].map(String::from).to_vec(), ..HostCommand::default() }
    }

    #[test]
    fn output_environment_and_failure() {
        let mut command = sh("printf %s \"$ONE-${HOME-none}\"");
        command.env = BTreeMap::from([("ONE".into(), Some("1".into())), ("HOME".into(), None)]);
        assert_eq!(host_command(&command).unwrap(), b"1-none");

        let error = host_command(&sh("echo why >&2; exit 7")).unwrap_err();
        assert!(matches!(error, SandboxError::HostCommand { ending: Ending::Exit(7), .. }), "{error:?}");
        assert!(error.to_string().contains("why"), "{error}");

        let error = host_command(&sh("kill -9 $$")).unwrap_err();
        assert!(matches!(error, SandboxError::HostCommand { ending: Ending::Signal(9), .. }), "{error:?}");

        let missing = HostCommand { argv: vec!["no-such-program-anywhere".into()], ..HostCommand::default() };
        assert!(matches!(host_command(&missing), Err(SandboxError::HostCommandNotStarted { .. })));
    }

    #[test]
    fn a_program_of_no_root_is_refused() {
        // Relative, because a host may well be like a root, and this process would become what it names.
        let error = become_program(Path::new("no/such/program"), OsStr::new("program"), &[]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no/such/program"), "{error}");
    }

    #[test]
    fn what_runs_beside_is_heard_and_ends_with_its_value() {
        use std::io::Read;

        let mut running = host_spawn(&sh("echo heard; exec sleep 600")).unwrap();
        let mut out = running.take_stdout().unwrap();
        let mut heard = [0; 6];
        out.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"heard\n");
        drop(running);
        // The end of the output of a process that is gone.
        assert_eq!(out.read(&mut heard).unwrap(), 0);

        assert!(host_spawn(&sh("exit 0")).unwrap().wait().is_ok());
        let error = host_spawn(&sh("exit 3")).unwrap().wait().unwrap_err();
        assert!(matches!(error, SandboxError::HostCommand { ending: Ending::Exit(3), .. }), "{error:?}");
        let missing = HostCommand { argv: vec!["no-such-program-anywhere".into()], ..HostCommand::default() };
        assert!(matches!(host_spawn(&missing), Err(SandboxError::HostCommandNotStarted { .. })));
    }
}
