//! The directory tree of a volume to be written: declared files → nodes with short names, in the order in which they
//! are laid out.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{self, ShortName};
use super::writer::{File, WriteError};

/// A file or directory of the tree.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) short: ShortName,
    /// Index of the directory that it stands in; the root is its own.
    pub(super) parent: usize,
    pub(super) kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
    /// With the indices of what stands in it, in order.
    Directory(Vec<usize>),
    File(&'a [u8]),
}

/// The nodes, root first, every directory before what stands in it. Siblings are sorted by their upper-case name, since
/// FAT names have no case of their own.
pub(super) fn build<'a>(files: &[File<'a>]) -> Result<Vec<Node<'a>>, WriteError> {
    let mut nodes = vec![Node { name: "", short: [b' '; 11], parent: 0, kind: Kind::Directory(Vec::new()) }];
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    for (_, file) in sorted(files)? {
        let mut parent = 0;
        for (end, name) in parts(file.path) {
            let path = file.path.get(..end).unwrap_or(file.path);
            let last = end == file.path.len();
            let found = index.get(&path.to_ascii_uppercase()).copied();
            parent = match found.map(|found| (found, &nodes[found])) {
                None => {
                    let kind = if last { Kind::File(file.content) } else { Kind::Directory(Vec::new()) };
                    nodes.push(Node { name, short: [b' '; 11], parent, kind });
                    let new = nodes.len() - 1;
                    if let Kind::Directory(children) = &mut nodes[parent].kind {
                        children.push(new);
                    }
                    index.insert(path.to_ascii_uppercase(), new);
                    new
                }
                Some((found, Node { kind: Kind::Directory(_), name: same, .. })) if !last && *same == name => found,
                Some(_) => {
                    let fault = "another path is the same, differs only in case, or uses a file as a directory";
                    return Err(WriteError::Path { path: file.path.to_owned(), fault });
                }
            };
        }
    }
    assign_short_names(&mut nodes)?;
    Ok(nodes)
}

/// Files by their upper-case path part by part, so that the order doesn't depend on where `/` sorts.
fn sorted<'f, 'a>(files: &'f [File<'a>]) -> Result<Vec<(Vec<String>, &'f File<'a>)>, WriteError> {
    let mut sorted = Vec::with_capacity(files.len());
    for file in files {
        let mut key = Vec::new();
        for part in file.path.split('/') {
            if let Some(fault) = name::fault(part) {
                return Err(WriteError::Path { path: file.path.to_owned(), fault });
            }
            key.push(part.to_ascii_uppercase());
        }
        sorted.push((key, file));
    }
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(sorted)
}

/// The parts of a path, each with the offset at which it ends.
fn parts(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    path.split('/').map(move |part| {
        let start = end;
        end = start + part.len() + 1;
        (end - 1, part)
    })
}

/// Names that are short already keep themselves; the others are numbered around them, in order.
fn assign_short_names(nodes: &mut [Node<'_>]) -> Result<(), WriteError> {
    let mut taken: BTreeMap<usize, BTreeSet<ShortName>> = BTreeMap::new();
    for node in nodes.iter_mut().skip(1) {
        if let Some(short) = name::exact(node.name) {
            node.short = short;
            taken.entry(node.parent).or_default().insert(short);
        }
    }
    for node in nodes.iter_mut().skip(1).filter(|node| name::exact(node.name).is_none()) {
        let siblings = taken.entry(node.parent).or_default();
        let short = name::numbered(node.name, siblings)
            .ok_or_else(|| WriteError::Path { path: node.name.to_owned(), fault: "too many names in its directory are alike" })?;
        node.short = short;
        siblings.insert(short);
    }
    Ok(())
}
