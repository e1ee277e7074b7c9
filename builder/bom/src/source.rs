//! `source.tar`: the files of the source tree that a build reads, and no others.
//!
//! A release carries it, so that anyone can build the image again without the repository. What it must prove: that equal files
//! give an equal archive. Hence headers are made here from path and content alone, and an archive is read only if writing its
//! files again gives the same bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use crate::BomError;

/// The archive's name in the output folder.
pub const FILE: &str = "source.tar";

/// Files by path: relative, `/` between plain components.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Longer archives are refused unread. That of the default image has about 1 MB.
const MAX_ARCHIVE: usize = 256 << 20;

/// The archive of `files`: ustar, sorted by path, every file with mode 0644, owner 0 and the time `epoch`.
///
/// # Errors
/// [`BomError::Pack`] for a path that isn't plain, or longer than ustar takes.
pub fn write(files: &Tree, epoch: u64) -> Result<Vec<u8>, BomError> {
    let mut archive = Builder::new(Vec::new());
    for (path, content) in files {
        let refuse = |problem: String| BomError::Pack { path: path.clone(), problem };
        if !plain(path) {
            return Err(refuse("it is not a relative path of plain components".into()));
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_path(path).map_err(|e| refuse(e.to_string()))?;
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(epoch);
        header.set_cksum();
        archive.append(&header, content.as_slice()).map_err(|e| refuse(e.to_string()))?;
    }
    archive.into_inner().map_err(|e| BomError::Pack { path: FILE.into(), problem: e.to_string() })
}

/// The files of an archive that [`write`] made.
///
/// # Errors
/// [`BomError::Source`] for anything that isn't exactly what [`write`] makes: links, folders, paths that lead elsewhere,
/// other headers, something behind the end.
pub fn read(bytes: &[u8]) -> Result<Tree, BomError> {
    let refuse = |problem: String| BomError::Source(problem);
    if bytes.len() > MAX_ARCHIVE {
        return Err(refuse(format!("it has {} bytes, more than the {MAX_ARCHIVE} that are read", bytes.len())));
    }
    let mut files = Tree::new();
    let mut epoch = 0;
    let mut archive = Archive::new(bytes);
    for entry in archive.entries().map_err(|e| refuse(e.to_string()))? {
        let mut entry = entry.map_err(|e| refuse(e.to_string()))?;
        let path = entry.path().map_err(|e| refuse(e.to_string()))?.to_string_lossy().into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(refuse(format!("{path:?} is not a plain file")));
        }
        epoch = entry.header().mtime().map_err(|e| refuse(e.to_string()))?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| refuse(format!("{path:?}: {e}")))?;
        files.insert(path, content);
    }
    match write(&files, epoch) {
        Ok(again) if again == bytes => Ok(files),
        Ok(_) => Err(refuse("it is not in the form that sealstone writes".into())),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn plain(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/") == path
        && Path::new(path).components().all(|c| matches!(c, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Tree {
        [("image/inference.yaml", "schema"), ("image/init/src/main.rs", "fn main() {}"), ("empty", "")]
            .map(|(path, content)| (path.to_string(), content.as_bytes().to_vec()))
            .into()
    }

    #[test]
    fn headers_are_fixed() {
        let archive = write(&sample(), 1_783_764_997).unwrap();
        assert_eq!(archive.len() % 512, 0);
        let header = &archive[..512];
        assert_eq!(&header[..6], b"empty\0");
        assert_eq!(&header[100..124], b"0000644\x000000000\x000000000\0");
        assert_eq!(&header[257..265], b"ustar\x0000");
        assert!(header[265..329].iter().all(|byte| *byte == 0), "no user or group names");
    }

    #[test]
    fn any_changed_byte_is_refused_or_is_other_content() {
        let good = write(&sample(), 1_783_764_997).unwrap();
        let files = read(&good).unwrap();
        assert_eq!(files, sample());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            if let Ok(other) = read(&bad) {
                assert_eq!(write(&other, 1_783_764_997).unwrap(), bad, "byte {at}");
                assert_ne!(other, files, "byte {at}");
            }
        }
        for end in (0..good.len()).step_by(64) {
            assert!(read(&good[..end]).is_err(), "{end}");
        }
        assert!(read(&[good.clone(), vec![0; 512]].concat()).is_err());
    }

    #[test]
    fn paths_cannot_lead_elsewhere() {
        for path in ["../x", "/etc/passwd", "a/../../b", "a//b", "./a", "a/", ""] {
            assert!(write(&Tree::from([(path.into(), vec![])]), 0).is_err(), "{path:?}");
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Symlink);
        header.set_path("link").unwrap();
        header.set_link_name("/etc").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut archive = Builder::new(Vec::new());
        archive.append(&header, &[][..]).unwrap();
        assert!(read(&archive.into_inner().unwrap()).unwrap_err().to_string().contains("not a plain file"));
    }

    proptest! {
        #[test]
        fn reading_gives_the_files_back(
            files in prop::collection::btree_map("[a-z]{1,8}(/[a-z.]{0,2}[a-z]{1,8}){0,3}", prop::collection::vec(any::<u8>(), 0..700), 1..8),
        ) {
            prop_assert_eq!(read(&write(&files, 1 << 30).unwrap()).unwrap(), files);
        }
    }
}
