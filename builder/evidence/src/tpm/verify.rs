//! Is a TPM quote genuine, and do these register values go with it?

use std::collections::BTreeMap;

use crate::bytes::hex;
use crate::check::{Check, Refusal};

use super::attest::{Attest, MAGIC, QUOTE};
use super::key::AttestationKey;
use super::signature::{HashAlgorithm, Signature};

/// Every check that [`verify`] makes. Evidence is accepted only if each of them is there and has passed.
pub const MANDATORY: [&str; 3] = ["tpm.attest", "tpm.key", "tpm.signature"];

/// Values of registers, by bank and number.
pub type PcrValues = BTreeMap<(HashAlgorithm, u8), Vec<u8>>;

/// Checks that `attest` is a quote that the TPM with the key `key` made: one check for each of [`MANDATORY`], in that order.
pub fn verify(attest: &Attest, signature: &Signature, key: &AttestationKey) -> Vec<Check> {
    vec![
        Check::judge(
            "tpm.attest",
            Refusal::Signature,
            attest.magic == MAGIC && attest.kind == QUOTE,
            format!("magic {MAGIC:#010x}, type {QUOTE:#06x} (quote)"),
            format!("magic {:#010x}, type {:#06x}", attest.magic, attest.kind),
            "a TPM signs other things, too; only this is its word on its registers",
        ),
        Check::judge(
            "tpm.key",
            Refusal::Signature,
            key.is_restricted_signing_key(),
            "a key that the TPM made, fixed to it, restricted, for signing only",
            key.attributes
                .map_or("given without attributes: the caller vouches for it".to_owned(), |a| format!("attributes {a:#010x}")),
            "any other key signs whatever the host hands it",
        ),
        Check::genuine(
            "tpm.signature",
            format!("signed by the attestation key ({})", key.key.kind()),
            signature.verify(&key.key, &attest.signed),
            "the quote was altered, or comes from another TPM",
        ),
    ]
}

/// The digest that a quote has if the registers it covers hold `values`. The hash is the signature's (Part 3, TPM2_Quote).
///
/// # Errors
/// A sentence on what the quote covers besides, or that it covers nothing.
pub fn pcr_digest(attest: &Attest, signature: &Signature, values: &PcrValues) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for selection in &attest.selections {
        let unknown = || format!("registers of bank {:#06x}, which isn't known here", selection.bank);
        let bank = HashAlgorithm::from_id(selection.bank).ok_or_else(unknown)?;
        for register in &selection.registers {
            let value = values.get(&(bank, *register));
            all.extend_from_slice(value.ok_or_else(|| format!("register {register} of {bank:?}, which isn't in the log"))?);
        }
    }
    if all.is_empty() { Err("no register at all".into()) } else { Ok(signature.hash.hash(&all)) }
}

/// Checks that the quote's digest is that of `values`, such as a replayed log gives them.
pub fn check_pcrs(attest: &Attest, signature: &Signature, values: &PcrValues) -> Check {
    let (holds, expected) = match pcr_digest(attest, signature, values) {
        Ok(digest) => (digest == attest.pcr_digest, hex(&digest)),
        Err(error) => (false, format!("not known: the quote covers {error}")),
    };
    let why = "the log isn't the one of this boot, or was altered";
    Check::judge("tpm.pcrs", Refusal::Measurement, holds, expected, hex(&attest.pcr_digest), why)
}
