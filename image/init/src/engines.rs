//! One engine process a model, and the sockets between them and the front.
//!
//! An engine parses what is in a model and runs foreign mathematics over it; when a block of its pack turns out damaged, reading fails and
//! it dies. So each model has a process of its own, whose end ends nothing else: the front sees its socket close and says so.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, WaitStatus};
use sealstone_config::{Model, Name};

use crate::console;
use crate::fatal::{Context, Fatal};

/// The engines' user: not root, and not the front's.
const UID: u32 = 101;
/// The engines' group.
const GID: u32 = 101;

/// When memory runs out, an engine has to go rather than the front, whose end is the machine's.
const OOM_SCORE: &str = "500";

/// The engines that were started.
pub(crate) struct Engines(Vec<(Pid, Name)>);

/// Starts an engine for every model whose pack is mounted, each with an empty environment, its socket as input and the console for its
/// events. Returns the front's ends as well, one a model in the models' order; where no engine runs, the other end is closed.
pub(crate) fn start(models: &[Model], mounted: &[bool]) -> Result<(Engines, Vec<OwnedFd>), Fatal> {
    let (mut running, mut sockets) = (Vec::new(), Vec::new());
    for (index, model) in models.iter().enumerate() {
        let (front, engine) = UnixStream::pair().doing("making an engine's socket")?;
        sockets.push(OwnedFd::from(front));
        if mounted.get(index) == Some(&true) {
            running.extend(start_one(&model.name, engine).map(|pid| (pid, model.name.clone())));
        }
    }
    Ok((Engines(running), sockets))
}

/// `uid` also makes the standard library clear the supplementary groups. A model without an engine is one that can't be served, not a
/// reason to stop the others.
fn start_one(name: &Name, socket: UnixStream) -> Option<Pid> {
    let mut command = Command::new("/engine");
    command.arg(name.as_str()).env_clear().current_dir("/").uid(UID).gid(GID);
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null());
    match command.spawn() {
        Ok(child) => {
            // An engine that has ended meanwhile has no such file.
            let _ = fs::write(format!("/proc/{}/oom_score_adj", child.id()), OOM_SCORE);
            Some(Pid::from_child(&child))
        }
        Err(error) => {
            console::say(&format!("model {name} has no engine: starting /engine: {error}"));
            None
        }
    }
}

impl Engines {
    /// Says so if the process that ended was an engine.
    pub(crate) fn ended(&mut self, pid: Pid, status: WaitStatus) {
        if let Some(at) = self.0.iter().position(|(engine, _)| *engine == pid) {
            let (_, name) = self.0.swap_remove(at);
            console::say(&format!("the engine of {name} ended ({})", ExitStatus::from_raw(status.as_raw())));
        }
    }
}
