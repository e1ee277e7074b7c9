//! Declared files → the tree of directories and files, in the order in which their inodes will stand.

use std::collections::BTreeMap;

use super::layout::{NAME_MAX, PATH_MAX};
use super::writer::{File, WriteError};

/// A directory or file. Node 0 is the root.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) parent: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// The nodes in it, by ascending name.
    Directory(Vec<usize>),
    /// Which of the declared files it is.
    File(usize),
}

/// The nodes in ascending order of their paths' bytes, the root first; so a directory precedes what is in it.
pub(super) fn nodes<'a>(files: &[File<'a>]) -> Result<Vec<Node<'a>>, WriteError> {
    let mut paths: BTreeMap<&'a str, Option<usize>> = BTreeMap::from([("", None)]);
    for (index, file) in files.iter().enumerate() {
        let fault = |fault| Err(WriteError::Path { path: file.path.to_owned(), fault });
        if let Err(message) = check(file.path) {
            return fault(message);
        }
        if paths.insert(file.path, Some(index)).is_some() {
            return fault("it is there already, as a file or as a directory on the way to one");
        }
        for (end, _) in file.path.match_indices('/') {
            let directory = file.path.get(..end).unwrap_or("");
            if paths.insert(directory, None).flatten().is_some() {
                return fault("a directory on its way is declared as a file");
            }
        }
    }
    let numbers: BTreeMap<&str, usize> = paths.keys().enumerate().map(|(number, path)| (*path, number)).collect();
    let mut nodes: Vec<Node<'a>> = Vec::with_capacity(paths.len());
    for (number, (path, file)) in paths.iter().enumerate() {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = numbers.get(directory).copied().unwrap_or(0);
        if let Some(Node { content: Content::Directory(children), .. }) = nodes.get_mut(parent) {
            children.push(number);
        }
        let content = file.map_or_else(|| Content::Directory(Vec::new()), Content::File);
        nodes.push(Node { name, parent, content });
    }
    Ok(nodes)
}

fn check(path: &str) -> Result<(), &'static str> {
    if path.len() >= PATH_MAX {
        return Err("it is too long: at most 4095 bytes");
    }
    if !path.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("it holds something other than printable ASCII; rename it");
    }
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err("it must be relative, without empty, `.` or `..` parts");
    }
    if path.split('/').any(|name| name.len() > NAME_MAX) {
        return Err("a part of it has more than 255 bytes");
    }
    Ok(())
}
