//! SEV-SNP launch digest (SEV-SNP firmware ABI specification 1.55, section 8.17) as QEMU, EC2 and GCE produce it.

mod cause;
mod cpu;
mod hashes;
mod launch;
mod page;
mod pages;
mod profile;
mod vmsa;

pub use cause::{Expected, OtherShape, USUAL_AP_RESET, other_shape};
pub use cpu::{CPU_MODELS, CpuModel, cpu_model};
pub use hashes::KernelHashes;
pub use launch::{Launch, Request, SnpError, launch_digest, measure};
pub use page::{PageInfo, PageType};
pub use profile::{Attributes, CpuidOrder, Rdx, SecMem, VmmProfile, VmsaProfile, vmm_profile, vmm_profiles};
pub use vmsa::vmsa_page;

/// Kernel, initrd and cmdline that the VMM hands to the firmware.
#[derive(Debug, Clone, Copy)]
pub struct DirectBoot<'a> {
    /// The kernel file, as given to the VMM.
    pub kernel: &'a [u8],
    /// The initrd file; `None` and empty are measured alike.
    pub initrd: Option<&'a [u8]>,
    /// The command line, without a terminating NUL.
    pub cmdline: &'a str,
}
