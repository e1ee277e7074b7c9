//! A model pack: an EROFS image, and behind it the dm-verity area. What identifies it follows from its name and content.
//!
//! The bytes are described in `docs/formats/pack.md`. How one is made, here in memory:
//!
//! ```
//! use sealstone_formats::{erofs, pack, verity};
//!
//! # fn sha256(bytes: &[u8]) -> [u8; 32] { <sha2::Sha256 as sha2::Digest>::digest(bytes).into() }
//! let model = b"GGUF...";
//! let files = [erofs::File { path: "model.gguf", size: model.len() as u64 }];
//! let contents = [pack::Content { path: "model.gguf", size: model.len() as u64, sha256: sha256(model) }];
//! let identity = pack::Identity::derive("small", &pack::content_digest(&contents));
//!
//! let mut disk = Vec::new();
//! let image = erofs::Image { uuid: identity.uuid, epoch: 1_783_296_000, files: &files };
//! let size = erofs::write(&image, |_file| Ok(model.as_slice()), &mut disk)?;
//! let mut area = Vec::new();
//! let root = verity::write(&disk, &identity.salt, identity.uuid, &mut area)?;
//! disk.extend(area);
//!
//! // `size`, `identity.salt` and `root` are what the measured configuration says about the pack.
//! let volume = pack::verify(&disk, size, &identity.salt, &root)?;
//! assert_eq!(volume.find("model.gguf").map(|node| node.size), Some(7));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With files, the caller puts them behind [`ReadAt`] and [`WriteAt`](crate::access::WriteAt) (`examples/verity-hash.rs`
//! shows how), writes the area at `size` of the same file, and needs no more memory for gigabytes than for this.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::access::{Part, ReadAt};
use crate::erofs;
use crate::gpt::Guid;
use crate::verity::{self, Root, Salt, Superblock, VerifyError};

/// Begins what the salt is the digest of. Another text gives every pack another root.
const SALT_CONTEXT: &[u8] = b"sealstone/pack/v1/salt\0";

/// One file of a pack, as it goes into the [content digest](content_digest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Its path in the pack.
    pub path: &'a str,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// What distinguishes packs and isn't content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// UUID of the EROFS image and of the dm-verity superblock.
    pub uuid: Uuid,
    /// The dm-verity salt.
    pub salt: Salt,
}

impl Identity {
    /// Of the pack of that name and [content digest](content_digest). The salt is SHA-256 of
    /// `sealstone/pack/v1/salt`, NUL, the name, NUL and the digest's 32 bytes; the UUID is a UUIDv5 like a partition's
    /// ([`Guid::derive`]), with `pack/` in front of the name.
    pub fn derive(name: &str, content: &[u8; 32]) -> Identity {
        let salt = Sha256::new().chain_update(SALT_CONTEXT).chain_update(name).chain_update([0]).chain_update(content).finalize();
        let guid = Guid::derive(content, &format!("pack/{name}"));
        Identity { uuid: Uuid::from_bytes_le(guid.to_disk()), salt: Salt::from_bytes(salt.into()) }
    }
}

/// SHA-256 of the list of a pack's files: for each, in ascending order of the paths' bytes, a line
/// `<SHA-256 in lower-case hex> <length in bytes> <path>`.
pub fn content_digest(files: &[Content<'_>]) -> [u8; 32] {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_unstable_by_key(|file| file.path);
    let mut digest = Sha256::new();
    for file in sorted {
        let hex: String = file.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        digest.update(format!("{hex} {} {}\n", file.size, file.path));
    }
    digest.finalize().into()
}

/// Why a pack isn't what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The data isn't an EROFS image as sealstone writes it.
    #[error(transparent)]
    Volume(#[from] erofs::ReadError),
    /// The pack is shorter than its data, or something stands between data and tree that isn't the superblock of this pack.
    #[error("reading the pack: {fault}")]
    Layout {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The superblock isn't one.
    #[error(transparent)]
    Superblock(#[from] verity::ReadError),
    /// Some block isn't what the root vouches for.
    #[error(transparent)]
    Verity(#[from] VerifyError),
}

/// Checks a whole pack, of which the first `size` bytes are data, against salt and root, block by block; then that its data is an
/// image as [`erofs::write`] makes it, and its superblock the one for this tree. Memory is bounded.
///
/// # Errors
/// [`PackError`].
pub fn verify(pack: &(impl ReadAt + ?Sized), size: u64, salt: &Salt, root: &Root) -> Result<erofs::Volume, PackError> {
    let short = PackError::Layout { fault: "it is shorter than its data and the hash tree behind it; copy it again" };
    let tree = size.checked_add(verity::BLOCK as u64).and_then(|start| Part::from(pack, start));
    let (Some(data), Some(tree)) = (Part::new(pack, 0, size), tree) else { return Err(short) };
    verity::verify(&data, &tree, salt, root)?;

    let mut block = [0; verity::BLOCK];
    pack.read_at(size, &mut block).map_err(|source| VerifyError::Unread { what: "superblock", offset: size, source })?;
    let superblock = Superblock::parse(&block)?;
    let volume = erofs::parse_canonical(&data)?;
    let data_blocks = superblock.geometry.data_blocks();
    if superblock.salt != *salt || superblock.uuid != volume.uuid || data_blocks != u64::from(volume.blocks) {
        return Err(PackError::Layout { fault: "its dm-verity superblock has another salt, UUID or length than the pack" });
    }
    Ok(volume)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calculated with sha256sum(1) and Python's uuid.uuid5, by what the comments say.
    #[test]
    fn identity() {
        let sha256 = [0x11; 32];
        let files = [Content { path: "b", size: 2, sha256 }, Content { path: "a", size: 10, sha256 }];
        let content = content_digest(&files);
        let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "aff3d1a329639802515895442aba633444e52ad8c33347f284153ea418c57d05");
        let identity = Identity::derive("small", &content);
        assert_eq!(identity.salt.to_string(), "988583915861a619455ce7919159b1ab424b58eb146d4d258cdb757d195fcccf");
        assert_eq!(identity.uuid.to_string(), "f0155c0d-52a1-50be-8022-34dac9bd7877");
    }
}
