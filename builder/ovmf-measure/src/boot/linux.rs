//! QEMU rewrites the kernel's setup header for direct boot before firmware sees the kernel (QEMU `hw/i386/x86-common.c`,
//! `x86_load_linux`; Linux `Documentation/arch/x86/boot.rst`). The Authenticode digest covers that header.

use crate::read;

/// Setup header magic, at 0x202.
const HDRS: [u8; 4] = *b"HdrS";
/// `type_of_loader` of QEMU.
const LOADER_QEMU: u8 = 0xb0;
/// `loadflags`: the heap may be used.
const CAN_USE_HEAP: u8 = 0x80;
/// `xloadflags`: kernel, boot_params, cmdline and initrd may lie above 4 GiB.
const ABOVE_4G: u16 = 1 << 1;
/// Where QEMU puts the real-mode code, and the cmdline after it.
const REAL_MODE: u32 = 0x1_0000;
const CMDLINE: u32 = 0x2_0000;
/// What QEMU keeps free below the end of low memory (`acpi_data_size` of the pc and q35 machines).
const ACPI_DATA: u64 = 0x2_8000;
/// From this size on the q35 machine moves memory above 4 GiB, and low memory ends at 2 GiB.
const SPLIT_FROM: u64 = 0xb000_0000;
const SPLIT_LOW: u64 = 0x8000_0000;

/// The kernel as QEMU hands it to firmware. `memory` is the machine's RAM in bytes; all sizes from 2.75 GiB on give the
/// same result.
pub fn patch_setup_header(kernel: &[u8], initrd: &[u8], cmdline: &str, memory: u64) -> Result<Vec<u8>, HeaderError> {
    let protocol = read::u16(kernel, 0x206).filter(|_| read::array(kernel, 0x202) == Some(HDRS));
    let protocol = protocol.ok_or(HeaderError::NoHeader)?;
    if protocol < 0x20c || kernel.len() < 0x260 {
        return Err(HeaderError::OldProtocol(protocol));
    }
    if cmdline.contains("vga=") {
        return Err(HeaderError::VideoMode);
    }
    let mut patched = kernel.to_vec();
    patched[0x210] = LOADER_QEMU;
    patched[0x211] |= CAN_USE_HEAP;
    put(&mut patched, 0x224, &((CMDLINE - REAL_MODE - 0x200) as u16).to_le_bytes()); // heap_end_ptr
    put(&mut patched, 0x228, &CMDLINE.to_le_bytes()); // cmd_line_ptr
    if !initrd.is_empty() {
        let size = u32::try_from(initrd.len()).map_err(|_| HeaderError::InitrdTooLarge)?;
        let address = initrd_address(kernel, size, memory).ok_or(HeaderError::InitrdTooLarge)?;
        put(&mut patched, 0x218, &address.to_le_bytes()); // ramdisk_image
        put(&mut patched, 0x21c, &size.to_le_bytes()); // ramdisk_size
    }
    Ok(patched)
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(field) = bytes.get_mut(offset..offset + value.len()) {
        field.copy_from_slice(value);
    }
}

/// As high as the kernel allows and low memory reaches, page-aligned.
fn initrd_address(kernel: &[u8], size: u32, memory: u64) -> Option<u32> {
    let low = if memory >= SPLIT_FROM { SPLIT_LOW } else { memory };
    let allowed = if read::u16(kernel, 0x236)? & ABOVE_4G != 0 { u32::MAX } else { read::u32(kernel, 0x22c)? };
    let limit = low.checked_sub(ACPI_DATA)?;
    let max = if u64::from(allowed) >= limit { u32::try_from(limit.checked_sub(1)?).ok()? } else { allowed };
    Some(max.checked_sub(size)? & !4095)
}

/// Why the rewritten header can't be predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not a bzImage.
    #[error("kernel has no setup header (`HdrS` at 0x202); give the bzImage (vmlinuz)")]
    NoHeader,
    /// Boot protocol before 2.12 (Linux 3.8), for which QEMU takes other paths.
    #[error("kernel has boot protocol {0:#x}; 0x20c (Linux 3.8) is the oldest that is supported")]
    OldProtocol(u16),
    /// QEMU would also write the video mode into the header.
    #[error("cmdline contains `vga=`, which QEMU evaluates and writes into the kernel; remove it")]
    VideoMode,
    /// The initrd doesn't fit below the end of low memory.
    #[error("initrd is too large for the machine's low memory")]
    InitrdTooLarge,
}
