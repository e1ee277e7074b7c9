//! Image → nodes. [`parse`] takes any flat, uncompressed image without extended attributes; [`parse_canonical`] takes only
//! what [`write`](super::write) makes. Both read the directories, not the files.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use uuid::Uuid;

use crate::access::ReadAt;
use crate::bytes::first_difference;

use super::directory::{self, Found};
use super::dump::locate;
use super::layout::{
    BLOCK, COMPACT_LEN, EXTENDED_LEN, FT_DIRECTORY, FT_FILE, PATH_MAX, TYPE_DIRECTORY, TYPE_MASK, TYPE_REGULAR, TYPE_SYMLINK,
};
use super::record::{Inode, Superblock};
use super::writer::{File, Image, Plan, padding};

/// An image's directories and files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// The image's own UUID.
    pub uuid: Uuid,
    /// When it was made, in seconds since 1970 UTC.
    pub epoch: u64,
    /// Its length in blocks of 4096 bytes. What follows them belongs to somebody else.
    pub blocks: u32,
    /// The root first; the entries of one directory follow each other, by name.
    pub nodes: Vec<Node>,
}

/// Something in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Its name in its directory; the root's is empty.
    pub name: String,
    /// Its directory's place in [`Volume::nodes`]; the root's is its own.
    pub parent: usize,
    /// What it is.
    pub kind: Kind,
    /// Type and permissions.
    pub mode: u16,
    /// User and group.
    pub owner: (u32, u32),
    /// Seconds since 1970 UTC.
    pub mtime: u64,
    /// Number of links, as the inode has it.
    pub links: u32,
    /// Inode number, as the inode has it.
    pub number: u32,
    /// Node number, by which entries refer to it.
    pub nid: u64,
    /// Bytes of the inode.
    pub inode: Range<u64>,
    /// Bytes of the content.
    pub size: u64,
    /// Where the content stands: whole blocks' worth, and in images not made here the rest behind the inode.
    pub extents: [Range<u64>; 2],
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, whose content is its target. There are none in images made here.
    Symlink,
    /// A device, pipe or socket. There are none in images made here.
    Special,
}

