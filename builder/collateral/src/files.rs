//! What came, as files.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::FetchError;

/// What was fetched. Without any file, nothing was missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files for `verify`.
    pub files: Vec<File>,
    /// What couldn't be fetched, and where it comes from instead.
    pub notes: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, such as `vcek.pem`.
    pub name: &'static str,
    /// Options of `verify` that take it.
    pub options: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Fetched {
    /// Puts the files into `dir`, each as a whole or not at all, and returns their paths in order. The folder is made if it isn't there.
    ///
    /// # Errors
    /// [`FetchError::Write`].
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>, FetchError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| FetchError::Write { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let mut paths = Vec::new();
        for file in &self.files {
            let path = dir.join(file.name);
            let write = || -> std::io::Result<()> {
                let mut unfinished = tempfile::Builder::new().prefix(".unfinished-").tempfile_in(dir)?;
                unfinished.write_all(&file.bytes)?;
                // What is in it is public.
                unfinished.as_file().set_permissions(Permissions::from_mode(0o644))?;
                unfinished.as_file().sync_all()?;
                unfinished.persist(&path).map_err(|error| error.error)?;
                Ok(())
            };
            write().map_err(failed(&path))?;
            paths.push(path);
        }
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))?;
        Ok(paths)
    }
}
