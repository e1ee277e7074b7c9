//! The daemon's process: started in an empty root as an unprivileged user, watched, and ended.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::engine::MODEL;

/// Starts the daemon as init does, but for an `insecure` configuration: a user of its own, the engine's socket as descriptor 3, a pipe as output, as
/// many files as in an image.
const START: &str = "ulimit -n 1024; exec unshare --map-user=100 --map-group=100 --root=\"$0\" --wd=/ /daemon 3<&0 </dev/null";

pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    pub(crate) config: String,
    child: Running,
    engine: Running,
    console: Option<JoinHandle<String>>,
    root: tempfile::TempDir,
}

/// A process that doesn't outlive this one, also when something panics.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was left when everything had ended.
pub(crate) struct Ended {
    pub(crate) status: std::process::ExitStatus,
    pub(crate) console: String,
    pub(crate) engine: Value,
}

impl Daemon {
    /// Starts both processes. An error is why this host can't.
    pub(crate) fn start(program: &Path) -> Result<Daemon, String> {
        let root = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = config(port);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(root.path().join("etc/sealstone")).unwrap();
        fs::create_dir_all(root.path().join("packs").join(MODEL)).unwrap();
        fs::write(root.path().join("packs").join(MODEL).join("m.gguf"), "").unwrap();
        fs::write(root.path().join("etc/sealstone/config.json"), &config).unwrap();
        fs::copy(program, root.path().join("daemon")).unwrap();

        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut engine = Command::new(std::env::current_exe().unwrap());
        let engine = Running(engine.arg("engine").stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).spawn().unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", START]).arg(root.path()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let mut child = Running(shell.stdin(OwnedFd::from(ours)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        drop(shell);
        let console = read(child.0.stderr.take().unwrap());
        let mut ready = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = ([127, 0, 0, 1], port).into();
        let daemon = Daemon { address, config, child, engine, console: Some(console), root };
        if ready == "ready\n" { Ok(daemon) } else { Err(daemon.wait().console) }
    }

    /// Bytes of memory that the daemon has now.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What init does when the power button is pressed.
    pub(crate) fn end(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Until both processes have ended.
    pub(crate) fn wait(mut self) -> Ended {
        let status = self.child.0.wait().unwrap();
        let console = self.console.take().map(|console| console.join().unwrap()).unwrap_or_default();
        let mut said = String::new();
        self.engine.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.engine.0.wait().unwrap().success(), "the engine's own bound was broken: {said}");
        drop(self.root);
        Ended { status, console, engine: serde_json::from_str(&said).unwrap() }
    }
}

fn read(mut from: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

fn config(port: u16) -> String {
    let zeros = "0".repeat(64);
    format!(
        r#"{{"attestation":"insecure","image":{{"name":"soak","version":"1"}},"models":[{{"file":"m.gguf","name":"{MODEL}","required":true,"root":"{zeros}","salt":"{zeros}","size":8192}}],"network":{{"address":"dhcp","port":{port}}},"schema":"sealstone/config/v1"}}"#
    )
}
