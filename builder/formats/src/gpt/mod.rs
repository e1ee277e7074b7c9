//! The disk's partition table: a protective MBR and a GUID partition table with its backup.
//!
//! Source: UEFI specification 2.10, section 5 "GUID Partition Table (GPT) Disk Layout". The bytes that we write are
//! described in `docs/formats/disk.md`.

mod crc;
mod dump;
mod guid;
mod layout;
mod reader;
mod writer;

pub(crate) use dump::content_at;
pub use dump::{dump, locate};
pub use guid::{Guid, ParseGuidError};
pub use layout::{ALIGNMENT, FIRST_PARTITION_LBA, Place, SECTOR};
pub use reader::{PartitionEntry, ReadError, Table, parse, parse_canonical};
pub use writer::{Disk, Partition, WriteError, write};
