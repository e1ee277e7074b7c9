//! The crates of a program, as `cargo auditable` left them in its section `.dep-v0`.
//!
//! They are read back from the bytes that go into the image and not from `Cargo.lock`, which also lists what other platforms,
//! tests and features would need.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::BomError;

/// The longest list that is unpacked, in bytes. That of the daemon has 4 KB; a program that claims more is damaged.
const MAX_LIST: usize = 1 << 20;

/// One crate of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it comes from the public registry; otherwise it is part of the source tree.
    pub registry: bool,
    /// Whether its code only ran while the program was built (build scripts, macros). Such a crate isn't in the program.
    pub build_only: bool,
}

/// The list as it stands in a program. Source: cargo-auditable, `PARSING.md`; fields that aren't needed are passed over.
#[derive(Deserialize)]
struct List {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: String,
    #[serde(default)]
    kind: Kind,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Build,
    #[default]
    Runtime,
}

/// The crates of `program`, sorted; `path` names it in errors.
///
/// # Errors
/// [`BomError::Crates`] if there is no list, a damaged one, or one with crates from anywhere but the registry and the source
/// tree.
pub fn of_program(path: &str, program: &[u8]) -> Result<BTreeSet<Crate>, BomError> {
    let refuse = |problem: String| BomError::Crates { program: path.into(), problem };
    let json = auditable_info::json_from_slice(program, MAX_LIST).map_err(|e| refuse(e.to_string()))?;
    let list: List = serde_json::from_str(&json).map_err(|e| refuse(e.to_string()))?;
    let one = |package: Package| {
        let registry = match package.source.as_str() {
            "crates.io" => true,
            "local" => false,
            other => return Err(refuse(format!("{} comes from {other:?}, which no lock pins", package.name))),
        };
        let build_only = package.kind == Kind::Build;
        Ok(Crate { name: package.name, version: package.version, registry, build_only })
    };
    list.packages.into_iter().map(one).collect()
}

/// Whether some bytes are a program (ELF).
pub(crate) fn is_program(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}
