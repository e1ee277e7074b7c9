//! Packages and source archives to directories, without running anything that is in them.
//!
//! | module | holds |
//! | --- | --- |
//! | `ar` | the outer layer of a `.deb` |
//! | `compression` | xz, gzip or nothing, by the first bytes |
//! | `name` | a member's name → a path that can't leave the tree |
//! | `tree` | writing below one directory without ever following a link |
//! | `order` | directory order, which must not matter, made different on purpose |
//! | `root` | many packages → one root, in parallel, the same every time |
//!
//! # What is normalised
//! Files are 0755 if their owner may execute them, else 0644; directories 0755; so nothing is setuid and everything can be
//! removed by its owner, who is the caller. Files and symbolic links keep the archive's modification time in whole
//! seconds (make compares those of sources); directories get [`DIRECTORY_MTIME`], because theirs would otherwise tell when
//! and in which order the tree was written. Extended attributes and ACLs are dropped.

mod ar;
mod compression;
mod name;
mod order;
mod root;
mod tree;

use std::io::{self, Read};
use std::path::Path;

use rustix::fs::Timespec;
use tar::EntryType;

use crate::error::{SandboxError, UnpackError};
use name::{Layout, Member};
use tree::{FileMeta, Tree, Writer};

pub use order::Order;
pub(crate) use order::shuffled;
pub use root::{PackageFile, RootPlan, UNPACKER_VERSION};

/// 1980-01-01 00:00:00 UTC, the earliest time that every format which may meet these directories can express.
/// Changing it changes what actions may see: raise [`UNPACKER_VERSION`] too.
const DIRECTORY_MTIME: Timespec = Timespec { tv_sec: 315_532_800, tv_nsec: 0 };

/// Unpacks the files of a Debian package into `dest`, an existing directory.
///
/// # Errors
/// [`SandboxError::Unpack`], with whatever was unpacked before left in place.
pub fn unpack_deb(reader: impl Read, dest: &Path, order: Order) -> Result<(), SandboxError> {
    let unpack = |tree: &Tree| {
        let data = ar::data_member(reader)?;
        let mut writer = tree.writer(0);
        members(compression::plain(data)?, Layout::PLAIN, &mut writer)?;
        writer.link_all()
    };
    alone("the package", dest, order, unpack)
}

/// Unpacks a tar (plain, gzip or xz, by its first bytes) into `dest`, an existing directory, leaving off the first
/// `strip_components` components of every name. Members with fewer components are left out. What `dest` holds
/// already stays, unless a member has its name.
///
/// # Errors
/// [`SandboxError::Unpack`], with whatever was unpacked before left in place.
pub fn unpack_tar(reader: impl Read, dest: &Path, strip_components: usize, order: Order) -> Result<(), SandboxError> {
    let unpack = |tree: &Tree| {
        let mut writer = tree.writer(0);
        members(compression::plain(reader)?, Layout { strip: strip_components, merged: false }, &mut writer)?;
        writer.link_all()
    };
    alone("the archive", dest, order, unpack)
}

fn alone(
    what: &str,
    dest: &Path,
    order: Order,
    unpack: impl FnOnce(&Tree) -> Result<(), UnpackError>,
) -> Result<(), SandboxError> {
    let tree = Tree::open(dest).map_err(SandboxError::io("opening", dest))?;
    let finish = |tree: &Tree| {
        unpack(tree)?;
        tree.finish(order)
    };
    finish(&tree).map_err(|source| SandboxError::Unpack { archive: format!("{what} into {}", dest.display()), source })
}

/// Writes every member of a tar; hard links are only noted, because their targets may still change.
fn members(reader: impl Read, layout: Layout, writer: &mut Writer<'_>) -> Result<(), UnpackError> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(UnpackError::Damaged)? {
        let mut entry = entry.map_err(UnpackError::Damaged)?;
        let raw = entry.path_bytes().into_owned();
        let header = entry.header();
        let kind = header.entry_type();
        let mtime = i64::try_from(header.mtime().map_err(UnpackError::Damaged)?).unwrap_or(i64::MAX);
        let executable = header.mode().map_err(UnpackError::Damaged)? & 0o100 != 0;
        if matches!(kind, EntryType::XGlobalHeader) {
            continue;
        }
        let target = entry.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
        if layout.merged && kind.is_symlink() && name::is_merging_link(&raw, &target) {
            continue;
        }
        let Some(member) = Member::parse(&raw, layout)? else { continue };
        match kind {
            EntryType::Directory => writer.directory(&member)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                writer.file(&member, FileMeta { executable, mtime }, &mut entry)?;
            }
            EntryType::Symlink => writer.symlink(&member, &target, mtime)?,
            EntryType::Link => writer.hard_link(member, Member::parse(&target, layout)?, &target)?,
            other => return Err(UnpackError::Kind { name: member.shown(), kind: kind_name(other) }),
        }
    }
    Ok(())
}

fn kind_name(kind: EntryType) -> String {
    match kind {
        EntryType::Block => "block device".into(),
        EntryType::Char => "character device".into(),
        EntryType::Fifo => "named pipe".into(),
        other => format!("member of unknown type {:?}", char::from(other.as_byte())),
    }
}

/// Reads on to the end, so that whoever counts or hashes `reader`'s bytes has seen them all.
fn drain(reader: &mut impl Read) -> Result<(), UnpackError> {
    io::copy(reader, &mut io::sink()).map(drop).map_err(UnpackError::Damaged)
}
