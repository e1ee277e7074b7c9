//! The TD report inside a quote, and the report of the quoting enclave that vouches for it.

use crate::bytes::{Fields, Truncated};

/// A trust domain's claims (quote format 4, "TD Quote Body"; the last two fields are TDX 1.5's).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdBody {
    /// Security version numbers of the TDX module (bytes 0 and 1) and of the platform at the TD's launch.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mr_seam: [u8; 48],
    /// Signer of the TDX module; zero if Intel.
    pub mr_signer_seam: [u8; 48],
    /// Attributes of the TDX module.
    pub seam_attributes: [u8; 8],
    /// Attributes of the TD.
    pub td_attributes: Attributes,
    /// CPU state components that the TD may use.
    pub xfam: u64,
    /// Measurement of the TD's initial contents.
    pub mr_td: [u8; 48],
    /// Given by whoever launched it: for the TD's configuration.
    pub mr_config_id: [u8; 48],
    /// Given by whoever launched it: for its owner.
    pub mr_owner: [u8; 48],
    /// Given by whoever launched it: for the owner's configuration.
    pub mr_owner_config: [u8; 48],
    /// Run-time measurement registers 0 to 3.
    pub rtmr: [[u8; 48]; 4],
    /// What the guest put in.
    pub report_data: [u8; 64],
    /// Security version numbers now, where TDX 1.5 says so.
    pub tee_tcb_svn_2: Option<[u8; 16]>,
    /// Measurement of service TDs, where TDX 1.5 says so.
    pub mr_service_td: Option<[u8; 48]>,
}

/// A TD's attributes (Intel TDX Module ABI, "ATTRIBUTES").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    /// DEBUG 0, SEPT_VE_DISABLE 28, MIGRATABLE 29, PKS 30, KL 31, PERFMON 63. The others that later modules define (bits
    /// 1 to 7 are all of the debug group, 27 is LASS) are reserved as far as this verifier is concerned.
    const KNOWN: u64 = 1 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 31 | 1 << 63;

    /// The host may read and write the TD's memory and registers. Any bit of the whole group 7:0 counts.
    pub fn debug(self) -> bool {
        self.0 & 0xff != 0
    }
    /// EPT violations of a hostile host don't become exceptions in the TD.
    pub fn sept_ve_disable(self) -> bool {
        self.0 >> 28 & 1 == 1
    }
    /// The TD may be migrated by a service TD.
    pub fn migratable(self) -> bool {
        self.0 >> 29 & 1 == 1
    }
    /// The TD may use performance counters.
    pub fn perfmon(self) -> bool {
        self.0 >> 63 == 1
    }
    /// Bits without a known meaning that are set.
    pub fn reserved(self) -> u64 {
        self.0 & !Self::KNOWN
    }
}

impl TdBody {
    /// Length of the body of TDX 1.0, in bytes.
    pub(super) const LENGTH_1_0: usize = 584;
    /// Length of the body of TDX 1.5, in bytes.
    pub(super) const LENGTH_1_5: usize = 648;

    /// Reads the body; `is_1_5` says which of the two lengths it has.
    pub(super) fn read(f: &mut Fields<'_>, is_1_5: bool) -> Result<Self, Truncated> {
        Ok(Self {
            tee_tcb_svn: f.array("tee tcb svn")?,
            mr_seam: f.array("mrseam")?,
            mr_signer_seam: f.array("mrsignerseam")?,
            seam_attributes: f.array("seam attributes")?,
            td_attributes: Attributes(f.u64_le("td attributes")?),
            xfam: f.u64_le("xfam")?,
            mr_td: f.array("mrtd")?,
            mr_config_id: f.array("mrconfigid")?,
            mr_owner: f.array("mrowner")?,
            mr_owner_config: f.array("mrownerconfig")?,
            rtmr: [f.array("rtmr0")?, f.array("rtmr1")?, f.array("rtmr2")?, f.array("rtmr3")?],
            report_data: f.array("report data")?,
            tee_tcb_svn_2: if is_1_5 { Some(f.array("tee tcb svn 2")?) } else { None },
            mr_service_td: if is_1_5 { Some(f.array("mrservicetd")?) } else { None },
        })
    }
}

/// The quoting enclave's claims (SGX report body; only what is checked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QeReport {
    pub(super) misc_select: [u8; 4],
    pub(super) attributes: [u8; 16],
    pub(super) mr_signer: [u8; 32],
    pub(super) isv_prod_id: u16,
    pub(super) isv_svn: u16,
    pub(super) report_data: [u8; 64],
}

impl QeReport {
    /// Length in bytes.
    pub(super) const LENGTH: usize = 384;

    pub(super) fn read(f: &mut Fields<'_>) -> Result<Self, Truncated> {
        f.take("qe cpu svn", 16)?;
        let misc_select = f.array("qe miscselect")?;
        f.take("qe reserved", 28)?;
        let attributes = f.array("qe attributes")?;
        f.take("qe mrenclave", 64)?;
        let mr_signer = f.array("qe mrsigner")?;
        f.take("qe reserved", 96)?;
        let (isv_prod_id, isv_svn) = (f.u16_le("qe isvprodid")?, f.u16_le("qe isvsvn")?);
        f.take("qe reserved", 60)?;
        Ok(Self { misc_select, attributes, mr_signer, isv_prod_id, isv_svn, report_data: f.array("qe report data")? })
    }
}
