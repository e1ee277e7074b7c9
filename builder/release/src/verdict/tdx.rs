//! TDX: genuine, and within the policy.

use sealstone_evidence::tdx::{self as evidence, Authenticity, Collateral, Quote, TdBody};
use sealstone_evidence::time;

use super::{Check, Refusal, Verdict, one_of};
use crate::hex::Bytes;
use crate::policy::{Policy, TdxPolicy};

/// Every check of the policy that [`tdx`] makes.
pub(super) const ASKED: [&str; 19] = [
    "tdx.mrtd",
    "tdx.rtmr0",
    "tdx.rtmr1",
    "tdx.rtmr2",
    "tdx.rtmr3",
    "tdx.policy.tcb-status",
    "tdx.policy.tcb-date",
    "tdx.policy.evaluation-number",
    "tdx.policy.mrseam",
    "tdx.policy.reserved",
    "tdx.policy.debug",
    "tdx.policy.migration",
    "tdx.policy.perfmon",
    "tdx.policy.sept-ve-disable",
    "tdx.policy.xfam",
    "tdx.report-data",
    "tdx.mrconfigid",
    "tdx.mrowner",
    "tdx.mrownerconfig",
];

/// CPU state components with a known meaning (Intel SDM, volume 1, 13.1): x87, SSE, AVX, AVX-512, PT, PKRU, CET, user
/// interrupts, LBR, AMX, APX.
const XFAM_KNOWN: u64 = 0x000e_dbe7;
/// x87 and SSE can't be off.
const XFAM_FIXED: u64 = 3;

/// The verdict on a quote; `at` is the time to judge at, in seconds since 1970.
pub fn tdx(quote: &Quote, collateral: &Collateral, policy: &Policy, at: u64) -> Verdict {
    let genuine = evidence::verify(quote, collateral, at);
    let mut checks = judge(&quote.body, &genuine, Some(collateral), &policy.tdx);
    checks.splice(0..0, genuine.checks);
    Verdict::new("tdx", at, &evidence::MANDATORY, &ASKED, checks)
}

/// Every check of [`ASKED`], in that order.
pub(super) fn judge(body: &TdBody, genuine: &Authenticity, collateral: Option<&Collateral>, policy: &TdxPolicy) -> Vec<Check> {
    let mut checks = Vec::from(registers(body, policy));
    checks.extend(tcb(genuine, collateral, policy));
    checks.extend(attributes(body, policy));
    checks.extend(given(body, policy));
    checks
}

fn registers(body: &TdBody, policy: &TdxPolicy) -> [Check; 5] {
    let why = "another image was launched, or the same one with other firmware, VMM or hardware";
    let check = |id, accepted: &Option<Vec<Bytes<48>>>, found| one_of(id, Refusal::Measurement, accepted.as_deref(), found, why);
    [
        check("tdx.mrtd", &policy.mr_td, &body.mr_td),
        check("tdx.rtmr0", &policy.rtmr0, &body.rtmr[0]),
        check("tdx.rtmr1", &policy.rtmr1, &body.rtmr[1]),
        check("tdx.rtmr2", &policy.rtmr2, &body.rtmr[2]),
        check("tdx.rtmr3", &policy.rtmr3, &body.rtmr[3]),
    ]
}

fn tcb(genuine: &Authenticity, collateral: Option<&Collateral>, policy: &TdxPolicy) -> [Check; 3] {
    let tcb = genuine.tcb.as_ref();
    let status = tcb.ok().map(|tcb| tcb.status);
    let found = match tcb {
        Ok(tcb) if tcb.advisories.is_empty() => tcb.status.to_string(),
        Ok(tcb) => format!("{} ({})", tcb.status, tcb.advisories.join(", ")),
        Err(error) => format!("Unlisted ({error})"),
    };
    let date = tcb.map_or("not known".to_owned(), |tcb| time::show(tcb.tcb_date));
    let number =
        collateral.map(|given| given.tcb_info.tcb_evaluation_data_number.min(given.qe_identity.tcb_evaluation_data_number));
    [
        Check::judge(
            "tdx.policy.tcb-status",
            Refusal::Policy,
            policy.accept_status.iter().any(|accepted| accepted.accepts(status)),
            policy.accept_status.iter().map(|status| format!("{status:?}")).collect::<Vec<_>>().join(" or "),
            found,
            "the platform's firmware, TDX module or quoting enclave has known weaknesses",
        ),
        match policy.min_tcb_date {
            None => Check::not_asked("tdx.policy.tcb-date", date, "how old the platform's TCB may be"),
            Some(floor) => Check::judge(
                "tdx.policy.tcb-date",
                Refusal::Policy,
                tcb.is_ok_and(|tcb| tcb.tcb_date >= floor.unix()),
                format!("{floor} or later"),
                date,
                "weaknesses that became known since then aren't mended",
            ),
        },
        Check::judge(
            "tdx.policy.evaluation-number",
            Refusal::Policy,
            number.is_some_and(|number| number >= policy.min_evaluation_number),
            format!("at least {}", policy.min_evaluation_number),
            number.map_or("not known: there is no collateral".to_owned(), |number| number.to_string()),
            "the collateral is from before a TCB recovery that the policy asks for",
        ),
    ]
}

