//! Declared files → image, front to back: superblock, inodes, directories, files. What a file holds passes through once
//! and is never kept.

use std::io;

use uuid::Uuid;

use super::directory::{self, Entry};
use super::layout::{BLOCK, EXTENDED_LEN, FT_DIRECTORY, FT_FILE, MODE_DIRECTORY, MODE_FILE, ROOT_NID, SLOTS_PER_INODE};
use super::record::{Inode, Superblock};
use super::tree::{self, Content, Node};

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 18;

/// An image to be written.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// The image's own UUID.
    pub uuid: Uuid,
    /// Every time in the image, in seconds since 1970 UTC.
    pub epoch: u64,
    /// The files, in any order. The directories in their paths come into being.
    pub files: &'a [File<'a>],
}

/// A file to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Where it stands, such as `model.gguf`: printable ASCII, parts of at most 255 bytes.
    pub path: &'a str,
    /// Its length in bytes.
    pub size: u64,
}

/// Why an image couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A path can't stand in the image, or stands there already. The caller must rename it. Nothing has been written.
    #[error("writing the EROFS image: path {path:?}: {fault}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The kernel reads times as signed. Nothing has been written.
    #[error("writing the EROFS image: time {epoch} doesn't fit 63 bits; use an earlier epoch")]
    Epoch {
        /// Seconds since 1970.
        epoch: u64,
    },
    /// The image would need 2^32 blocks of 4096 bytes or more. The files must go into several packs. Nothing has been written.
    #[error("writing the EROFS image: it would have 16 TiB or more; make several packs")]
    TooLong,
    /// A file isn't as long as was declared: it changes while it is packed. What has been written is no image.
    #[error("writing the EROFS image: file {path:?} has {found} bytes than the {declared} declared; it changed meanwhile")]
    Length {
        /// The file.
        path: String,
        /// The declared length.
        declared: u64,
        /// "more" or "fewer".
        found: &'static str,
    },
    /// A file can't be opened or read. What has been written is no image.
    #[error("writing the EROFS image: reading file {path:?}: {source}")]
    Input {
        /// The file.
        path: String,
        /// What the source said.
        source: io::Error,
    },
    /// Whatever the image is written into failed.
    #[error("writing the EROFS image: {0}")]
    Output(#[from] io::Error),
}

/// Writes the image and returns its length in bytes, a multiple of [`BLOCK`] and at least three of them.
///
/// `open` gives the content of a file when its turn comes, which is in ascending order of the paths' bytes; one is
/// open at a time, and none is for an empty file. Memory is about 100 bytes a file and the names. See `docs/formats/pack.md`.
///
/// # Errors
/// [`WriteError`], whose variants say what has been written by then.
pub fn write<R: io::Read>(
    image: &Image<'_>,
    mut open: impl FnMut(&File<'_>) -> io::Result<R>,
    out: &mut impl io::Write,
) -> Result<u64, WriteError> {
    let plan = Plan::new(image)?;
    out.write_all(&plan.metadata)?;
    let mut piece = vec![0; PIECE];
    for file in plan.files.iter().filter(|file| file.size > 0) {
        let mut content = open(file).map_err(|source| WriteError::Input { path: file.path.to_owned(), source })?;
        copy(file, &mut content, &mut piece, out)?;
        let padding = padding(file.size);
        out.write_all([0; BLOCK].get(..padding).unwrap_or(&[]))?;
    }
    Ok(u64::from(plan.blocks) * BLOCK as u64)
}

/// The blocks of an image that stand in front of its files: superblock, inodes and directories.
///
/// [`write`] begins with them, and of all that an image says only they depend on its UUID. So a UUID that follows from the files'
/// content need not be known before the files are read: write the image under any UUID, and these blocks over it afterwards.
///
/// # Errors
/// [`WriteError`], as of [`write`] before it has written anything.
pub fn metadata(image: &Image<'_>) -> Result<Vec<u8>, WriteError> {
    Ok(Plan::new(image)?.metadata)
}

/// Zeros behind a file of that length.
pub(super) fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

fn copy(file: &File<'_>, content: &mut impl io::Read, piece: &mut [u8], out: &mut impl io::Write) -> Result<(), WriteError> {
    let input = |source| WriteError::Input { path: file.path.to_owned(), source };
    let length = |found| WriteError::Length { path: file.path.to_owned(), declared: file.size, found };
    let mut missing = file.size;
    loop {
        // One more byte than declared is asked for in the end, to see that there is none.
        let wanted = usize::try_from(missing.saturating_add(1)).map_or(piece.len(), |wanted| wanted.min(piece.len()));
        let read = match content.read(piece.get_mut(..wanted).unwrap_or(&mut [])) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(input)?,
        };
        if read == 0 {
            return if missing == 0 { Ok(()) } else { Err(length("fewer")) };
        }
        missing = missing.checked_sub(read as u64).ok_or_else(|| length("more"))?;
        out.write_all(piece.get(..read).unwrap_or(&[]))?;
    }
}

