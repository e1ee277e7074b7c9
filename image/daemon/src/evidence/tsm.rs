//! Reports of an SEV-SNP or TDX machine, from one entry of configfs-tsm.
//!
//! Source: Linux 6.12, Documentation/ABI/testing/configfs-tsm, `drivers/virt/coco/tsm.c` and, for when what takes effect,
//! `fs/configfs/file.c`: what is written to `inblob` is handed over when the file is closed, and an error of that is lost; what
//! is read of a file is its state at the first read after opening. So each access opens the file anew, and whether a report is the one that was
//! asked for is told by the generation, which every write raises by one, and by the report itself.

use std::io;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::Kind;

/// A report's user data, in bytes.
pub const DATA: usize = 64;

/// The longest report, quote or certificate table that is taken: twice what the kernel's drivers give (16 KiB; Linux,
/// `SEV_FW_BLOB_MAX_SIZE` and `GET_QUOTE_BUF_SIZE`).
const MAX_BLOB: usize = 32 * 1024;

/// A generation is a decimal number and a line feed.
const MAX_NUMBER: usize = 32;

/// How often a report is tried in all when somebody else used the entry meanwhile. Nobody else in the image can.
const ATTEMPTS: usize = 3;

/// Length of an SEV-SNP report, and where its user data is. Source: AMD SEV-SNP ABI (56860), table "ATTESTATION_REPORT".
const SNP_REPORT: usize = 1184;
const SNP_DATA: usize = 0x50;

/// Where a TDX quote's user data is: behind the header (48 bytes), in format 5 a type and a length (6), and the body's first
/// 520 bytes. Source: Intel TDX DCAP Quoting Library API, appendix "Quote format".
const TDX_DATA_4: usize = 48 + 520;
const TDX_DATA_5: usize = 48 + 6 + 520;

/// Why there is no report. None holds bytes of a request, so it may be said on the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The kernel, or behind it the processor or the host, refused; the operating system's error number.
    #[error("{file}: errno {errno}")]
    Kernel {
        /// The file of the entry.
        file: &'static str,
        /// The number.
        errno: i32,
    },
    /// A file holds what it can't hold, or the report is not the one that was asked for.
    #[error("{file}: malformed")]
    Malformed {
        /// The file of the entry.
        file: &'static str,
    },
    /// Each time somebody else wrote to the entry, or the kernel didn't take what was written.
    #[error("the report entry is in use")]
    InUse,
}

/// The two processors' kinds of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tee {
    /// AMD SEV-SNP.
    SevSnp,
    /// Intel TDX.
    Tdx,
}

impl Tee {
    /// The processor's part of [`Kind`].
    pub fn of(kind: Kind) -> Option<Tee> {
        match kind {
            Kind::SevSnp => Some(Tee::SevSnp),
            Kind::Tdx => Some(Tee::Tdx),
            Kind::Tpm2 | Kind::Insecure => None,
        }
    }
}

/// What the kernel gave for one challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The attestation report or the quote.
    pub evidence: Vec<u8>,
    /// What the host has put beside a report: its certificate table. Empty if nothing, and for a quote.
    pub auxiliary: Vec<u8>,
}

/// The files of a report entry.
pub trait Entry: Send {
    /// All of a file, opened anew; an error when it has more than `limit` bytes.
    fn read(&mut self, file: &'static str, limit: usize) -> io::Result<Vec<u8>>;
    /// Writes a file at once, opened anew and closed.
    fn write(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()>;
}

/// A report for `data`. Whoever calls this must be the only one to use the entry in this process; others are noticed.
///
/// # Errors
/// There is none, or none that is for `data`.
pub fn report(entry: &mut impl Entry, tee: Tee, data: &[u8; DATA]) -> Result<Report, ReportError> {
    let mut last = ReportError::InUse;
    for _ in 0..ATTEMPTS {
        match attempt(entry, tee, data) {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => last = ReportError::InUse,
            // As between two writers (tsm.c), or while a file is being written (configfs). There is nothing to wait for.
            Err(error @ ReportError::Kernel { errno, .. }) if is_passing(errno) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn is_passing(errno: i32) -> bool {
    [Errno::BUSY, Errno::AGAIN, Errno::INTR, Errno::TXTBSY].iter().any(|passing| passing.raw_os_error() == errno)
}

/// `None` when the generation says that the report may be somebody else's.
fn attempt(entry: &mut impl Entry, tee: Tee, data: &[u8; DATA]) -> Result<Option<Report>, ReportError> {
    let ours = generation(entry)?.wrapping_add(1);
    entry.write("inblob", data).map_err(|error| kernel("inblob", &error))?;
    if generation(entry)? != ours {
        return Ok(None);
    }
    let evidence = entry.read("outblob", MAX_BLOB).map_err(|error| kernel("outblob", &error))?;
    let auxiliary = match tee {
        Tee::SevSnp => auxiliary(entry)?,
        Tee::Tdx => Vec::new(),
    };
    if generation(entry)? != ours {
        return Ok(None);
    }
    match data_of(tee, &evidence) {
        Some(found) if found == data => Ok(Some(Report { evidence, auxiliary })),
        _ => Err(ReportError::Malformed { file: "outblob" }),
    }
}

/// Drivers without certificates have no such file, or an empty one.
fn auxiliary(entry: &mut impl Entry) -> Result<Vec<u8>, ReportError> {
    match entry.read("auxblob", MAX_BLOB) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| kernel("auxblob", &error)),
    }
}

fn generation(entry: &mut impl Entry) -> Result<u64, ReportError> {
    const FILE: &str = "generation";
    let text = entry.read(FILE, MAX_NUMBER).map_err(|error| kernel(FILE, &error))?;
    let number = std::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
    number.ok_or(ReportError::Malformed { file: FILE })
}

fn kernel(file: &'static str, error: &io::Error) -> ReportError {
    ReportError::Kernel { file, errno: crate::event::errno(error) }
}

/// The user data that a report or quote carries, if it has the form of one.
fn data_of(tee: Tee, evidence: &[u8]) -> Option<&[u8]> {
    let at = match (tee, evidence) {
        (Tee::SevSnp, _) if evidence.len() == SNP_REPORT => SNP_DATA,
        (Tee::Tdx, [4, 0, ..]) => TDX_DATA_4,
        (Tee::Tdx, [5, 0, ..]) => TDX_DATA_5,
        _ => return None,
    };
    evidence.get(at..at.checked_add(DATA)?)
}

/// An entry in the file system: the kernel's, or a test's.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// These two sets of flags are all that the confinement lets through.
    fn open(&self, file: &str, access: OFlags) -> rustix::io::Result<rustix::fd::OwnedFd> {
        openat(CWD, self.0.join(file), access | OFlags::CLOEXEC, Mode::empty())
    }
}

impl Entry for Folder {
    fn read(&mut self, file: &'static str, limit: usize) -> io::Result<Vec<u8>> {
        let file = rustix::io::retry_on_intr(|| self.open(file, OFlags::RDONLY))?;
        let mut bytes = Vec::new();
        let mut buffer = [0_u8; 4096];
        loop {
            let count = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut buffer))?;
            if count == 0 {
                return Ok(bytes);
            }
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if bytes.len() > limit {
                return Err(Errno::FBIG.into());
            }
        }
    }

    /// In one call, because a second one would only be appended, and as a whole, because a part would be another challenge.
    fn write(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        let file = rustix::io::retry_on_intr(|| self.open(file, OFlags::WRONLY))?;
        let count = rustix::io::retry_on_intr(|| rustix::io::write(&file, bytes))?;
        if count == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

#[cfg(test)]
mod tests;
