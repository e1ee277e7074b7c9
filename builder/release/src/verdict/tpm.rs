//! TPM: genuine, going with the log, and within the policy.

use ovmf_measure::digest::Algorithm;
use ovmf_measure::eventlog::{EventLog, LogError};
use ovmf_measure::transcript::Register;
use sealstone_evidence::tpm::{self as evidence, Attest, AttestationKey, HashAlgorithm, PcrValues, Signature};

use super::{Check, Refusal, Verdict};
use crate::policy::{Policy, TpmPolicy};

/// Every check besides genuineness that [`tpm`] makes.
pub(super) const ASKED: [&str; 3] = ["tpm.pcrs", "tpm.measurement", "tpm.nonce"];

/// Registers of a TPM (PC Client Platform TPM Profile, 4.6).
const REGISTERS: u8 = 24;

/// The verdict on a quote under a key that the caller trusts. `log` is the boot's event log; without it the registers'
/// values aren't known, only their digest.
///
/// # Errors
/// If the log can't be replayed.
pub fn tpm(
    attest: &Attest,
    signature: &Signature,
    key: &AttestationKey,
    log: Option<&EventLog>,
    policy: &Policy,
    at: u64,
) -> Result<Verdict, LogError> {
    let values = log.map(replay).transpose()?;
    let mut checks = evidence::verify(attest, signature, key);
    checks.push(match &values {
        Some(values) => evidence::check_pcrs(attest, signature, values),
        None => Check::not_asked("tpm.pcrs", "no event log", "with the event log the registers' values are recomputed"),
    });
    checks.push(measurement(attest, values.as_ref(), &policy.tpm));
    checks.push(nonce(attest, &policy.tpm));
    Ok(Verdict::new("tpm2", at, &evidence::MANDATORY, &ASKED, checks))
}

/// Registers as the log leaves them. One that the log doesn't mention is as it starts: zero up to 16 and 23, ones between.
pub(super) fn replay(log: &EventLog) -> Result<PcrValues, LogError> {
    let mut values = PcrValues::new();
    for algorithm in log.algorithms() {
        let bank = bank(algorithm);
        for register in 0..REGISTERS {
            values.insert((bank, register), reset_value(register, algorithm));
        }
        for (register, value) in log.replay(algorithm)? {
            if let Register::Pcr(number) = register {
                values.insert((bank, number), value.as_bytes().to_vec());
            }
        }
    }
    Ok(values)
}

/// The bank of an algorithm.
pub(super) fn bank(algorithm: Algorithm) -> HashAlgorithm {
    match algorithm {
        Algorithm::Sha256 => HashAlgorithm::Sha256,
        Algorithm::Sha384 => HashAlgorithm::Sha384,
    }
}

/// What a register holds that nothing was measured into.
pub(super) fn reset_value(register: u8, algorithm: Algorithm) -> Vec<u8> {
    let start = if (17..=22).contains(&register) { 0xff } else { 0 };
    vec![start; algorithm.size()]
}

pub(super) fn measurement(attest: &Attest, values: Option<&PcrValues>, policy: &TpmPolicy) -> Check {
    const ID: &str = "tpm.measurement";
    const WHY: &str = "something else was booted, or the quote doesn't cover the register";
    if policy.pcrs.is_empty() {
        return Check::not_asked(ID, data_encoding::HEXLOWER.encode(&attest.pcr_digest), WHY);
    }
    let covered = |register: u8| attest.selections.iter().any(|s| s.bank == 0x000b && s.registers.contains(&register));
    for (register, accepted) in &policy.pcrs {
        let expected = accepted.iter().map(|value| format!("register {register}: {value}")).collect::<Vec<_>>().join(" or ");
        let value = values.and_then(|values| values.get(&(HashAlgorithm::Sha256, *register)));
        let found = match value {
            Some(value) if covered(*register) => data_encoding::HEXLOWER.encode(value),
            Some(_) => "not covered by the quote".to_owned(),
            None => "not known: no event log of the SHA-256 bank".to_owned(),
        };
        let holds = covered(*register) && value.is_some_and(|value| accepted.iter().any(|a| a.as_bytes() == value.as_slice()));
        if !holds {
            return Check::judge(ID, Refusal::Measurement, false, expected, format!("register {register}: {found}"), WHY);
        }
    }
    Check::judge(ID, Refusal::Measurement, true, "registers as the policy says", "registers as the policy says", WHY)
}

pub(super) fn nonce(attest: &Attest, policy: &TpmPolicy) -> Check {
    const ID: &str = "tpm.nonce";
    const WHY: &str = "the quote was made for another purpose or session: it isn't fresh";
    let found = data_encoding::HEXLOWER.encode(&attest.extra_data);
    match &policy.nonce {
        None => Check::not_asked(ID, found, WHY),
        Some(nonce) => {
            let expected = data_encoding::HEXLOWER.encode(&nonce.0);
            Check::judge(ID, Refusal::Policy, nonce.0 == attest.extra_data, expected, found, WHY)
        }
    }
}
