//! The disk's partition table: a protective MBR and a GUID partition table with its backup.
//!
//! Source: UEFI specification 2.10, section 5 "GUID Partition Table (GPT) Disk Layout". The bytes that we write are
//! described in `docs/formats/disk.md`.

mod crc;
mod guid;
mod layout;
mod writer;

pub use guid::{Guid, ParseGuidError};
pub use layout::{ALIGNMENT, FIRST_PARTITION_LBA, Place, SECTOR};
pub use writer::{Disk, Partition, WriteError, write};
