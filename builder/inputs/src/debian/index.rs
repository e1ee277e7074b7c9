//! Packages as the indexes of a suite describe them.

use std::collections::BTreeMap;

use sealstone_spec::{PackageName, RootPath, Sha256, Version};

use super::deb822::{Malformed, Paragraph, paragraphs};
use super::relation::{self, Relation};

/// One paragraph of a Packages file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryPackage {
    /// `Package`
    pub name: PackageName,
    /// `Version`
    pub version: Version,
    /// `Architecture`: `amd64` or `all`.
    pub arch: String,
    /// `Source`, or the name itself.
    pub source: PackageName,
    /// The .deb.
    pub file: PoolFile,
    /// `Pre-Depends` and `Depends`: of each group one.
    pub(super) depends: Vec<Vec<Relation>>,
    /// `Provides`
    pub(super) provides: Vec<Relation>,
}

/// A file in an archive's pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolFile {
    /// Path below the archive's base.
    pub path: RootPath,
    /// In bytes.
    pub size: u64,
    /// Of the whole file.
    pub sha256: Sha256,
}

/// One paragraph of a Sources file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePackage {
    /// `Package`
    pub name: PackageName,
    /// `Version`
    pub version: Version,
    /// The tarballs, by file name: upstream's, its components', Debian's; or a native package's only one, or the old
    /// `.diff.gz`.
    ///
    /// The `.dsc` isn't among them: all that it says about the tarballs is their digests, which the signed index says
    /// too. Nor are upstream's detached signatures (`.asc`): checking them is the packagers' job, whose keys aren't known
    /// here, and nothing is built from them.
    pub files: BTreeMap<String, PoolFile>,
}

/// All packages of a Packages file (Debian Policy, section 5.3).
///
/// # Errors
/// [`Malformed`] for the first paragraph that isn't a package's.
pub fn packages(text: &str) -> Result<Vec<BinaryPackage>, Malformed> {
    paragraphs(text).map(|paragraph| binary(&paragraph?)).collect()
}

/// All packages of a Sources file (Debian Policy, section 5.4).
///
/// # Errors
/// [`Malformed`] for the first paragraph that isn't a source package's.
pub fn sources(text: &str) -> Result<Vec<SourcePackage>, Malformed> {
    paragraphs(text).map(|paragraph| source(&paragraph?)).collect()
}

fn binary(paragraph: &Paragraph<'_>) -> Result<BinaryPackage, Malformed> {
    let name: PackageName = paragraph.parse("Package")?;
    let relations = |field: &str| {
        relation::parse(paragraph.field(field).unwrap_or_default())
            .map_err(|what| paragraph.malformed(format!("package {name}, `{field}`: {what}")))
    };
    let mut depends = relations("Pre-Depends")?;
    depends.extend(relations("Depends")?);
    let provides = relations("Provides")?.into_iter().flatten().collect();
    let source = match paragraph.field("Source").and_then(|source| source.split_ascii_whitespace().next()) {
        Some(source) => source.parse().map_err(|error| paragraph.malformed(format!("`Source`: {error}")))?,
        None => name.clone(),
    };
    let arch = paragraph.need("Architecture")?.to_owned();
    if arch != "amd64" && arch != "all" {
        return Err(paragraph.malformed(format!("package {name} is of the architecture `{arch}`, not amd64 or all")));
    }
    let file = PoolFile {
        path: pool_path(paragraph, paragraph.need("Filename")?)?,
        size: paragraph.parse("Size")?,
        sha256: paragraph.parse("SHA256")?,
    };
    Ok(BinaryPackage { version: paragraph.parse("Version")?, name, arch, source, file, depends, provides })
}

fn source(paragraph: &Paragraph<'_>) -> Result<SourcePackage, Malformed> {
    let directory = paragraph.need("Directory")?;
    let mut files = BTreeMap::new();
    for line in paragraph.need("Checksums-Sha256")?.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let unreadable = || paragraph.malformed(format!("`Checksums-Sha256`: `{line}` isn't an entry"));
        let [digest, size, name] = words.as_slice() else { return Err(unreadable()) };
        // One segment, so that a name can't lead out of the package's folder.
        let plain = !name.contains('/') && !name.starts_with('.');
        if !plain {
            return Err(unreadable());
        }
        if name.ends_with(".dsc") || name.ends_with(".asc") {
            continue;
        }
        let file = PoolFile {
            path: pool_path(paragraph, &format!("{directory}/{name}"))?,
            size: size.parse().map_err(|_| unreadable())?,
            sha256: digest.parse().map_err(|_| unreadable())?,
        };
        if files.insert((*name).to_owned(), file).is_some() {
            return Err(paragraph.malformed(format!("`Checksums-Sha256` lists {name} twice")));
        }
    }
    Ok(SourcePackage { name: paragraph.parse("Package")?, version: paragraph.parse("Version")?, files })
}

/// A path that stays below the archive's base. It is joined to mirrors' addresses and to folders.
fn pool_path(paragraph: &Paragraph<'_>, text: &str) -> Result<RootPath, Malformed> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._~:%@=".contains(&byte);
    let path: RootPath = text.parse().map_err(|error| paragraph.malformed(format!("a path of the pool: {error}")))?;
    if !path.as_str().bytes().all(fine) {
        return Err(paragraph.malformed(format!("a path of the pool: `{path}` has unusual characters")));
    }
    Ok(path)
}
