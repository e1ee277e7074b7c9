//! SEV-SNP: genuine, and within the policy.

use sealstone_evidence::snp::{self as evidence, Authenticity, Report, SigningKey, Tcb};
use sealstone_evidence::x509::{Certificate, RevocationList};

use super::{Check, Outcome, Refusal, Verdict, one_of};
use crate::policy::{Policy, SnpPolicy};

/// Every check of the policy that [`snp`] makes.
pub(super) const ASKED: [&str; 18] = [
    "snp.revocation",
    "snp.measurement",
    "snp.policy.reserved",
    "snp.policy.debug",
    "snp.policy.migration",
    "snp.policy.smt",
    "snp.policy.abi",
    "snp.policy.alias-check",
    "snp.policy.ciphertext-hiding",
    "snp.policy.vmpl",
    "snp.policy.signer",
    "snp.policy.product",
    "snp.policy.tcb",
    "snp.report-data",
    "snp.host-data",
    "snp.id-key",
    "snp.author-key",
    "snp.chip-id",
];

/// The verdict on a report. `endorsement` is the certificate of the VCEK or VLEK, `chain` its issuer's and, optionally, the
/// root's; `revocation` is AMD's list, if there is one; `at` is the time to judge at, in seconds since 1970.
pub fn snp(
    report: &Report,
    endorsement: &Certificate,
    chain: &[Certificate],
    revocation: Option<&RevocationList>,
    policy: &Policy,
    at: u64,
) -> Verdict {
    let genuine = evidence::verify(report, endorsement, chain, revocation, at);
    let mut checks = judge(report, &genuine, &policy.snp);
    checks.splice(0..0, genuine.checks);
    Verdict::new("sev-snp", at, &evidence::MANDATORY, &ASKED, checks)
}

pub(super) fn judge(report: &Report, genuine: &Authenticity, policy: &SnpPolicy) -> Vec<Check> {
    let measurements = policy.measurements.as_deref();
    let why = "another image was launched, or the same one with other firmware, vCPUs or VMM";
    let mut checks = vec![
        revocation(genuine, policy),
        one_of("snp.measurement", Refusal::Measurement, measurements, &report.measurement, why),
    ];
    checks.extend(guest_policy(report, policy));
    checks.extend(platform(report, policy));
    checks.extend([vmpl(report, policy), signer(report, policy), product(genuine, policy), tcb(report, genuine, policy)]);
    let (data, host) = (policy.report_data.map(|d| [d]), policy.host_data.map(|d| [d]));
    checks.extend([
        one_of(
            "snp.report-data",
            Refusal::Policy,
            data.as_ref().map(<[_; 1]>::as_slice),
            &report.report_data,
            "the evidence was made for another purpose or session: it isn't fresh",
        ),
        one_of(
            "snp.host-data",
            Refusal::Policy,
            host.as_ref().map(<[_; 1]>::as_slice),
            &report.host_data,
            "the host handed in something else at launch",
        ),
        one_of(
            "snp.id-key",
            Refusal::Policy,
            policy.id_key_digests.as_deref(),
            &report.id_key_digest,
            "the launch wasn't authorised by an owner's key that is accepted",
        ),
        one_of(
            "snp.author-key",
            Refusal::Policy,
            policy.author_key_digests.as_deref(),
            &report.author_key_digest,
            "the owner's key wasn't authorised by an author's key that is accepted",
        ),
        one_of(
            "snp.chip-id",
            Refusal::Policy,
            policy.chip_ids.as_deref(),
            &report.chip_id,
            "the machine isn't one of those that are accepted",
        ),
    ]);
    checks
}

fn revocation(genuine: &Authenticity, policy: &SnpPolicy) -> Check {
    let check = genuine.revocation.clone();
    match check.outcome {
        Outcome::NotAsked if policy.require_revocation_list => {
            Check::judge(check.id, Refusal::Policy, false, "AMD's revocation list", check.found, check.why)
        }
        _ => check,
    }
}

/// A switch that must be off unless the policy allows it.
fn switch(id: &'static str, is_on: bool, allowed: bool, why: &'static str) -> Check {
    let expected = if allowed { "on or off" } else { "off" };
    Check::judge(id, Refusal::Policy, allowed || !is_on, expected, if is_on { "on" } else { "off" }, why)
}

