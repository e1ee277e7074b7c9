//! The unified kernel image: stub, kernel, initramfs and command line in one file that firmware boots and measures.

use sealstone_formats::pe::{self, UkiSection};
use sealstone_spec::Image;

use crate::AssembleError;

/// What goes in.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// `linuxx64.efi.stub`.
    pub stub: &'a [u8],
    /// The kernel, a bzImage with an EFI stub of its own.
    pub kernel: &'a [u8],
    /// The initramfs.
    pub initrd: &'a [u8],
    /// The command line, without the NUL that the section gets.
    pub cmdline: &'a str,
    /// Name and version for `.osrel`.
    pub image: &'a Image,
}

/// The file.
///
/// Sections stand in the order in which systemd's stub measures them into PCR 11, so that a transcript reads like a dump.
/// There is no `.uname`: the kernel's release is inside the kernel, and one more measured text could only disagree with it.
///
/// # Errors
/// [`AssembleError::Uki`] if the stub has no room for the sections.
pub fn write(parts: &Parts<'_>) -> Result<Vec<u8>, AssembleError> {
    let osrel = os_release(parts.image);
    let sections = [
        UkiSection { name: ".linux", content: parts.kernel },
        UkiSection { name: ".osrel", content: osrel.as_bytes() },
        UkiSection { name: ".cmdline", content: parts.cmdline.as_bytes() },
        UkiSection { name: ".initrd", content: parts.initrd },
    ];
    let uki = pe::write_uki(parts.stub, &sections)?;
    pe::check_uki(&uki)?;
    Ok(uki)
}

/// Boot loaders show this. Source: os-release(5). Name and version are validated words, so nothing needs quoting.
fn os_release(image: &Image) -> String {
    format!("ID=sealstone\nNAME=sealstone\nIMAGE_ID={}\nIMAGE_VERSION={}\n", image.name, image.version)
}
