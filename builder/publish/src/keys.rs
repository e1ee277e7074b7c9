//! Key files: one line, a key in its text form.

use std::fs;
use std::path::{Path, PathBuf};

use sealstone_release::key::{KeyError, SigningKey, VerifierKey};

use crate::atomic;
use crate::error::{Doing as _, PublishError};

/// Only the owner may read a private key.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Writes the private key to `path` and the public one beside it, with `.pub` at the end of its name; returns the latter's
/// path. Neither may be there yet.
///
/// # Errors
/// [`PublishError::Exists`], and what the file system refuses.
pub fn write(path: &Path, key: &SigningKey) -> Result<PathBuf, PublishError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    let public = PathBuf::from(name);
    if public.exists() {
        return Err(PublishError::Exists { path: public });
    }
    atomic::create(path, format!("{}\n", key.to_secret_text()).as_bytes(), SECRET)?;
    atomic::create(&public, format!("{}\n", key.verifier()).as_bytes(), PUBLIC)?;
    Ok(public)
}

/// Reads a private key.
///
/// # Errors
/// If the file can't be read or is no key.
pub fn read_signing(path: &Path) -> Result<SigningKey, PublishError> {
    read(path, SigningKey::parse)
}

/// Reads a public key.
///
/// # Errors
/// If the file can't be read or is no key.
pub fn read_verifier(path: &Path) -> Result<VerifierKey, PublishError> {
    read(path, str::parse)
}

fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<T, KeyError>) -> Result<T, PublishError> {
    let text = fs::read_to_string(path).doing("reading", path)?;
    parse(text.trim_end_matches('\n')).map_err(|source| PublishError::Key { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use sealstone_release::key::KeyKind;

    use super::*;

    #[test]
    fn written_once_for_the_owner_alone() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("key");
        let key = SigningKey::from_seed("example.com/release".parse().unwrap(), KeyKind::Plain, &[1; 32]);
        let public = write(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_signing(&path).unwrap().verifier(), key.verifier());
        assert_eq!(read_verifier(&public).unwrap(), *key.verifier());
        assert!(read_verifier(&path).is_err() && read_signing(&public).is_err());
        let before = fs::read(&path).unwrap();
        let other = SigningKey::from_seed("example.com/release".parse().unwrap(), KeyKind::Plain, &[2; 32]);
        assert!(matches!(write(&path, &other), Err(PublishError::Exists { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(write(&path, &other), Err(PublishError::Exists { .. })), "the public half counts, too");
        assert!(!path.exists());
        fs::remove_file(&public).unwrap();
        write(&path, &other).unwrap();
        assert_ne!(fs::read(&path).unwrap(), before);
    }
}
