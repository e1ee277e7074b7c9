//! What the command line takes from its surroundings: store folder, mirrors, processors, the user's cargo. The other crates
//! get these as values and ask the environment nothing.

use std::path::{Path, PathBuf};

use sealstone_inputs::{AptFile, Mirrors, Settings, Store};
use sealstone_sandbox::{HostCommand, host_command};

use crate::args::StoreArgs;
use crate::exit::Failure;

/// The store that the arguments name, or the user's.
pub(crate) fn store(args: &StoreArgs) -> Result<Store, Failure> {
    Ok(Store::open(&store_dir(args)?)?)
}

pub(crate) fn store_dir(args: &StoreArgs) -> Result<PathBuf, Failure> {
    if let Some(dir) = &args.store {
        return Ok(dir.clone());
    }
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").filter(|p| p.is_absolute()).or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache = cache
        .ok_or_else(|| Failure::bad_input("neither HOME nor XDG_CACHE_HOME is set; say where the store is with --store DIR"))?;
    Ok(cache.join("sealstone"))
}

/// `SEALSTONE_MIRROR`, then apt's own mirrors where there are any, then the snapshot archive.
pub(crate) fn mirrors() -> Result<Mirrors, Failure> {
    let apt = AptFile::read_all(Path::new("/etc/apt"));
    Ok(Mirrors::new(&Settings::new(|name| std::env::var(name).ok(), apt))?)
}

/// Jobs for compilers: as asked, or as many as there are processors.
pub(crate) fn jobs(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Cargo's own folder: `CARGO_HOME`, or `.cargo` in the home folder.
pub(crate) fn cargo_home() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo"))).unwrap_or_default()
}

/// Runs the user's own `cargo fetch --locked`, so that crates come by whatever cargo is set up with.
pub(crate) fn cargo_fetch(manifest: &Path) -> Result<(), String> {
    cargo(&["fetch", "--locked", "--manifest-path", &manifest.to_string_lossy()]).map(drop)
}

/// What the user's cargo says of itself.
pub(crate) fn cargo_version() -> Result<String, String> {
    Ok(cargo(&["--version"])?.trim().to_string())
}

fn cargo(arguments: &[&str]) -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let argv = [cargo.as_str()].iter().chain(arguments).map(ToString::to_string).collect();
    let output = host_command(&HostCommand { argv, ..HostCommand::default() }).map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Bytes that an ordinary user may still write in the file system of `path`.
pub(crate) fn free_space(path: &Path) -> Result<u64, Failure> {
    let stat = rustix::fs::statvfs(path).map_err(std::io::Error::from)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; 32], Failure> {
    use std::io::Read;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Bytes of memory that the machine has.
pub(crate) fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = text.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}