/// All of an image but what is in its files.
pub(super) struct Plan<'a> {
    /// Superblock, inodes and directories.
    pub(super) metadata: Vec<u8>,
    /// The files in the order in which their blocks follow.
    pub(super) files: Vec<File<'a>>,
    /// Blocks of the whole image.
    pub(super) blocks: u32,
}

impl<'a> Plan<'a> {
    pub(super) fn new(image: &Image<'a>) -> Result<Self, WriteError> {
        if i64::try_from(image.epoch).is_err() {
            return Err(WriteError::Epoch { epoch: image.epoch });
        }
        let nodes = tree::nodes(image.files)?;
        let sizes = sizes(&nodes, image.files);
        let inode_blocks = ((nodes.len() * EXTENDED_LEN) as u64).div_ceil(BLOCK as u64);
        let (addresses, blocks) = addresses(&nodes, &sizes, 1 + inode_blocks).ok_or(WriteError::TooLong)?;

        let superblock = Superblock {
            root_nid: ROOT_NID,
            inodes: nodes.len() as u64,
            epoch: image.epoch,
            blocks,
            inode_area: 0,
            uuid: image.uuid,
        };
        let mut metadata = superblock.to_block();
        for (index, ((node, size), address)) in nodes.iter().zip(&sizes).zip(&addresses).enumerate() {
            metadata.extend(inode(&nodes, index, node, *size, *address, image.epoch)?.to_bytes());
        }
        metadata.resize(metadata.len().next_multiple_of(BLOCK), 0);
        let mut files = Vec::with_capacity(image.files.len());
        for (index, node) in nodes.iter().enumerate() {
            match &node.content {
                Content::Directory(children) => {
                    metadata.extend(directory::to_bytes(&entries(&nodes, index, node.parent, children)));
                }
                Content::File(file) => files.extend(image.files.get(*file)),
            }
        }
        Ok(Plan { metadata, files, blocks })
    }
}

/// The bytes of each node.
fn sizes(nodes: &[Node<'_>], files: &[File<'_>]) -> Vec<u64> {
    let size = |(index, node): (usize, &Node<'_>)| match &node.content {
        Content::Directory(children) => {
            let entries = entries(nodes, index, node.parent, children);
            directory::size(&entries.iter().map(|entry| entry.name).collect::<Vec<_>>())
        }
        Content::File(file) => files.get(*file).map_or(0, |file| file.size),
    };
    nodes.iter().enumerate().map(size).collect()
}

/// Where each node's blocks begin: first those of all directories, then those of all files, in the nodes' order; last, how many
/// blocks that makes. An empty file has no block; its address is 0. `None` where block numbers don't fit 32 bits.
fn addresses(nodes: &[Node<'_>], sizes: &[u64], first: u64) -> Option<(Vec<u32>, u32)> {
    let mut addresses = vec![0; nodes.len()];
    let mut next = first;
    for directories in [true, false] {
        for ((node, size), address) in nodes.iter().zip(sizes).zip(&mut addresses) {
            if matches!(node.content, Content::Directory(_)) == directories && *size > 0 {
                *address = u32::try_from(next).ok()?;
                next = next.checked_add(size.div_ceil(BLOCK as u64))?;
            }
        }
    }
    Some((addresses, u32::try_from(next).ok()?))
}

fn nid(index: usize) -> u64 {
    u64::from(ROOT_NID) + index as u64 * SLOTS_PER_INODE
}

/// A directory's entries in the order in which the kernel searches them: `.` and `..` have no place of their own, and there are
/// characters that come before them.
fn entries<'a>(nodes: &[Node<'a>], own: usize, parent: usize, children: &[usize]) -> Vec<Entry<'a>> {
    let directory = |name, index| Entry { name, nid: nid(index), kind: FT_DIRECTORY };
    let child = |index: &usize| {
        let node = nodes.get(*index)?;
        let kind = if matches!(node.content, Content::Directory(_)) { FT_DIRECTORY } else { FT_FILE };
        Some(Entry { name: node.name, nid: nid(*index), kind })
    };
    let mut entries = vec![directory(".", own), directory("..", parent)];
    entries.extend(children.iter().filter_map(child));
    entries.sort_unstable_by_key(|entry| entry.name.as_bytes());
    entries
}

