//! Superblock and inode: values ↔ bytes.

use uuid::Uuid;

use crate::bytes::{array, put, slice, u16_at, u32_at, u64_at};

use super::crc32c::crc32c;
use super::layout::{
    BLOCK, BLOCK_BITS, COMPACT_LEN, COMPAT_CHECKSUM, COMPAT_MTIME, EXTENDED_LEN, FORMAT_EXTENDED, FORMAT_MASK, LAYOUT_INLINE,
    LAYOUT_PLAIN, MAGIC, ROOT_NID, SLOT, SUPERBLOCK_AT, SUPERBLOCK_LEN,
};

/// What the superblock says and can differ between flat images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) root_nid: u16,
    pub(super) inodes: u64,
    pub(super) epoch: u64,
    pub(super) blocks: u32,
    /// Block from which node numbers count.
    pub(super) inode_area: u32,
    pub(super) uuid: Uuid,
}

impl Superblock {
    /// Block 0 of one of our images. Fields that aren't named are zero: no features that a kernel must know, no volume
    /// name, no second device, no extended attributes.
    pub(super) fn to_block(&self) -> Vec<u8> {
        let mut superblock = Vec::with_capacity(BLOCK);
        superblock.extend_from_slice(&MAGIC.to_le_bytes());
        superblock.extend_from_slice(&0u32.to_le_bytes()); // checksum
        superblock.extend_from_slice(&(COMPAT_CHECKSUM | COMPAT_MTIME).to_le_bytes());
        superblock.push(BLOCK_BITS);
        superblock.push(0); // extension slots
        superblock.extend_from_slice(&self.root_nid.to_le_bytes());
        superblock.extend_from_slice(&self.inodes.to_le_bytes());
        superblock.extend_from_slice(&self.epoch.to_le_bytes());
        superblock.extend_from_slice(&0u32.to_le_bytes()); // nanoseconds
        superblock.extend_from_slice(&self.blocks.to_le_bytes());
        superblock.extend_from_slice(&self.inode_area.to_le_bytes());
        superblock.extend_from_slice(&0u32.to_le_bytes()); // shared xattrs
        superblock.extend_from_slice(self.uuid.as_bytes());
        superblock.resize(BLOCK - SUPERBLOCK_AT, 0);
        let checksum = crc32c(&superblock);
        let mut block = vec![0; SUPERBLOCK_AT];
        block.append(&mut superblock);
        // A block is longer than this.
        let _ = put(&mut block, SUPERBLOCK_AT + 4, &checksum.to_le_bytes());
        block
    }

    /// Reads block 0 of a flat image, ours or another's.
    pub(super) fn parse(block: &[u8]) -> Result<Superblock, &'static str> {
        let bytes = slice(block, SUPERBLOCK_AT, BLOCK - SUPERBLOCK_AT).ok_or("it is cut off")?;
        let u32s = |at| u32_at(bytes, at).unwrap_or(0);
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        if u32s(0) != MAGIC {
            return Err("there is none: the magic e0f5e1e2 isn't at byte 1024");
        }
        if byte(12) != BLOCK_BITS || byte(90) != 0 {
            return Err("only blocks of 4096 bytes are supported");
        }
        if u32s(8) & COMPAT_CHECKSUM == 0 {
            return Err("it has no checksum; make the image with one");
        }
        let (head, tail) = (bytes.iter().take(4), bytes.iter().skip(8));
        if crc32c(head.chain(&[0; 4]).chain(tail)) != u32s(4) {
            return Err("its checksum is wrong");
        }
        // Bit 0 is about compressed data, of which there is none where no algorithm is named.
        if u32s(80) & !1 != 0 || u16_at(bytes, 84) != Some(0) || u16_at(bytes, 86) != Some(0) {
            return Err("only flat images are supported, without compression, chunks, further devices and the like");
        }
        Ok(Superblock {
            root_nid: u16_at(bytes, 14).unwrap_or(0),
            inodes: u64_at(bytes, 16).unwrap_or(0),
            epoch: u64_at(bytes, 24).unwrap_or(0),
            blocks: u32s(36),
            inode_area: u32s(40),
            uuid: Uuid::from_bytes(array(bytes, 48).unwrap_or_default()),
        })
    }

    /// Where the inode of a node stands, in bytes.
    pub(super) fn inode_at(&self, nid: u64) -> Option<u64> {
        (u64::from(self.inode_area) * BLOCK as u64).checked_add(nid.checked_mul(SLOT as u64)?)
    }
}

