//! The crates that a Cargo.lock names.

use std::collections::BTreeSet;

use sealstone_spec::{LockedCrate, Sha256};

/// Why a Cargo.lock can't become part of a lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CratesError {
    /// It isn't a Cargo.lock, or one of a format that isn't known.
    #[error("the Cargo.lock can't be read: {reason}; write it anew with `cargo generate-lockfile`")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// A crate that doesn't come from a registry: nothing vouches for its bytes by a digest.
    #[error(
        "the crate {name} {version} comes from `{origin}`; a build takes crates from a registry or from the workspace itself, so depend on a published version or copy it in"
    )]
    NotFromRegistry {
        /// The crate.
        name: String,
        /// Its version.
        version: String,
        /// `source` in the Cargo.lock.
        origin: String,
    },
    /// Crates of several registries, which the lock doesn't tell apart.
    #[error("the Cargo.lock names several registries ({first} and {second}); take all crates from one")]
    SeveralRegistries {
        /// One of them.
        first: String,
        /// Another one.
        second: String,
    },
    /// A crate of a registry without a digest.
    #[error("the crate {name} {version} has no SHA-256 checksum; write the Cargo.lock anew with `cargo generate-lockfile`")]
    NoChecksum {
        /// The crate.
        name: String,
        /// Its version.
        version: String,
    },
}

#[derive(serde::Deserialize)]
struct CargoLock {
    version: u32,
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// Every crate of a registry that a Cargo.lock names, by name and version.
///
/// A package without a source is part of the workspace or of a folder beside it; a Cargo.lock doesn't say which. A folder
/// outside isn't there when the sandbox builds, so that such a build fails and doesn't go unnoticed.
///
/// # Errors
/// See [`CratesError`].
pub fn crates_from_cargo_lock(text: &str) -> Result<Vec<LockedCrate>, CratesError> {
    let unreadable = |reason: String| CratesError::Unreadable { reason };
    let lock: CargoLock = toml::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    // Before version 3 the checksums stood elsewhere.
    if !(3..=4).contains(&lock.version) {
        return Err(unreadable(format!("it is of format version {}, and 3 and 4 are known", lock.version)));
    }
    let mut registry: Option<String> = None;
    let mut crates = BTreeSet::new();
    for Package { name, version, source, checksum } in lock.package {
        let Some(source) = source else { continue };
        if !source.starts_with("registry+") && !source.starts_with("sparse+") {
            return Err(CratesError::NotFromRegistry { name, version, origin: source });
        }
        let first = registry.get_or_insert_with(|| source.clone());
        if *first != source {
            return Err(CratesError::SeveralRegistries { first: first.clone(), second: source });
        }
        match checksum.as_deref().map(str::parse::<Sha256>) {
            Some(Ok(sha256)) => crates.insert(LockedCrate { name, version, sha256 }),
            _ => return Err(CratesError::NoChecksum { name, version }),
        };
    }
    Ok(crates.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, rest: &str) -> String {
        format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{rest}\n")
    }

    fn registry(host: &str, digit: char) -> String {
        format!("source = \"registry+https://{host}.example/index\"\nchecksum = \"{}\"", digit.to_string().repeat(64))
    }

    #[test]
    fn registry_crates_are_taken_and_workspace_ones_left_out() {
        let text = format!(
            "# generated\nversion = 4\n\n{}{}{}",
            package("zero", &registry("a", '0')),
            package("member", "dependencies = [\"zero\"]"),
            package("ape", &registry("a", '1'))
        );
        let found = crates_from_cargo_lock(&text).unwrap();
        assert_eq!(found.iter().map(|krate| krate.name.as_str()).collect::<Vec<_>>(), ["ape", "zero"]);
        assert_eq!(found[0].sha256.to_string(), "1".repeat(64));
        assert_eq!(crates_from_cargo_lock("version = 3\n"), Ok(vec![]));
    }

    #[test]
    fn what_is_refused() {
        let git = "source = \"git+https://a.example/r?rev=1#1\"";
        let several = package("aa", &registry("a", '0')) + &package("bb", &registry("b", '0'));
        for (text, message) in [
            ("version = 4\n".to_owned() + &package("aa", git), "comes from `git+https://a.example/r?rev=1#1`"),
            ("version = 4\n".to_owned() + &several, "names several registries"),
            ("version = 4\n".to_owned() + &package("aa", "source = \"registry+https://a.example\""), "no SHA-256 checksum"),
            ("version = 2\n".to_owned(), "format version 2"),
            ("".to_owned(), "missing field `version`"),
            ("version = 4\n[[package]]\nname = 1\n".to_owned(), "invalid type"),
            ("<html>".to_owned(), "can't be read"),
        ] {
            let error = crates_from_cargo_lock(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