fn attributes(body: &TdBody, policy: &TdxPolicy) -> [Check; 7] {
    let bits = body.td_attributes;
    let refuse = Refusal::Policy;
    let shown = format!("{:#018x}", bits.0);
    let off_unless = |allowed: bool| if allowed { "on or off" } else { "off" };
    let migration = bits.migratable() || body.mr_service_td.is_some_and(|service| service != [0; 48]);
    let xfam = body.xfam & !XFAM_KNOWN == 0 && body.xfam & XFAM_FIXED == XFAM_FIXED;
    let why_seam = "the TDX module isn't one of those that are accepted";
    [
        one_of("tdx.policy.mrseam", refuse, policy.mr_seam.as_deref(), &body.mr_seam, why_seam),
        Check::judge(
            "tdx.policy.reserved",
            refuse,
            bits.reserved() == 0,
            "no attribute without a known meaning",
            shown.clone(),
            "a bit without a known meaning may allow something",
        ),
        Check::judge(
            "tdx.policy.debug",
            refuse,
            policy.allow_debug || !bits.debug(),
            off_unless(policy.allow_debug),
            shown.clone(),
            "the host can read and write the TD's memory and registers",
        ),
        Check::judge(
            "tdx.policy.migration",
            refuse,
            policy.allow_migration || !migration,
            off_unless(policy.allow_migration),
            shown.clone(),
            "a service TD can take the TD's memory",
        ),
        Check::judge(
            "tdx.policy.perfmon",
            refuse,
            policy.allow_perfmon || !bits.perfmon(),
            off_unless(policy.allow_perfmon),
            shown.clone(),
            "performance counters leak between guests",
        ),
        Check::judge(
            "tdx.policy.sept-ve-disable",
            refuse,
            bits.sept_ve_disable() || !policy.require_sept_ve_disable,
            if policy.require_sept_ve_disable { "on" } else { "on or off" },
            shown,
            "a hostile host can raise exceptions in the TD wherever it likes",
        ),
        Check::judge(
            "tdx.policy.xfam",
            refuse,
            xfam,
            format!("bits 0 and 1, others only of {XFAM_KNOWN:#x}"),
            format!("{:#x}", body.xfam),
            "CPU state without a known meaning may leak",
        ),
    ]
}

fn given(body: &TdBody, policy: &TdxPolicy) -> [Check; 4] {
    let refuse = Refusal::Policy;
    let launcher = "whoever launched the TD put in something else";
    let (data, config) = (policy.report_data.map(|d| [d]), policy.mr_config_id.map(|d| [d]));
    let (owner, owner_config) = (policy.mr_owner.map(|d| [d]), policy.mr_owner_config.map(|d| [d]));
    let fresh = "the evidence was made for another purpose or session: it isn't fresh";
    [
        one_of("tdx.report-data", refuse, data.as_ref().map(<[_; 1]>::as_slice), &body.report_data, fresh),
        one_of("tdx.mrconfigid", refuse, config.as_ref().map(<[_; 1]>::as_slice), &body.mr_config_id, launcher),
        one_of("tdx.mrowner", refuse, owner.as_ref().map(<[_; 1]>::as_slice), &body.mr_owner, launcher),
        one_of("tdx.mrownerconfig", refuse, owner_config.as_ref().map(<[_; 1]>::as_slice), &body.mr_owner_config, launcher),
    ]
}
