//! What the configuration says about one model pack.

use serde::{Deserialize, Serialize};

use crate::error::ValueError;
use crate::text::{Digest, Name, PackPath};

/// The block size of packs: data blocks, hash blocks and EROFS blocks alike. Builder, init and kernel must agree on it.
pub const BLOCK: u64 = 4096;

/// One model: a pack that init looks for by its root on any virtio disk, and the file in it that the engine opens.
///
/// The order of the fields is the order in the canonical form, which is alphabetical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The model file's path inside the pack; of several (a split GGUF), the first.
    pub file: PackPath,
    /// The model's name: in the API, as mount point below `/packs`, and as the device-mapper device.
    pub name: Name,
    /// Whether the machine must not come up without this pack.
    pub required: bool,
    /// The dm-verity root: SHA-256 of salt and top hash block.
    pub root: Digest,
    /// The dm-verity salt.
    pub salt: Digest,
    /// Length of the pack's data, the EROFS image, in bytes; what stands behind it is the hash tree.
    pub size: PackSize,
}

/// A pack's length in bytes: whole blocks, and at least two, because the tree over a single block has no hash block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct PackSize(u64);

impl PackSize {
    const MAX: u64 = 16 << 40;

    /// The number of data blocks.
    pub fn blocks(self) -> u64 {
        self.0 / BLOCK
    }

    /// The length in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for PackSize {
    type Error = ValueError;

    fn try_from(bytes: u64) -> Result<PackSize, ValueError> {
        let whole = bytes % BLOCK == 0 && (2 * BLOCK..=PackSize::MAX).contains(&bytes);
        if whole { Ok(PackSize(bytes)) } else { Err(ValueError::PackSize) }
    }
}

impl From<PackSize> for u64 {
    fn from(size: PackSize) -> u64 {
        size.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, blocks) in [(8192, Some(2)), (1 << 30, Some(1 << 18)), (16 << 40, Some(4 << 30))] {
            assert_eq!(PackSize::try_from(bytes).ok().map(PackSize::blocks), blocks, "{bytes}");
        }
        for bytes in [0, 1, 4096, 8191, 8193, (16 << 40) + 4096, u64::MAX] {
            assert_eq!(PackSize::try_from(bytes), Err(ValueError::PackSize), "{bytes}");
        }
    }
}
