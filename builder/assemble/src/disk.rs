//! The bootable disk: a GPT with one EFI system partition that holds the unified kernel image.

use sealstone_formats::{fat, gpt};
use sealstone_spec::{Sha256, Spec};

use crate::AssembleError;

/// Where firmware looks when no boot entry says otherwise. Source: UEFI 2.10, section 3.5.1.1.
const BOOT_FILE: &str = "EFI/BOOT/BOOTX64.EFI";

/// Partition name and volume label.
const PARTITION: &str = "ESP";

/// The disk.
///
/// Its identifiers are derived from the image's *name*, not from the spec's text: identifiers are measured (PCR 5 and
/// RTMR 1 hold the partition table), and a comment in the spec must not move a measurement.
///
/// # Errors
/// [`AssembleError::Esp`] or [`AssembleError::Disk`] if a format cannot hold the image.
pub fn write(uki: &[u8], spec: &Spec) -> Result<Vec<u8>, AssembleError> {
    let identity = Sha256::of(spec.image.name.as_str().as_bytes());
    let [a, b, c, d, ..] = *identity.as_bytes();
    let esp = fat::write(&fat::VolumeSpec {
        label: PARTITION,
        id: u32::from_le_bytes([a, b, c, d]),
        epoch: spec.image.epoch,
        hidden_sectors: gpt::FIRST_PARTITION_LBA,
        files: &[fat::File { path: BOOT_FILE, content: uki }],
    })?;
    let partition = gpt::Partition {
        kind: gpt::Guid::EFI_SYSTEM,
        guid: gpt::Guid::derive(identity.as_bytes(), PARTITION),
        name: PARTITION,
        attributes: 0,
        content: &esp,
    };
    let disk = gpt::Disk { guid: gpt::Guid::derive(identity.as_bytes(), "disk"), partitions: &[partition] };
    let mut out = Vec::with_capacity(esp.len() + (4 << 20));
    gpt::write(&disk, &mut out)?;
    Ok(out)
}
