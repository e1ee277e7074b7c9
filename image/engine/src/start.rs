//! From an argument to a served model.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use sealstone_config::{MeasuredConfig, PATH};
use sealstone_protocol::Report;

use crate::confine::{self, ConfineError};
use crate::engine::Engine;
use crate::llama::{Llama, LoadError, Resources};
use crate::serve::{self, End};
use crate::through;

/// Where init mounts the packs, each below its model's name.
const PACKS: &str = "/packs";

/// The share of the machine's memory that caches of keys and values may take: 1 of this many. The model's own pages are
/// the kernel's cache of the pack, and want most of the rest; with several models each engine counts for itself.
const CACHE_SHARE: u64 = 4;

/// Stack of the thread that works. Some tokenizers match regular expressions with the C++ library, which needs stack in
/// proportion to the text. Only what is used takes memory.
const STACK: usize = 256 << 20;

/// Why the engine ends. Its text goes to the console, so none has content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The argument isn't exactly one model's name.
    #[error("started without a model's name")]
    Argument,
    /// The measured configuration can't be read. init has read the same.
    #[error("the configuration")]
    Config,
    /// The configuration has no such model.
    #[error("the configuration has no such model")]
    Model,
    /// The confinement failed.
    #[error("confinement: {0}")]
    Confine(#[from] ConfineError),
    /// A block of the pack isn't what was measured, or the disk fails.
    #[error("the pack can't be read: {0}")]
    Pack(io::Error),
    /// The model can't be loaded.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// Threads or standard error.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Serving ended.
    #[error("{0}")]
    Served(#[from] End),
}

/// What the image asks for: the model named by the only argument, its file in its pack, and the socket as descriptor 0.
pub fn run(socket: BorrowedFd<'static>) -> Result<(), Ended> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), None) = (arguments.next(), arguments.next()) else { return Err(Ended::Argument) };
    let bytes = std::fs::read(PATH).map_err(|_| Ended::Config)?;
    let measured = MeasuredConfig::parse(bytes).map_err(|_| Ended::Config)?;
    let model = measured.config().models.iter().find(|model| model.name.as_str() == name).ok_or(Ended::Model)?;
    let pack = Path::new(PACKS).join(&name);
    let file = pack.join(model.file.as_str());
    model_from(socket, &name, &pack, file)
}

/// Confines the process to `pack`, loads `file`, and serves until the front goes.
pub fn model_from(socket: BorrowedFd<'static>, name: &str, pack: &Path, file: PathBuf) -> Result<(), Ended> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let information = rustix::system::sysinfo();
    let memory = information.totalram.saturating_mul(u64::from(information.mem_unit));
    let resources =
        Resources { threads: u32::try_from(threads).unwrap_or(u32::MAX), cache: memory.checked_div(CACHE_SHARE).unwrap_or(0) };
    silence_libraries().map_err(|source| Ended::System { doing: "standard error", source })?;
    let files = through::files(pack).map_err(Ended::Pack)?;
    confine::before_loading(pack)?;
    through::read(&files).map_err(Ended::Pack)?;
    let name = name.to_owned();
    let work = move || {
        let llama = Llama::load(&file, resources)?;
        let orders = serve::read_orders(socket).map_err(|source| Ended::System { doing: "starting a thread", source })?;
        confine::before_serving()?;
        serve::send(socket, &mut vec![Report::Hello(Box::new(llama.facts(&name)))])?;
        Err(Ended::Served(serve::serve(socket, &orders, Engine::new(llama))))
    };
    let worker = std::thread::Builder::new().stack_size(STACK).spawn(work);
    let worker = worker.map_err(|source| Ended::System { doing: "starting a thread", source })?;
    worker.join().unwrap_or(Err(Ended::System { doing: "working", source: io::Error::other("panicked") }))
}

/// The console, while standard error leads nowhere.
static CONSOLE: std::sync::OnceLock<File> = std::sync::OnceLock::new();

/// Makes standard error lead nowhere: what llama.cpp says there when it aborts can hold text of a reply. What the engine
/// itself says goes through [`say`].
fn silence_libraries() -> io::Result<()> {
    let console = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    let nowhere = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    let _ = CONSOLE.set(File::from(console));
    Ok(())
}

/// Says a line on the console. It must hold nothing of a request.
pub fn say(line: &str) {
    let line = format!("engine: {line}\n");
    // Where nobody listens there is nobody to tell.
    let _ = match CONSOLE.get() {
        Some(mut console) => console.write_all(line.as_bytes()),
        None => io::stderr().write_all(line.as_bytes()),
    };
}

/// Makes a panic say where, and nothing else: its message could hold anything.
pub fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        say(&format!("panicked{place}"));
    }));
}