fn inode(
    nodes: &[Node<'_>],
    index: usize,
    node: &Node<'_>,
    size: u64,
    block_address: u32,
    epoch: u64,
) -> Result<Inode, WriteError> {
    let is_directory = |child: &&usize| nodes.get(**child).is_some_and(|node| matches!(node.content, Content::Directory(_)));
    let (mode, links) = match &node.content {
        Content::Directory(children) => (MODE_DIRECTORY, 2 + children.iter().filter(is_directory).count()),
        Content::File(_) => (MODE_FILE, 1),
    };
    // That many nodes don't fit the image's blocks either.
    let u32s = |value: usize| u32::try_from(value).map_err(|_| WriteError::TooLong);
    Ok(Inode {
        extended: true,
        inline: false,
        mode,
        size,
        block_address,
        number: u32s(index + 1)?,
        owner: (0, 0),
        mtime: Some(epoch),
        links: u32s(links)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image<'a>(files: &'a [File<'a>]) -> Image<'a> {
        Image { uuid: Uuid::nil(), epoch: 7, files }
    }

    fn zeros(file: &File<'_>) -> io::Result<io::Take<io::Repeat>> {
        Ok(io::Read::take(io::repeat(0), file.size))
    }

    fn file(path: &str) -> File<'_> {
        File { path, size: 1 }
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = ["a".repeat(256), "a/".repeat(2048)];
        let cases = [
            (vec![file("")], "empty"),
            (vec![file("/a")], "relative"),
            (vec![file("a/")], "empty"),
            (vec![file("a/./b")], "`.`"),
            (vec![file("../b")], "`..`"),
            (vec![file("a\nb")], "printable"),
            (vec![file("ä")], "printable"),
            (vec![file(&long[0])], "255"),
            (vec![file(&long[1])], "4095"),
            (vec![file("a"), file("a")], "there already"),
            (vec![file("a/b"), file("a")], "there already"),
            (vec![file("a"), file("a/b")], "declared as a file"),
        ];
        for (files, expected) in cases {
            let mut out = Vec::new();
            let message = write(&image(&files), zeros, &mut out).unwrap_err().to_string();
            assert!(message.contains(expected), "{files:?}: {message}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn metadata_over_an_image_gives_it_another_uuid() {
        let files = [File { path: "a/b", size: 5000 }, File { path: "c", size: 1 }];
        let whole = |uuid| {
            let mut out = Vec::new();
            write(&Image { uuid, ..image(&files) }, zeros, &mut out).unwrap();
            out
        };
        let uuid = Uuid::from_bytes([7; 16]);
        let mut changed = whole(Uuid::nil());
        let front = metadata(&Image { uuid, ..image(&files) }).unwrap();
        changed[..front.len()].copy_from_slice(&front);
        assert!(changed == whole(uuid) && changed != whole(Uuid::nil()));
    }

    #[test]
    fn lengths_beyond_32_bit_block_numbers_are_refused() {
        for (size, fits) in [((1 << 44) - 4 * 4096, true), ((1 << 44) - 4 * 4096 + 1, false), (u64::MAX, false)] {
            let files = [File { path: "a", size }];
            assert_eq!(Plan::new(&image(&files)).is_ok(), fits, "{size}");
        }
        let two = [File { path: "a", size: u64::MAX }, File { path: "b", size: u64::MAX }];
        assert!(matches!(Plan::new(&image(&two)), Err(WriteError::TooLong)));
        let late = Image { epoch: 1 << 63, ..image(&[]) };
        assert!(matches!(Plan::new(&late), Err(WriteError::Epoch { .. })));
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        for (len, expected) in [(0, "fewer"), (4999, "fewer"), (5001, "more"), (1 << 20, "more")] {
            let files = [File { path: "a", size: 5000 }];
            let open = |_: &File<'_>| Ok(io::Read::take(io::repeat(1), len));
            let message = write(&image(&files), open, &mut io::sink()).unwrap_err().to_string();
            assert!(message.contains(&format!("{expected} bytes than the 5000 declared")), "{message}");
        }
        let gone = |_: &File<'_>| Err::<io::Empty, _>(io::Error::from(io::ErrorKind::NotFound));
        let error = write(&image(&[file("a")]), gone, &mut io::sink()).unwrap_err();
        assert!(matches!(error, WriteError::Input { ref path, .. } if path == "a"), "{error}");
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let mut files = vec![file("b"), file("a/c"), file("a-b"), file("a/b/c"), file("#")];
        let mut forward = Vec::new();
        let len = write(&image(&files), zeros, &mut forward).unwrap();
        assert_eq!(len, forward.len() as u64);
        files.reverse();
        let mut backward = Vec::new();
        write(&image(&files), zeros, &mut backward).unwrap();
        assert!(forward == backward);
    }
}
