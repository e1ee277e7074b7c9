//! Policy for TDX.

use serde::Deserialize;

use sealstone_evidence::tdx::TcbStatus;

use crate::hex::Bytes;
use crate::time::Moment;

/// What a client accepts of TDX evidence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TdxPolicy {
    /// Accepted TCB statuses. Default: `UpToDate` alone.
    pub accept_status: Vec<AcceptedStatus>,
    /// Least evaluation number of TCB info and QE identity, so that old collateral can't hide a TCB recovery. Default: 0.
    pub min_evaluation_number: u32,
    /// Oldest date accepted of the platform's TCB level. Default: any.
    pub min_tcb_date: Option<Moment>,
    /// Accepted measurements of the TDX module. Default: any of Intel's.
    pub mr_seam: Option<Vec<Bytes<48>>>,
    /// Accept TDs that the host may debug, that is, read. Default: no.
    pub allow_debug: bool,
    /// Accept TDs that may be migrated, or that a service TD is bound to. Default: no.
    pub allow_migration: bool,
    /// Accept TDs that may use performance counters, which leak to other guests. Default: no.
    pub allow_perfmon: bool,
    /// Demand that a hostile host can't raise exceptions in the TD through its page tables. Default: yes.
    pub require_sept_ve_disable: bool,
    /// Accepted MRTDs. This and the following: default is not looked at, because a pin says it better.
    pub mr_td: Option<Vec<Bytes<48>>>,
    /// Accepted RTMR 0.
    pub rtmr0: Option<Vec<Bytes<48>>>,
    /// Accepted RTMR 1.
    pub rtmr1: Option<Vec<Bytes<48>>>,
    /// Accepted RTMR 2.
    pub rtmr2: Option<Vec<Bytes<48>>>,
    /// Accepted RTMR 3.
    pub rtmr3: Option<Vec<Bytes<48>>>,
    /// What the launcher must have put in for the configuration.
    pub mr_config_id: Option<Bytes<48>>,
    /// What the launcher must have put in for the owner.
    pub mr_owner: Option<Bytes<48>>,
    /// What the launcher must have put in for the owner's configuration.
    pub mr_owner_config: Option<Bytes<48>>,
    /// What the guest must have put in.
    pub report_data: Option<Bytes<64>>,
}

impl Default for TdxPolicy {
    fn default() -> Self {
        Self {
            accept_status: vec![AcceptedStatus::UpToDate],
            min_evaluation_number: 0,
            min_tcb_date: None,
            mr_seam: None,
            allow_debug: false,
            allow_migration: false,
            allow_perfmon: false,
            require_sept_ve_disable: true,
            mr_td: None,
            rtmr0: None,
            rtmr1: None,
            rtmr2: None,
            rtmr3: None,
            mr_config_id: None,
            mr_owner: None,
            mr_owner_config: None,
            report_data: None,
        }
    }
}

/// A TCB status that a policy can accept. `Revoked` isn't among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AcceptedStatus {
    /// Nothing is known against it.
    UpToDate,
    /// The software in the TD must be hardened.
    #[serde(rename = "SWHardeningNeeded")]
    SwHardeningNeeded,
    /// The platform's configuration may have to be changed.
    ConfigurationNeeded,
    /// Both of these.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded")]
    ConfigurationAndSwHardeningNeeded,
    /// Known weaknesses aren't mended.
    OutOfDate,
    /// The same, and the configuration may have to be changed.
    OutOfDateConfigurationNeeded,
    /// So old that Intel doesn't list it.
    Unlisted,
}

impl AcceptedStatus {
    /// The accepted status with this meaning; `None` stands for a platform that Intel lists no level for.
    pub(crate) fn accepts(self, found: Option<TcbStatus>) -> bool {
        match self {
            Self::UpToDate => found == Some(TcbStatus::UpToDate),
            Self::SwHardeningNeeded => found == Some(TcbStatus::SwHardeningNeeded),
            Self::ConfigurationNeeded => found == Some(TcbStatus::ConfigurationNeeded),
            Self::ConfigurationAndSwHardeningNeeded => found == Some(TcbStatus::ConfigurationAndSwHardeningNeeded),
            Self::OutOfDate => found == Some(TcbStatus::OutOfDate),
            Self::OutOfDateConfigurationNeeded => found == Some(TcbStatus::OutOfDateConfigurationNeeded),
            Self::Unlisted => found.is_none(),
        }
    }
}
