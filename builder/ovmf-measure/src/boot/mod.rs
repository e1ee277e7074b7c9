//! The UEFI boot that TPM and TDX both measure: one sequence of events, seen once as PCRs and once as RTMRs.

mod linux;
mod profile;
mod sequence;

pub use linux::{HeaderError, patch_setup_header};
pub use profile::{
    BootProfile, BootVariable, InitrdArg, KernelHash, PageOrder, RtbSeparator, SecureBootVariable, boot_profile, boot_profiles,
};
pub(crate) use sequence::{Step, constant, steps};

use crate::fat::FatError;
use crate::gpt::GptError;
use crate::pe::{PeError, UkiError};
pub use crate::snp::DirectBoot;

/// What the VM boots.
#[derive(Debug, Clone, Copy)]
pub enum Boot<'a> {
    /// Kernel, initrd and cmdline from the VMM.
    Direct(DirectBoot<'a>),
    /// A UKI from a disk whose partition table isn't known: PCR 5 can't be predicted.
    Uki(&'a [u8]),
    /// A whole disk image with a UKI at `\EFI\BOOT\BOOTX64.EFI` of its EFI system partition.
    Disk(&'a [u8]),
}

/// Why a boot's events can't be predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The kernel (or the UKI) isn't a usable PE image.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// The UKI is refused.
    #[error(transparent)]
    Uki(#[from] UkiError),
    /// The partition table is refused.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// The EFI system partition is refused.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// The setup header can't be rewritten the way QEMU would.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No profile describes this combination of VMM and firmware.
    #[error("unknown boot profile {given:?}; known: {known}")]
    UnknownProfile {
        /// What was asked for.
        given: String,
        /// The profiles that there are.
        known: String,
    },
}
