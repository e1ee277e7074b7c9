//! One builder at a time: an advisory lock on `<store>/lock` that the kernel releases when its holder ends, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

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
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(error).doing("locking", &path),
        Err(TryLockError::WouldBlock) => {
            let holder = holder(&path);
            let Some(on_wait) = on_wait else {
                return Err(InputsError::Busy { store: store.to_path_buf(), holder });
            };
            on_wait(&holder);
            wait(&file).doing("waiting for", &path)?;
        }
    }
    note_holder(&mut file).doing("writing", &path)?;
    Ok(StoreGuard { _file: file })
}

fn wait(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
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
