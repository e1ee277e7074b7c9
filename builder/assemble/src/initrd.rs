//! The initramfs, which is the whole system.

use sealstone_formats::cpio::{self, Entry, Kind};

use crate::{AssembleError, config};

/// What goes in, besides the folders that init mounts on.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// PID 1, and as another process the daemon that serves.
    pub init: &'a [u8],
    /// The program that runs a model, one process each. An image without it serves no model.
    pub engine: Option<&'a [u8]>,
    /// The measured configuration.
    pub config: &'a [u8],
}

/// Folders that must be there before init runs: it mounts on them and makes none itself, so that the root can be read-only.
const FOLDERS: &[&str] = &["dev", "etc", "etc/sealstone", "packs", "proc", "run", "sys", "tmp"];

/// The archive, every time in it being `epoch`.
///
/// # Errors
/// [`AssembleError::Initrd`] if the format cannot hold the entries.
pub fn write(contents: &Contents<'_>, epoch: u64) -> Result<Vec<u8>, AssembleError> {
    let mut out = Vec::with_capacity(contents.init.len() + contents.engine.map_or(0, <[u8]>::len) + (1 << 16));
    cpio::write(&entries(contents), epoch, &mut out)?;
    Ok(out)
}

/// The complete list of what is in the image, in the order in which it is declared here.
pub fn entries<'a>(contents: &Contents<'a>) -> Vec<Entry<'a>> {
    let folder = |path| Entry { path, mode: 0o755, kind: Kind::Directory };
    let file = |path, mode, data| Entry { path, mode, kind: Kind::File(data) };
    let mut all = vec![folder(".")];
    all.extend(FOLDERS.iter().copied().map(folder));
    all.extend(contents.engine.map(|engine| file("engine", 0o755, engine)));
    all.extend([
        // The kernel opens this for init's standard streams before anything is mounted.
        Entry { path: "dev/console", mode: 0o600, kind: Kind::CharDevice { major: 5, minor: 1 } },
        file("init", 0o755, contents.init),
        Entry { path: "daemon", mode: 0o777, kind: Kind::Symlink("init") },
        file(config::PATH, 0o444, contents.config),
    ]);
    all
}
