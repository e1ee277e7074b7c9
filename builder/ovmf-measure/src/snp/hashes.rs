//! The table of hashes by which the firmware checks kernel, initrd and cmdline (QEMU `target/i386/sev.c`,
//! `build_kernel_loader_hashes`; read by `OvmfPkg/AmdSev/BlobVerifierLibSevHashes`).

use sha2::{Digest as _, Sha256};

use super::DirectBoot;
use crate::firmware::PAGE;
use crate::guid::Guid;

const TABLE: Guid = Guid::new(0x9438_d606, 0x4f22, 0x4cc9, 0xb479, 0xa793_d411_fd21);
const CMDLINE: Guid = Guid::new(0x97d0_2dd8, 0xbd20, 0x4c94, 0xaa78, 0xe771_4d36_ab2a);
const INITRD: Guid = Guid::new(0x44ba_f731, 0x3a2f, 0x4bd7, 0x9af1, 0x41e2_9169_781d);
const KERNEL: Guid = Guid::new(0x4de7_9437, 0xabd2, 0x427f, 0xb835, 0xd5b1_72d2_045b);
/// GUID, `u16` length, SHA-256.
const ENTRY: usize = 16 + 2 + 32;
/// GUID, `u16` length, three entries.
const LENGTH: usize = 16 + 2 + 3 * ENTRY;
/// The table is padded to a multiple of 16 bytes.
const PADDED: usize = LENGTH.next_multiple_of(16);

/// The hashes that stand in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelHashes {
    /// SHA-256 of the command line and its NUL.
    pub cmdline: [u8; 32],
    /// SHA-256 of the initrd; of the empty string if there is none.
    pub initrd: [u8; 32],
    /// SHA-256 of the kernel file, as it is: for SEV guests QEMU doesn't rewrite the setup header.
    pub kernel: [u8; 32],
}

impl KernelHashes {
    /// Hashes what is booted.
    pub fn of(boot: &DirectBoot<'_>) -> Self {
        Self {
            cmdline: Sha256::new().chain_update(boot.cmdline).chain_update([0]).finalize().into(),
            initrd: Sha256::digest(boot.initrd.unwrap_or_default()).into(),
            kernel: Sha256::digest(boot.kernel).into(),
        }
    }

    /// The page that the VMM adds: zero but for the table, which stands at `offset`, the low bits of the address in the
    /// firmware's footer table. `None` if the table doesn't fit into the page.
    pub fn page(&self, offset: usize) -> Option<[u8; PAGE]> {
        let mut table = Vec::with_capacity(PADDED);
        table.extend(TABLE.0);
        table.extend((LENGTH as u16).to_le_bytes());
        for (guid, hash) in [(CMDLINE, self.cmdline), (INITRD, self.initrd), (KERNEL, self.kernel)] {
            table.extend(guid.0);
            table.extend((ENTRY as u16).to_le_bytes());
            table.extend(hash);
        }
        table.resize(PADDED, 0);
        let mut page = [0; PAGE];
        page.get_mut(offset..offset.checked_add(PADDED)?)?.copy_from_slice(&table);
        Some(page)
    }
}
