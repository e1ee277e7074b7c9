//! Programs of the host, for the little that can't run in a root: what needs the user's own configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{Ending, SandboxError};
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
    let not_started =
        |source| SandboxError::HostCommandNotStarted { program: wanted.argv.first().cloned().unwrap_or_default(), source };
    let Some((program, arguments)) = wanted.argv.split_first() else {
        return Err(not_started(std::io::ErrorKind::InvalidInput.into()));
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if let Some(dir) = &wanted.dir {
        command.current_dir(dir);
    }
    for (name, value) in &wanted.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().map_err(not_started)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    use std::os::unix::process::ExitStatusExt;
    let ending = match output.status.code() {
        Some(code) => Ending::Exit(code),
        None => Ending::Signal(output.status.signal().unwrap_or_default()),
    };
    Err(SandboxError::HostCommand { argv: wanted.argv.clone(), ending, stderr: last_lines(&output.stderr) })
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
}
