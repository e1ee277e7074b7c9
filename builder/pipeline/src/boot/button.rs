//! The power button of a virtual machine, by QEMU's machine protocol (QMP).
//!
//! Source: "QEMU Machine Protocol Specification", sections 2.2 (greeting), 2.3 (commands) and 4 (negotiation); QMP reference, `system_powerdown`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::error::{IoContext, PipelineError};

/// QEMU's socket, in the machine's work folder.
pub(super) const SOCKET: &str = "qmp";

/// QEMU answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lines that may come before the answer: events of the machine.
const MAX_LINES: usize = 64;

/// The button of one machine.
#[derive(Debug)]
pub(super) struct Button {
    work: File,
}

impl Button {
    /// Of the machine whose work folder this is; QEMU need not have made its socket yet.
    pub(super) fn of(work: &Path) -> Result<Self, PipelineError> {
        Ok(Self { work: File::open(work).doing("opening", work)? })
    }

    /// Presses it. The guest gets an ACPI event, which it may not be listening for yet: firmware and a kernel that still starts lose it.
    pub(super) fn press(&self) -> Result<(), PipelineError> {
        self.command("system_powerdown").map_err(|e| PipelineError::Boot(format!("pressing the machine's power button: {e}")))
    }

    fn command(&self, name: &str) -> std::io::Result<()> {
        // Through the folder's descriptor, because the address of a socket has 107 bytes and a store may lie deep.
        let stream = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", self.work.as_raw_fd()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(&stream);
        answer(&mut lines, "QMP")?;
        for command in ["qmp_capabilities", name] {
            (&stream).write_all(format!("{{\"execute\": \"{command}\"}}\n").as_bytes())?;
            answer(&mut lines, "return")?;
        }
        Ok(())
    }
}

/// Reads until a line has the member `wanted`; events may come in between.
fn answer(lines: &mut impl BufRead, wanted: &str) -> std::io::Result<()> {
    for _ in 0..MAX_LINES {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            break;
        }
        let said: Value = serde_json::from_str(&line)?;
        if said.get(wanted).is_some() {
            return Ok(());
        }
        if let Some(error) = said.get("error") {
            return Err(std::io::Error::other(format!("QEMU says {error}")));
        }
    }
    Err(std::io::Error::other(format!("QEMU did not answer with \"{wanted}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A QEMU that says the first of these at once, each other one after it heard a line, and ends. With what it heard.
    fn pressed(says: &'static [&'static str]) -> (Result<(), PipelineError>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let qemu = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            let mut lines = BufReader::new(&stream).lines();
            for (number, said) in says.iter().enumerate() {
                let _ = (&stream).write_all(said.as_bytes());
                if number + 1 == says.len() {
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                }
                heard.extend(lines.next().and_then(Result::ok));
            }
            heard
        });
        let result = Button::of(dir.path()).unwrap().press();
        (result, qemu.join().unwrap())
    }

    const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n";

    #[test]
    fn the_protocol_is_kept() {
        const SAYS: &[&str] =
            &[GREETING, "{\"return\": {}}\r\n", "{\"timestamp\": {}, \"event\": \"POWERDOWN\"}\r\n{\"return\": {}}\r\n"];
        let (result, heard) = pressed(SAYS);
        result.unwrap();
        assert_eq!(heard, ["{\"execute\": \"qmp_capabilities\"}", "{\"execute\": \"system_powerdown\"}"]);
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let cases: &[(&'static [&'static str], &str)] = &[
            (&["{\"QMQ\": {}}\r\n"], "did not answer with \"QMP\""),
            (&[GREETING, "{\"error\": {\"class\": \"CommandNotFound\"}}\r\n"], "CommandNotFound"),
            (&["SSH-2.0\r\n"], "expected value"),
        ];
        for (says, expected) in cases {
            let error = pressed(says).0.unwrap_err().to_string();
            assert!(error.contains("power button") && error.contains(expected), "{error}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(Button::of(empty.path()).unwrap().press().unwrap_err().to_string().contains("No such file"));
    }
}
