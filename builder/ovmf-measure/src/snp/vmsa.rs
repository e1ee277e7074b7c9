//! A vCPU's initial register state, the page that is measured per vCPU (AMD64 APM volume 2, table B-4; Linux
//! `arch/x86/include/asm/svm.h`, `struct sev_es_save_area`).

use super::profile::{Rdx, VmmProfile};
use crate::firmware::PAGE;

/// Where a PC starts: the reset vector, 16 bytes below 4 GiB.
pub(super) const BSP_RESET: u32 = 0xffff_fff0;

/// Read/write data segment, accessed.
const DATA: u16 = 0x93;
/// Local descriptor table.
const LDT: u16 = 0x82;

/// The page. `reset` is the address at which the vCPU starts; 0xfffffff0 for the boot processor, the address of the
/// SEV-ES reset block for all others.
pub fn vmsa_page(vmm: &VmmProfile, reset: u32, cpu_signature: u32, guest_features: u64) -> [u8; PAGE] {
    let profile = &vmm.vmsa;
    let cs = if reset == BSP_RESET { profile.attributes.cs_bsp } else { profile.attributes.cs_ap };
    let rdx = match profile.rdx {
        Rdx::CpuSignature => u64::from(cpu_signature),
        Rdx::Fixed(value) => value,
    };
    let mut page = Page([0; PAGE]);

    // Segments: selector, attributes, limit, base. All of real mode's 64 KiB.
    page.segment(0x000, 0, DATA, 0); // es
    page.segment(0x010, 0xf000, cs, u64::from(reset & 0xffff_0000));
    page.segment(0x020, 0, profile.attributes.ss, 0);
    page.segment(0x030, 0, DATA, 0); // ds
    page.segment(0x040, 0, DATA, 0); // fs
    page.segment(0x050, 0, DATA, 0); // gs
    page.segment(0x060, 0, 0, 0); // gdtr
    page.segment(0x070, 0, LDT, 0); // ldtr
    page.segment(0x080, 0, 0, 0); // idtr
    page.segment(0x090, 0, profile.attributes.tr, 0);

    page.put(0x0d0, &0x1000u64.to_le_bytes()); // efer: KVM sets SVME
    page.put(0x148, &0x40u64.to_le_bytes()); // cr4: KVM sets MCE
    page.put(0x158, &0x10u64.to_le_bytes()); // cr0: extension type
    page.put(0x160, &0x400u64.to_le_bytes()); // dr7
    page.put(0x168, &0xffff_0ff0u64.to_le_bytes()); // dr6
    page.put(0x170, &0x2u64.to_le_bytes()); // rflags: the bit that is always one
    page.put(0x178, &u64::from(reset & 0xffff).to_le_bytes()); // rip
    page.put(0x268, &profile.g_pat.to_le_bytes());
    page.put(0x310, &rdx.to_le_bytes());
    page.put(0x3b0, &guest_features.to_le_bytes()); // sev_features
    page.put(0x3e8, &1u64.to_le_bytes()); // xcr0: x87 enabled
    page.put(0x408, &profile.mxcsr.to_le_bytes());
    page.put(0x410, &profile.x87_fcw.to_le_bytes());
    page.0
}

struct Page([u8; PAGE]);

impl Page {
    /// All offsets are constants above, so a miss is a typing error that every known-answer test would show.
    fn put(&mut self, offset: usize, value: &[u8]) {
        if let Some(field) = self.0.get_mut(offset..offset + value.len()) {
            field.copy_from_slice(value);
        }
    }

    fn segment(&mut self, offset: usize, selector: u16, attributes: u16, base: u64) {
        self.put(offset, &selector.to_le_bytes());
        self.put(offset + 2, &attributes.to_le_bytes());
        self.put(offset + 4, &0xffffu32.to_le_bytes());
        self.put(offset + 8, &base.to_le_bytes());
    }
}
