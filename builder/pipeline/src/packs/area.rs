//! A pack's file behind the positional access of `sealstone_formats`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sealstone_formats::access::{ReadAt, WriteAt};

/// The first `size` bytes of a file; `watch` is told how many were read each time.
pub(super) struct Data<'a> {
    pub(super) file: &'a File,
    pub(super) size: u64,
    pub(super) watch: &'a (dyn Fn(u64) + Sync),
}

impl ReadAt for Data<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inside = offset.checked_add(out.len() as u64).is_some_and(|end| end <= self.size);
        if !inside {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(out, offset)?;
        (self.watch)(out.len() as u64);
        Ok(())
    }
}

/// What stands behind the data: positions count from `start`.
pub(super) struct Behind<'a> {
    pub(super) file: &'a File,
    pub(super) start: u64,
}

impl WriteAt for Behind<'_> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = self.start.checked_add(offset).ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.write_all_at(bytes, at)
    }
}