/// Why an image can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// This isn't an EROFS image, or one with features that a pack doesn't have.
    #[error("reading the EROFS superblock: {fault}")]
    Superblock {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The image is cut off.
    #[error("reading the EROFS image: it has {found} bytes, of {blocks} blocks of 4096 bytes")]
    Length {
        /// The blocks that the superblock counts.
        blocks: u32,
        /// The bytes that are there.
        found: u64,
    },
    /// An inode, its entry or its extent makes no sense: the image is damaged.
    #[error("reading the EROFS image: `{path}` (nid {nid}): {fault}")]
    Node {
        /// The node's path; empty for the root.
        path: String,
        /// Its number.
        nid: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A valid image, but not byte for byte what the writer makes: somebody else made it.
    #[error("reading the EROFS image: it isn't in the form that sealstone writes: {fault}")]
    NotCanonical {
        /// Where it differs first.
        fault: String,
    },
    /// It couldn't be read at all.
    #[error("reading the EROFS image from byte {offset:#x}: {source}")]
    Unread {
        /// Where reading began.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
}

impl Volume {
    /// The path of a node, such as `a/b`; empty for the root and for a node that isn't there.
    pub fn path(&self, index: usize) -> String {
        path(&self.nodes, index)
    }

    /// The node at a path.
    pub fn find(&self, path: &str) -> Option<&Node> {
        let start = self.nodes.first().map(|_| 0)?;
        let step = |directory: usize, name: &str| {
            self.nodes
                .iter()
                .enumerate()
                .skip(1)
                .find(|(_, node)| node.parent == directory && node.name == name)
                .map(|(at, _)| at)
        };
        let index = path.split('/').filter(|_| !path.is_empty()).try_fold(start, step)?;
        self.nodes.get(index)
    }
}

impl Node {
    /// Fills `out` with the content's bytes from `at`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where they reach past the end, and whatever the image fails with.
    pub fn read(&self, image: &(impl ReadAt + ?Sized), at: u64, out: &mut [u8]) -> io::Result<()> {
        let eof = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut start = at;
        let mut rest = out;
        for extent in &self.extents {
            let len = extent.end.saturating_sub(extent.start);
            let here = len.saturating_sub(start).min(rest.len() as u64);
            let (now, later) = rest.split_at_mut_checked(usize::try_from(here).map_err(|_| eof())?).ok_or_else(eof)?;
            if !now.is_empty() {
                image.read_at(extent.start.checked_add(start).ok_or_else(eof)?, now)?;
            }
            start = start.saturating_sub(len);
            rest = later;
        }
        if rest.is_empty() { Ok(()) } else { Err(eof()) }
    }
}

pub(super) fn path(nodes: &[Node], index: usize) -> String {
    let mut names = Vec::new();
    let mut at = index;
    // A parent precedes its children, so this ends.
    while let Some(node) = nodes.get(at).filter(|_| at != 0) {
        names.push(node.name.as_str());
        at = node.parent.min(at.saturating_sub(1));
    }
    names.reverse();
    names.join("/")
}

pub(super) fn superblock(image: &(impl ReadAt + ?Sized)) -> Result<Superblock, ReadError> {
    let mut block = [0; BLOCK];
    image.read_at(0, &mut block).map_err(|source| ReadError::Unread { offset: 0, source })?;
    Superblock::parse(&block).map_err(|fault| ReadError::Superblock { fault })
}

/// Reads the image and takes it only if [`write`](super::write) makes exactly these bytes of what it holds.
///
/// # Errors
/// [`ReadError`]; `NotCanonical` for a valid image that somebody else made.
pub fn parse_canonical(image: &(impl ReadAt + ?Sized)) -> Result<Volume, ReadError> {
    let volume = parse(image)?;
    let foreign = |fault: String| ReadError::NotCanonical { fault };
    let length = u64::from(volume.blocks).saturating_mul(BLOCK as u64);
    if image.size() != length {
        return Err(foreign(format!("it has {} bytes, its superblock says {length}", image.size())));
    }
    let is_file = |(_, node): &(usize, &Node)| node.kind == Kind::File;
    let paths: Vec<(String, &Node)> =
        volume.nodes.iter().enumerate().filter(is_file).map(|(index, node)| (volume.path(index), node)).collect();
    let files: Vec<File<'_>> = paths.iter().map(|(path, node)| File { path, size: node.size }).collect();
    let declared = Image { uuid: volume.uuid, epoch: volume.epoch, files: &files };
    let plan = Plan::new(&declared).map_err(|error| foreign(error.to_string()))?;
    let differs = |at: u64| foreign(format!("it differs first at {at:#x}, {}", locate(image, at)));
    let unread = |offset| move |source| ReadError::Unread { offset, source };
    let mut block = [0; BLOCK];
    for (offset, expected) in (0u64..).step_by(BLOCK).zip(plan.metadata.chunks(BLOCK)) {
        image.read_at(offset, &mut block).map_err(unread(offset))?;
        if let Some(at) = first_difference(expected, &block) {
            return Err(differs(offset.saturating_add(at as u64)));
        }
    }
    // The files stand where they must, since the inodes are right; what is left is the space behind each.
    for node in volume.nodes.iter().filter(|node| node.kind == Kind::File) {
        let at = node.extents[0].end;
        let rest = block.get_mut(..padding(node.size)).unwrap_or(&mut []);
        image.read_at(at, rest).map_err(unread(at))?;
        if let Some(byte) = rest.iter().position(|byte| *byte != 0) {
            return Err(differs(at.saturating_add(byte as u64)));
        }
    }
    Ok(volume)
}

/// Reads the superblock, the inodes and the directories.
///
/// # Errors
/// [`ReadError`] unless every node is reached once, directories are sorted as the kernel's search needs it, and all
/// content lies inside the image.
pub fn parse(image: &(impl ReadAt + ?Sized)) -> Result<Volume, ReadError> {
    let superblock = superblock(image)?;
    let length = u64::from(superblock.blocks).saturating_mul(BLOCK as u64);
    if image.size() < length {
        return Err(ReadError::Length { blocks: superblock.blocks, found: image.size() });
    }
    let mut walk = Walk { image, superblock, length, nodes: Vec::new(), seen: BTreeSet::new(), unread_directories: length };
    walk.node(String::new(), 0, u64::from(walk.superblock.root_nid), FT_DIRECTORY)?;
    let mut index = 0;
    while index < walk.nodes.len() {
        walk.directory(index)?;
        index = index.saturating_add(1);
    }
    let Walk { superblock: Superblock { uuid, epoch, blocks, .. }, nodes, .. } = walk;
    Ok(Volume { uuid, epoch, blocks, nodes })
}

struct Walk<'a, S: ?Sized> {
    image: &'a S,
    superblock: Superblock,
    length: u64,
    nodes: Vec<Node>,
    seen: BTreeSet<u64>,
    /// Bytes of directories that may still be read. In a sane image no block belongs to two, so that all of them are no
    /// longer than the image; this bounds work and memory on a crafted one.
    unread_directories: u64,
}

impl<S: ReadAt + ?Sized> Walk<'_, S> {
    fn fault(&self, index: usize, fault: &'static str) -> ReadError {
        let nid = self.nodes.get(index).map_or(0, |node| node.nid);
        ReadError::Node { path: path(&self.nodes, index), nid, fault }
    }

    fn node(&mut self, name: String, parent: usize, nid: u64, file_type: u8) -> Result<(), ReadError> {
        let index = self.nodes.len();
        let fault = |fault| {
            let parent = path(&self.nodes, parent);
            ReadError::Node { path: if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") }, nid, fault }
        };
        if !self.seen.insert(nid) {
            return Err(fault("it has two entries; hard links aren't supported, and directories can't have any"));
        }
        let (at, inode) = self.inode(nid)?.map_err(fault)?;
        let kind = match inode.mode & TYPE_MASK {
            TYPE_DIRECTORY => Kind::Directory,
            TYPE_REGULAR => Kind::File,
            TYPE_SYMLINK => Kind::Symlink,
            _ => Kind::Special,
        };
        if (kind == Kind::Directory) != (file_type == FT_DIRECTORY) || (kind == Kind::File) != (file_type == FT_FILE) {
            return Err(fault("its entry says another file type than its inode"));
        }
        let extents = match kind {
            Kind::Special => Some([0..0, 0..0]),
            _ => self.extents(at, &inode),
        };
        let extents = extents.ok_or_else(|| fault("its content lies outside the image, or inline data outside its block"))?;
        let node = Node {
            name,
            parent: if index == 0 { 0 } else { parent },
            kind,
            mode: inode.mode,
            owner: inode.owner,
            mtime: inode.mtime.unwrap_or(self.superblock.epoch),
            links: inode.links,
            number: inode.number,
            nid,
            inode: at..at.saturating_add(inode.len() as u64),
            size: inode.size,
            extents,
        };
        self.nodes.push(node);
        Ok(())
    }

    /// The inode and where it stands; inside, what is wrong with it.
    fn inode(&self, nid: u64) -> Result<Result<(u64, Inode), &'static str>, ReadError> {
        let fits = |at: u64, len: usize| at.checked_add(len as u64).is_some_and(|end| end <= self.length);
        let Some(at) = self.superblock.inode_at(nid).filter(|at| fits(*at, COMPACT_LEN)) else {
            return Ok(Err("its inode lies outside the image"));
        };
        let mut bytes = [0; EXTENDED_LEN];
        let (start, rest) = bytes.split_at_mut(COMPACT_LEN);
        self.image.read_at(at, start).map_err(|source| ReadError::Unread { offset: at, source })?;
        if !Inode::is_extended(start) {
            return Ok(Inode::parse(start).map(|inode| (at, inode)));
        }
        if !fits(at, EXTENDED_LEN) {
            return Ok(Err("its inode lies outside the image"));
        }
        let second = at.saturating_add(COMPACT_LEN as u64);
        self.image.read_at(second, rest).map_err(|source| ReadError::Unread { offset: second, source })?;
        Ok(Inode::parse(&bytes).map(|inode| (at, inode)))
    }

    /// Where the content stands, if inside the image.
    fn extents(&self, inode_at: u64, inode: &Inode) -> Option<[Range<u64>; 2]> {
        let tail = if inode.inline { inode.size % BLOCK as u64 } else { 0 };
        let plain = inode.size.checked_sub(tail)?;
        let range = |start: u64, len: u64| match len {
            0 => Some(0..0),
            _ => Some(start..start.checked_add(len).filter(|end| *end <= self.length)?),
        };
        let behind = inode_at.checked_add(inode.len() as u64)?;
        if tail > 0 && (behind % BLOCK as u64).checked_add(tail)? > BLOCK as u64 {
            return None;
        }
        Some([range(u64::from(inode.block_address).checked_mul(BLOCK as u64)?, plain)?, range(behind, tail)?])
    }

    /// Appends what is in the directory `index`, if it is one.
    fn directory(&mut self, index: usize) -> Result<(), ReadError> {
        let Some(this) = self.nodes.get(index).filter(|node| node.kind == Kind::Directory).cloned() else { return Ok(()) };
        let enough = self.unread_directories.checked_sub(this.size);
        self.unread_directories = enough.ok_or_else(|| self.fault(index, "directories share blocks"))?;
        let depth = path(&self.nodes, index).len();
        let parent = self.nodes.get(this.parent).map_or(this.nid, |parent| parent.nid);
        let mut dots = 0u8;
        let mut last: Vec<u8> = Vec::new();
        let mut at = 0;
        let mut block = [0; BLOCK];
        while at < this.size {
            let len = usize::try_from(this.size.saturating_sub(at)).map_or(BLOCK, |len| len.min(BLOCK));
            let bytes = block.get_mut(..len).unwrap_or(&mut []);
            this.read(self.image, at, bytes).map_err(|source| ReadError::Unread { offset: this.extents[0].start, source })?;
            for Found { name, nid, kind, .. } in directory::parse(bytes).map_err(|fault| self.fault(index, fault))? {
                if name <= last.as_slice() {
                    return Err(self.fault(index, "its entries aren't sorted by name"));
                }
                last = name.to_vec();
                let own = match name {
                    b"." => Some(this.nid),
                    b".." => Some(parent),
                    _ => None,
                };
                match own {
                    Some(expected) if expected == nid => dots = dots.saturating_add(1),
                    Some(_) => return Err(self.fault(index, "`.` or `..` leads elsewhere")),
                    None => {
                        let name = std::str::from_utf8(name).map_err(|_| self.fault(index, "a name in it isn't UTF-8"))?;
                        if depth.saturating_add(name.len()).saturating_add(1) >= PATH_MAX {
                            return Err(self.fault(index, "a path in it has 4096 bytes or more"));
                        }
                        self.node(name.to_owned(), index, nid, kind)?;
                    }
                }
            }
            at = at.saturating_add(BLOCK as u64);
        }
        if dots == 2 { Ok(()) } else { Err(self.fault(index, "it has no `.` or no `..`")) }
    }
}