fn guest_policy(report: &Report, policy: &SnpPolicy) -> [Check; 5] {
    let guest = report.policy;
    let (major, minor) = guest.abi();
    [
        Check::judge(
            "snp.policy.reserved",
            Refusal::Policy,
            guest.reserved_are_right(),
            "bit 17 set, bits 63 to 26 clear",
            format!("{:#018x}", guest.0),
            "a bit without a known meaning may allow something",
        ),
        switch("snp.policy.debug", guest.debug(), policy.allow_debug, "the host can read and write the guest's memory"),
        switch(
            "snp.policy.migration",
            guest.migration(),
            policy.allow_migration,
            "a migration agent can take the guest's memory",
        ),
        switch("snp.policy.smt", guest.smt(), policy.allow_smt, "another guest's thread may run on the same core and listen"),
        Check::judge(
            "snp.policy.abi",
            Refusal::Policy,
            (major, minor) >= policy.min_abi,
            format!("{}.{} or later", policy.min_abi.0, policy.min_abi.1),
            format!("{major}.{minor}"),
            "the guest may be launched by older firmware than is accepted",
        ),
    ]
}

fn vmpl(report: &Report, policy: &SnpPolicy) -> Check {
    Check::judge(
        "snp.policy.vmpl",
        Refusal::Policy,
        report.vmpl <= policy.max_vmpl,
        format!("at most {}", policy.max_vmpl),
        report.vmpl.to_string(),
        "the report was asked for by a less privileged part of the guest, or by the host (VMPL 0xffffffff)",
    )
}

/// Protections that not every machine has, and of which it says itself whether they are on.
fn platform(report: &Report, policy: &SnpPolicy) -> [Check; 2] {
    let protection = |id, is_on: bool, required: bool, why| {
        let (expected, found) = (if required { "on" } else { "on or off" }, if is_on { "on" } else { "off" });
        Check::judge(id, Refusal::Policy, is_on || !required, expected, found, why)
    };
    let info = report.platform_info;
    [
        protection(
            "snp.policy.alias-check",
            info.alias_check(),
            policy.require_alias_check,
            "a memory module that lies about its size can undo the protection of guests' memory",
        ),
        protection(
            "snp.policy.ciphertext-hiding",
            info.ciphertext_hiding(),
            policy.require_ciphertext_hiding,
            "the host can watch the guest's encrypted memory change",
        ),
    ]
}

fn signer(report: &Report, policy: &SnpPolicy) -> Check {
    let holds = report.signing_key == SigningKey::Vcek || report.signing_key == SigningKey::Vlek && policy.allow_vlek;
    let expected = if policy.allow_vlek { "Vcek or Vlek" } else { "Vcek" };
    let why = "a provider's key vouches for any of his machines";
    Check::judge("snp.policy.signer", Refusal::Policy, holds, expected, format!("{:?}", report.signing_key), why)
}

fn product(genuine: &Authenticity, policy: &SnpPolicy) -> Check {
    let holds = genuine.product.is_some_and(|product| policy.products.iter().any(|accepted| product == (*accepted).into()));
    Check::judge(
        "snp.policy.product",
        Refusal::Policy,
        holds,
        policy.products.iter().map(|product| format!("{product:?}")).collect::<Vec<_>>().join(" or "),
        genuine.product.map_or("not known".to_owned(), |product| product.to_string()),
        "the policy doesn't accept this generation; `snp: {products: [Milan, Genoa, Turin]}` would",
    )
}

/// The committed TCB is what the platform can't go back behind; the others could be newer and rolled back.
fn tcb(report: &Report, genuine: &Authenticity, policy: &SnpPolicy) -> Check {
    const WHY: &str = "firmware with known weaknesses ran, or can be brought back";
    let floor = Tcb::from(policy.min_tcb);
    let expected = format!("at least {floor}");
    let Some(product) = genuine.product else {
        return Check::judge("snp.policy.tcb", Refusal::Policy, false, expected, "not known: the product isn't", WHY);
    };
    let all = [
        ("committed", report.committed_tcb),
        ("current", report.current_tcb),
        ("reported", report.reported_tcb),
        ("launch", report.launch_tcb),
    ];
    let all = all.map(|(name, version)| (name, version.decode(product)));
    let below = all.iter().find(|(_, tcb)| !tcb.is_at_least(&floor));
    let found = match (below, &all[0]) {
        (Some((name, tcb)), _) | (None, (name, tcb)) => format!("{name}: {tcb}"),
    };
    Check::judge("snp.policy.tcb", Refusal::Policy, below.is_none(), expected, found, WHY)
}