const _: () = assert!(SUPERBLOCK_AT + SUPERBLOCK_LEN <= BLOCK && ROOT_NID as usize * SLOT == BLOCK);

/// An inode of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    /// Of an extended inode, 64 bytes, or a compact one, 32.
    pub(super) extended: bool,
    /// The last, incomplete block stands behind the inode.
    pub(super) inline: bool,
    pub(super) mode: u16,
    pub(super) size: u64,
    pub(super) block_address: u32,
    pub(super) number: u32,
    pub(super) owner: (u32, u32),
    /// Of an extended inode; a compact one has the superblock's.
    pub(super) mtime: Option<u64>,
    pub(super) links: u32,
}

impl Inode {
    /// The extended inode of something of ours.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(EXTENDED_LEN);
        bytes.extend_from_slice(&(FORMAT_EXTENDED | LAYOUT_PLAIN << 1).to_le_bytes());
        bytes.extend_from_slice(&0u16.to_le_bytes()); // xattrs
        bytes.extend_from_slice(&self.mode.to_le_bytes());
        bytes.extend_from_slice(&0u16.to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&self.block_address.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.owner.0.to_le_bytes());
        bytes.extend_from_slice(&self.owner.1.to_le_bytes());
        bytes.extend_from_slice(&self.mtime.unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes()); // nanoseconds
        bytes.extend_from_slice(&self.links.to_le_bytes());
        bytes.resize(EXTENDED_LEN, 0);
        bytes
    }

    /// Whether the inode that starts so is an extended one.
    pub(super) fn is_extended(start: &[u8]) -> bool {
        u16_at(start, 0).is_some_and(|format| format & FORMAT_EXTENDED != 0)
    }

    /// Reads an inode of either kind from exactly its bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Inode, &'static str> {
        let u16s = |at| u16_at(bytes, at).ok_or("it is cut off");
        let u32s = |at| u32_at(bytes, at).ok_or("it is cut off");
        let format = u16s(0)?;
        let extended = format & FORMAT_EXTENDED != 0;
        let inline = match format >> 1 {
            _ if format & !FORMAT_MASK != 0 => return Err("its format has unknown bits"),
            LAYOUT_PLAIN => false,
            LAYOUT_INLINE => true,
            _ => return Err("its data is compressed or in chunks, which isn't supported"),
        };
        if u16s(2)? != 0 {
            return Err("it has extended attributes, which aren't supported");
        }
        let (mode, block_address, number) = (u16s(4)?, u32s(16)?, u32s(20)?);
        let common = Inode { extended, inline, mode, size: 0, block_address, number, owner: (0, 0), mtime: None, links: 0 };
        if extended {
            let u64s = |at| u64_at(bytes, at).ok_or("it is cut off");
            let owner = (u32s(24)?, u32s(28)?);
            Ok(Inode { size: u64s(8)?, owner, mtime: Some(u64s(32)?), links: u32s(44)?, ..common })
        } else {
            let owner = (u32::from(u16s(24)?), u32::from(u16s(26)?));
            Ok(Inode { size: u64::from(u32s(8)?), owner, links: u32::from(u16s(6)?), ..common })
        }
    }

    /// Bytes of the inode.
    pub(super) fn len(&self) -> usize {
        if self.extended { EXTENDED_LEN } else { COMPACT_LEN }
    }
}
