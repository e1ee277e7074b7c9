//! The chain that the SEV firmware computes: one SHA-384 block structure per page (PAGE_INFO, table 67).

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Length of PAGE_INFO; it contains itself as a field.
const PAGE_INFO: usize = 0x70;
/// A pin with more pages than this (4 GiB) is hostile: it would keep a verifier busy.
const MAX_PAGES: u64 = 1 << 20;
/// Page-aligned addresses of at most 52 bits.
const MAX_GPA: u64 = (1 << 52) - 4096;

/// How a page is added (SNP_LAUNCH_UPDATE, PAGE_TYPE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageType {
    /// Content is measured.
    Normal,
    /// A vCPU's register state; content is measured.
    Vmsa,
    /// Zero page; only its address is measured.
    Zero,
    /// Content isn't measured.
    Unmeasured,
    /// The secrets page; content isn't measured.
    Secrets,
    /// The CPUID page; the firmware checks its content instead.
    Cpuid,
}

impl PageType {
    const fn code(self) -> u8 {
        match self {
            Self::Normal => 1,
            Self::Vmsa => 2,
            Self::Zero => 3,
            Self::Unmeasured => 4,
            Self::Secrets => 5,
            Self::Cpuid => 6,
        }
    }
}

/// Pages that follow each other with the same type and the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageInfo {
    /// How they are added.
    #[serde(rename = "type")]
    pub page_type: PageType,
    /// Guest-physical address of the first.
    pub gpa: u64,
    /// Bytes from each page's address to the next: 4096 for a range, 0 for VMSAs, which all have the same address.
    pub step: u64,
    /// How many.
    pub count: u64,
}

impl PageInfo {
    /// The launch digest after these pages. `contents` is the SHA-384 of each page, or zero where content isn't
    /// measured. `None` if a digest isn't SHA-384 or the range isn't one that the hardware could add.
    pub(crate) fn update(&self, launch_digest: &Digest, contents: &Digest) -> Option<Digest> {
        let (Digest::Sha384(mut value), Digest::Sha384(contents)) = (*launch_digest, contents) else { return None };
        let last = self.step.checked_mul(self.count.saturating_sub(1))?.checked_add(self.gpa)?;
        if self.count > MAX_PAGES || last > MAX_GPA || !self.gpa.is_multiple_of(4096) || !matches!(self.step, 0 | 4096) {
            return None;
        }
        for index in 0..self.count {
            value = update(&value, self.page_type, self.gpa + index * self.step, contents);
        }
        Some(Digest::Sha384(value))
    }
}

/// `SHA384(PAGE_INFO)` for one page: digest so far, contents, then the 16 bytes that describe the page.
pub(super) fn update(value: &[u8; 48], page_type: PageType, gpa: u64, contents: &[u8; 48]) -> [u8; 48] {
    use sha2::Digest as _;

    let mut info = [0u8; PAGE_INFO];
    info[..48].copy_from_slice(value);
    info[48..96].copy_from_slice(contents);
    info[96..98].copy_from_slice(&(PAGE_INFO as u16).to_le_bytes());
    info[98] = page_type.code();
    // 99: not an initial migration image. 100..103: no permissions for VMPL 3, 2, 1. 103: reserved.
    info[104..].copy_from_slice(&gpa.to_le_bytes());
    sha2::Sha384::digest(info).into()
}
