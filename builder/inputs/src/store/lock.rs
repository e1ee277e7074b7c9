//! One builder at a time: an advisory lock on `<store>/lock` that the kernel releases when its holder ends, however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Holder, InputsError, IoContext, Result};

/// Keeps other builders out of a store as long as it lives.
#[derive(Debug)]
pub struct StoreGuard {
    _file: File,
}

pub(super) fn acquire(store: &Path, on_wait: Option<&dyn Fn(&Holder)>) -> Result<StoreGuard> {
    let path = store.join("lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.doing("opening", &path)?;
    // Not by `File::try_lock`: builder/seed is compiled by a Rust that hasn't got it.
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let holder = holder(&path);
            let Some(on_wait) = on_wait else {
                return Err(InputsError::Busy { store: store.to_path_buf(), holder });
            };
            on_wait(&holder);
            wait(&file).doing("waiting for", &path)?;
        }
        Err(error) => return Err(io::Error::from(error)).doing("locking", &path),
    }
    note_holder(&mut file).doing("writing", &path)?;
    Ok(StoreGuard { _file: file })
}

fn wait(file: &File) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// The id is for people only; the lock is the kernel's, so an id left behind by a killed process blocks nobody.
fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn holder(path: &Path) -> Holder {
    Holder { pid: fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()) }
}
