//! Policy for SEV-SNP.

use serde::Deserialize;

use sealstone_evidence::snp::{Product, Tcb};

use crate::hex::Bytes;

/// What a client accepts of SEV-SNP evidence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnpPolicy {
    /// Accepted generations. Default: Genoa and Turin; on Milan published attacks on memory encryption go further.
    pub products: Vec<ProductName>,
    /// Accept guests that the host may debug, that is, read. Default: no.
    pub allow_debug: bool,
    /// Accept guests that a migration agent may move. Default: no.
    pub allow_migration: bool,
    /// Accept guests that may run beside others on one core. Default: yes.
    pub allow_smt: bool,
    /// Accept reports signed by a provider's key instead of the chip's. Default: yes.
    pub allow_vlek: bool,
    /// Refuse evidence that comes without AMD's revocation list. Default: no; a list that is there always counts.
    pub require_revocation_list: bool,
    /// Demand that the firmware has checked memory for aliases, which shut out a lying memory module (BadRAM). Default: no;
    /// older firmware can't say.
    pub require_alias_check: bool,
    /// Demand that the host can't read guests' encrypted memory. Default: no; before Turin no machine has that.
    pub require_ciphertext_hiding: bool,
    /// Highest (least privileged) VMPL accepted. Default: 0.
    pub max_vmpl: u32,
    /// Least ABI version that the guest must demand: major, minor. Default: none.
    pub min_abi: (u8, u8),
    /// Floor under the committed, current, reported and launch TCB. Default: none.
    pub min_tcb: TcbFloor,
    /// Accepted launch digests. Default: not looked at, because a pin says it better.
    pub measurements: Option<Vec<Bytes<48>>>,
    /// What the guest must have put in. Default: not looked at.
    pub report_data: Option<Bytes<64>>,
    /// What the host must have put in. Default: not looked at.
    pub host_data: Option<Bytes<32>>,
    /// Accepted digests of ID keys. Default: not looked at.
    pub id_key_digests: Option<Vec<Bytes<48>>>,
    /// Accepted digests of author keys. Default: not looked at.
    pub author_key_digests: Option<Vec<Bytes<48>>>,
    /// Accepted chips. Default: any.
    pub chip_ids: Option<Vec<Bytes<64>>>,
}

impl Default for SnpPolicy {
    fn default() -> Self {
        Self {
            products: vec![ProductName::Genoa, ProductName::Turin],
            allow_debug: false,
            allow_migration: false,
            allow_smt: true,
            allow_vlek: true,
            require_revocation_list: false,
            require_alias_check: false,
            require_ciphertext_hiding: false,
            max_vmpl: 0,
            min_abi: (0, 0),
            min_tcb: TcbFloor::default(),
            measurements: None,
            report_data: None,
            host_data: None,
            id_key_digests: None,
            author_key_digests: None,
            chip_ids: None,
        }
    }
}

/// A generation by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ProductName {
    /// Third-generation EPYC.
    Milan,
    /// Fourth generation.
    Genoa,
    /// Fifth generation.
    Turin,
}

impl From<ProductName> for Product {
    fn from(name: ProductName) -> Self {
        match name {
            ProductName::Milan => Self::Milan,
            ProductName::Genoa => Self::Genoa,
            ProductName::Turin => Self::Turin,
        }
    }
}

/// Least security version numbers; what is left out is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcbFloor {
    /// Turin only; leave it out for a floor under other products.
    pub fmc: u8,
    /// Bootloader of the security processor.
    pub bootloader: u8,
    /// Operating system of the security processor.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode patch level.
    pub microcode: u8,
}

impl From<TcbFloor> for Tcb {
    fn from(floor: TcbFloor) -> Self {
        let TcbFloor { fmc, bootloader, tee, snp, microcode } = floor;
        Self { fmc: (fmc > 0).then_some(fmc), bootloader, tee, snp, microcode, reserved: [0; 4] }
    }
}
