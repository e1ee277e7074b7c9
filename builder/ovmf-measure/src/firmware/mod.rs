//! What a UEFI firmware file says about how it wants to be measured.
//!
//! OVMF ends in a table of GUIDed entries (`OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm`); from there lead offsets to
//! the SEV metadata and the TDVF metadata. Nothing is interpreted on parsing beyond that, because a firmware that lacks
//! one of them is still good for the other.

mod footer;
mod sev;
mod tdvf;
mod variables;

pub use footer::FooterTable;
pub use sev::{SevMetadata, SevSection, SevSectionKind};
pub use tdvf::{TdvfMetadata, TdvfSection, TdvfSectionKind};
pub(crate) use variables::utf16_with_nul;
pub use variables::{Variable, VariableStore};

use crate::guid::Guid;
use crate::read;

/// One page of guest memory; every measured range is a multiple of it.
pub const PAGE: usize = 4096;

/// The largest firmware that is accepted: QEMU maps at most 8 MiB of flash below 4 GiB (`hw/i386/pc_sysfw.c`,
/// `FLASH_SIZE_LIMIT`), cloud firmware goes to 16.
const MAX_SIZE: usize = 16 << 20;

/// A firmware file with its footer table read.
#[derive(Debug, Clone)]
pub struct Firmware<'a> {
    bytes: &'a [u8],
    footer: FooterTable,
}

impl<'a> Firmware<'a> {
    /// Reads the footer table of `bytes`, a whole firmware file as the VMM maps it just below 4 GiB.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FirmwareError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(PAGE) || bytes.len() > MAX_SIZE {
            return Err(FirmwareError::Size { size: bytes.len() });
        }
        Ok(Self { bytes, footer: FooterTable::parse(bytes)? })
    }

    /// The file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Guest-physical address of the file's first byte: it ends at 4 GiB.
    pub fn gpa(&self) -> u64 {
        (1u64 << 32).saturating_sub(read::length(self.bytes))
    }

    /// The GUIDed table.
    pub fn footer(&self) -> &FooterTable {
        &self.footer
    }

    /// Guest-physical address where the VMM puts the table of kernel hashes, if the firmware reserves one and reads it.
    /// Builds that don't (OvmfPkgX64) carry the entry with a zero address.
    pub fn hash_table_gpa(&self) -> Option<u64> {
        let entry = self.footer.entry(footer::SEV_HASH_TABLE)?;
        read::u32(entry, 0).map(u64::from).filter(|gpa| *gpa != 0)
    }

    /// The address at which application processors start under SEV-ES and SEV-SNP.
    pub fn ap_reset_address(&self) -> Result<u32, FirmwareError> {
        let entry = self.footer.entry(footer::SEV_ES_RESET_BLOCK).ok_or(FirmwareError::NoResetBlock)?;
        read::u32(entry, 0).ok_or(FirmwareError::NoResetBlock)
    }

    /// The SEV metadata: which pages the VMM adds besides the firmware.
    pub fn sev_metadata(&self) -> Result<SevMetadata, FirmwareError> {
        let start = self.metadata_offset(footer::SEV_METADATA).ok_or(FirmwareError::NoSevMetadata)?;
        SevMetadata::parse(self.bytes, start)
    }

    /// The TDVF metadata: which sections make up a TD's initial memory.
    pub fn tdvf_metadata(&self) -> Result<TdvfMetadata, FirmwareError> {
        let start = self.metadata_offset(footer::TDVF_METADATA).ok_or(FirmwareError::NoTdvfMetadata)?;
        TdvfMetadata::parse(self.bytes, start)
    }

    /// Metadata offsets are counted from the end of the file.
    fn metadata_offset(&self, guid: Guid) -> Option<usize> {
        let entry = self.footer.entry(guid)?;
        self.bytes.len().checked_sub(read::index(read::u32(entry, 0)?))
    }
}

/// Why a firmware file can't be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FirmwareError {
    /// Not a firmware image: it would have to be mapped in whole pages below 4 GiB.
    #[error("firmware has {size} bytes; expected a multiple of 4096, at most 16 MiB. Give the combined .fd file")]
    Size {
        /// Length of the file in bytes.
        size: usize,
    },
    /// No GUIDed table where OVMF has one: not OVMF, or the end of the file is cut off.
    #[error("firmware has no OVMF footer table 48 bytes before its end; is this an OVMF build, and complete?")]
    NoFooter,
    /// The GUIDed table contradicts itself.
    #[error("firmware footer table is damaged: {0}")]
    Footer(&'static str),
    /// Built without SEV-ES support: the start address of further vCPUs isn't known.
    #[error(
        "firmware has no SEV-ES reset block, so the initial state of application processors isn't defined; \
             use a build with SEV support"
    )]
    NoResetBlock,
    /// Nothing says which pages are measured beside the firmware, so no launch digest can be right.
    #[error("firmware has no SEV metadata; it can't be launched as an SEV-SNP guest. Use OVMF 2022.05 or later")]
    NoSevMetadata,
    /// The SEV metadata is damaged, or (the usual reason) its offset doesn't fit because the file was cut.
    #[error("SEV metadata of the firmware is damaged: {0}. Is this the combined .fd file, not the CODE part alone?")]
    SevMetadata(&'static str),
    /// Sections of a type that this version doesn't know: their measurement can't be guessed.
    #[error("SEV metadata has a section of unknown type {0:#x}; a newer version of this program may know it")]
    UnknownSevSection(u32),
    /// Built without TDX support.
    #[error("firmware has no TDVF metadata; it can't be launched as a TD. Use an IntelTdx or combined OVMF build")]
    NoTdvfMetadata,
    /// The TDVF metadata is damaged.
    #[error("TDVF metadata of the firmware is damaged: {0}")]
    TdvfMetadata(&'static str),
    /// The TDVF sections reach past the file: this is the CODE part without its variable store.
    #[error(
        "TDVF metadata describes {described} bytes of firmware, the file has {actual}: this is the CODE part alone. \
             MRTD covers code and variable store: give the combined .fd file"
    )]
    CodeOnly {
        /// Bytes that the sections describe.
        described: u64,
        /// Bytes in the file.
        actual: u64,
    },
    /// Sections of a type that this version doesn't know.
    #[error("TDVF metadata has a section of unknown type {0}; a newer version of this program may know it")]
    UnknownTdvfSection(u32),
    /// The variable store in the configuration volume can't be read, so the Secure Boot events aren't known.
    #[error("variable store of the firmware is damaged: {0}")]
    Variables(&'static str),
}
