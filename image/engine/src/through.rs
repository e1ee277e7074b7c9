//! A pack's files, read through from end to end before the model is mapped.
//!
//! llama.cpp maps a file with `MAP_POPULATE`, and the kernel, when a block that it populates fails its check against the
//! measured root, tries again for ever (`__mm_populate`, Linux 6.12): the engine would hang where it should end. A
//! plain read says what is wrong. It costs no second reading from the disk, because the mapping finds the pages in the
//! cache; and it covers every file, so that a pack is served whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of one read: enough that the calls don't count.
const PIECE: usize = 1 << 20;

/// Every file of a pack, by name. Listing takes calls that loading doesn't; it comes before the confinement.
///
/// # Errors
/// When a folder can't be listed.
pub fn files(pack: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![pack.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Reads files to their ends, keeping nothing; returns how many bytes that were.
///
/// # Errors
/// At the first read that fails, for which a damaged block is the reason in a pack: `EIO`.
pub fn read(files: &[PathBuf]) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut total = 0_u64;
    for file in files {
        let mut file = File::open(file)?;
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => total = total.saturating_add(count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_pack_is_read_to_its_end() {
        let pack = std::env::temp_dir().join(format!("sealstone-through-{}", std::process::id()));
        fs::create_dir_all(pack.join("inner/empty")).unwrap();
        let sizes = [("a.gguf", 2 * PIECE + 5), ("b", 0), ("inner/c-00002-of-00002.gguf", 4097)];
        for (name, size) in sizes {
            fs::write(pack.join(name), vec![1; size]).unwrap();
        }
        let listed = files(&pack).unwrap();
        assert_eq!(listed, sizes.map(|(name, _)| pack.join(name)));
        assert_eq!(read(&listed).unwrap(), (2 * PIECE + 5 + 4097) as u64);
        fs::remove_file(pack.join("b")).unwrap();
        assert_eq!(read(&listed).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_dir_all(&pack).unwrap();
        assert_eq!(files(&pack).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A read that fails behind a successful open, which is how a damaged block looks.
    #[test]
    fn a_read_that_fails_is_an_error() {
        // Memory that isn't mapped: the kernel answers EIO at offset 0 of the process's own memory.
        let error = read(&[PathBuf::from("/proc/self/mem")]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5), "{error}");
    }
}
