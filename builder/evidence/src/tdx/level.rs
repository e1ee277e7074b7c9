//! Which TCB level a platform is at, and what Intel says of it.

use std::fmt;

use serde::Deserialize;

use super::body::{QeReport, TdBody};
use super::collateral::{Collateral, IsvLevel, PlatformLevel, TdxModule};
use super::pck::PckClaims;

/// Intel's word on a TCB level (Provisioning Certification Service API, "TCB status").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum TcbStatus {
    /// Nothing is known against it.
    UpToDate,
    /// Up to date, if the software in the TD is hardened against an attack.
    #[serde(rename = "SWHardeningNeeded")]
    SwHardeningNeeded,
    /// Up to date, but the platform's configuration may have to be changed.
    ConfigurationNeeded,
    /// Both of these.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded")]
    ConfigurationAndSwHardeningNeeded,
    /// Known weaknesses aren't mended.
    OutOfDate,
    /// Known weaknesses aren't mended, and the configuration may have to be changed.
    OutOfDateConfigurationNeeded,
    /// Must not be trusted at all.
    Revoked,
}

impl TcbStatus {
    /// Whether it is out of date, needs configuration, needs hardened software. `None` if revoked.
    fn faults(self) -> Option<[bool; 3]> {
        match self {
            Self::UpToDate => Some([false, false, false]),
            Self::SwHardeningNeeded => Some([false, false, true]),
            Self::ConfigurationNeeded => Some([false, true, false]),
            Self::ConfigurationAndSwHardeningNeeded => Some([false, true, true]),
            Self::OutOfDate => Some([true, false, false]),
            Self::OutOfDateConfigurationNeeded => Some([true, true, false]),
            Self::Revoked => None,
        }
    }

    /// Status of a whole that has the faults of both parts. There is no name for out of date *and* in need of hardening;
    /// out of date says it.
    pub(super) fn with(self, other: Self) -> Self {
        let (Some(a), Some(b)) = (self.faults(), other.faults()) else {
            return Self::Revoked;
        };
        match [a[0] || b[0], a[1] || b[1], a[2] || b[2]] {
            [true, true, _] => Self::OutOfDateConfigurationNeeded,
            [true, false, _] => Self::OutOfDate,
            [false, true, true] => Self::ConfigurationAndSwHardeningNeeded,
            [false, true, false] => Self::ConfigurationNeeded,
            [false, false, true] => Self::SwHardeningNeeded,
            [false, false, false] => Self::UpToDate,
        }
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::Revoked => "Revoked",
        })
    }
}

/// The status of a quote's platform as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Worst of platform, TDX module and quoting enclave.
    pub status: TcbStatus,
    /// Of the platform alone.
    pub platform: TcbStatus,
    /// Of the TDX module alone, if Intel lists it.
    pub module: Option<TcbStatus>,
    /// Of the quoting enclave alone.
    pub quoting_enclave: TcbStatus,
    /// Oldest date of the levels found, in seconds since 1970: mended is what was known then.
    pub tcb_date: u64,
    /// Intel's advisories that aren't mended, sorted.
    pub advisories: Vec<String>,
}

/// Intel lists no level that the platform reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelError {
    /// Of the platform: older than anything that Intel lists.
    #[error("Intel lists no TCB level that this platform reaches")]
    Platform,
    /// Of the TDX module: its major version isn't listed, or it is older than anything listed.
    #[error("Intel lists no TCB level of TDX modules that this module reaches")]
    Module,
    /// Of the quoting enclave: older than anything that Intel lists.
    #[error("Intel lists no TCB level that this quoting enclave reaches")]
    QuotingEnclave,
}

/// Finds the levels and their common status. TDX 1.5 reports the module's TCB at the TD's launch and the one now, which
/// differ after an update under a running TD; both must be listed, and the worse one counts.
pub(super) fn evaluate(body: &TdBody, qe: &QeReport, pck: &PckClaims, given: &Collateral) -> Result<Evaluation, LevelError> {
    let enclave = isv_level(&given.qe_identity.tcb_levels, qe.isv_svn).ok_or(LevelError::QuotingEnclave)?;
    let mut evaluation = evaluate_svns(&body.tee_tcb_svn, enclave, pck, given)?;
    if let Some(now) = &body.tee_tcb_svn_2 {
        let now = evaluate_svns(now, enclave, pck, given)?;
        evaluation.status = evaluation.status.with(now.status);
        evaluation.tcb_date = evaluation.tcb_date.min(now.tcb_date);
        evaluation.advisories.extend(now.advisories);
    }
    evaluation.advisories.sort_unstable();
    evaluation.advisories.dedup();
    Ok(evaluation)
}

fn evaluate_svns(svns: &[u8; 16], enclave: &IsvLevel, pck: &PckClaims, given: &Collateral) -> Result<Evaluation, LevelError> {
    let platform = given.tcb_info.tcb_levels.iter().find(|level| reaches(level, svns, pck)).ok_or(LevelError::Platform)?;
    let module = module_level(svns, given)?;
    let mut status = platform.tcb_status;
    let mut tcb_date = platform.tcb_date;
    let mut advisories = platform.advisories.clone();
    for component in module.into_iter().chain([enclave]) {
        status = status.with(component.tcb_status);
        tcb_date = tcb_date.min(component.tcb_date);
        advisories.extend_from_slice(&component.advisories);
    }
    Ok(Evaluation {
        status,
        platform: platform.tcb_status,
        module: module.map(|level| level.tcb_status),
        quoting_enclave: enclave.tcb_status,
        tcb_date,
        advisories,
    })
}

/// What the TDX module's signer and attributes must be: the entry for its major version, if it has one.
pub(super) fn expected_module<'a>(body: &TdBody, given: &'a Collateral) -> Option<&'a TdxModule> {
    match body.tee_tcb_svn {
        [_, 0, ..] => Some(&given.tcb_info.tdx_module),
        [_, major, ..] => {
            let id = module_id(major);
            given.tcb_info.tdx_module_identities.iter().find(|identity| identity.id.eq_ignore_ascii_case(&id)).map(|i| &i.module)
        }
    }
}

fn module_id(major: u8) -> String {
    format!("TDX_{major:02X}")
}

fn module_level<'a>(svns: &[u8; 16], given: &'a Collateral) -> Result<Option<&'a IsvLevel>, LevelError> {
    let [minor, major, ..] = *svns;
    if major == 0 {
        return Ok(None);
    }
    let id = module_id(major);
    let identity = given.tcb_info.tdx_module_identities.iter().find(|identity| identity.id.eq_ignore_ascii_case(&id));
    let level = identity.and_then(|identity| isv_level(&identity.tcb_levels, u16::from(minor)));
    level.map(Some).ok_or(LevelError::Module)
}

/// Levels are listed newest first; the first that is reached counts.
fn isv_level(levels: &[IsvLevel], svn: u16) -> Option<&IsvLevel> {
    levels.iter().find(|level| svn >= level.tcb.isvsvn)
}

fn reaches(level: &PlatformLevel, svns: &[u8; 16], pck: &PckClaims) -> bool {
    // From TDX module version 1 on, bytes 0 and 1 are the module's own, which has levels of its own.
    let skipped = if svns[1] > 0 { 2 } else { 0 };
    let sgx = pck.components.iter().zip(&level.tcb.sgxtcbcomponents).all(|(have, need)| *have >= need.svn);
    let tdx = svns.iter().zip(&level.tcb.tdxtcbcomponents).skip(skipped).all(|(have, need)| *have >= need.svn);
    sgx && tdx && pck.pce_svn >= level.tcb.pcesvn
}
